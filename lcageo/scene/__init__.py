"""Reads scenes: opens rasters, plans tiles and prefetches them. No other part opens rasters."""
