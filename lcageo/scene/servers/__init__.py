"""Scenes on servers: what fetching them costs, fetching ahead of the tiles, and faults."""
