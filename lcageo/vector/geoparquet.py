"""GeoParquet: its metadata, and its geometries in either of the encodings that it allows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas
import pyarrow
import pyarrow.parquet
import pyproj
import shapely

from lcageo.errors import DataError
from lcageo.geodesy import WGS84

SUFFIXES = (".parquet", ".geoparquet", ".pq")
"""Suffixes that files of this format have; lcageo writes the first."""


def about_geometry(path: Path, name: str) -> tuple[str, dict[str, Any], Mapping[bytes, bytes]]:
    """Name of a file's geometry column, what its metadata say about it, and all metadata.

    Args:
        path: an existing file.
        name: of the file, for messages.

    Raises:
        DataError: if it has no geometry, as plain Parquet has none.
    """
    metadata = pyarrow.parquet.read_metadata(path.absolute()).metadata or {}
    if b"geo" not in metadata:
        raise DataError(
            f"{name} is plain Parquet, whose geometry nothing describes (it has no metadata 'geo'); save the layer as "
            "GeoParquet, or as .gpkg"
        )
    geo = json.loads(metadata[b"geo"])
    column = str(geo["primary_column"])
    return column, geo["columns"][column], metadata


def crs_of(about: Mapping[str, Any]) -> pyproj.CRS | None:
    """The CRS of a geometry column; a missing one means longitude and latitude (GeoParquet 1.1), null means none."""
    crs = about.get("crs", WGS84)
    return None if crs is None else pyproj.CRS.from_user_input(crs)


def shapes_of(column: pyarrow.Array, about: Mapping[str, Any]) -> Any:
    """(N,) geometries of a column, which is encoded as WKB or, since GeoParquet 1.1, as GeoArrow."""
    encoding = str(about.get("encoding", "WKB")).lower()
    if encoding == "wkb":
        return shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    kind = {b"ARROW:extension:name": f"geoarrow.{encoding}".encode()}
    field = pyarrow.field("geometry", column.type, metadata=kind)
    table = pyarrow.Table.from_arrays([column], schema=pyarrow.schema([field]))
    return geopandas.GeoDataFrame.from_arrow(table).geometry.to_numpy()
