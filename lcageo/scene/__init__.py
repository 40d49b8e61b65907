"""Reading: opens rasters, plans tiles and reads them ahead. The only part that opens rasters."""
