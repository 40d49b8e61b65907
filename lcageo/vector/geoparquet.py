"""GeoParquet: its metadata, its geometries in either of the encodings that it allows, and how it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
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


def parquet_table(part: geopandas.GeoDataFrame) -> pyarrow.Table:
    """Features as geopandas encodes them for GeoParquet, whose metadata are those of the table's schema."""
    buffer = io.BytesIO()
    part.to_parquet(buffer, index=False, compression=None, use_dictionary=False)  # read at once, so not worth packing
    return pyarrow.parquet.read_table(buffer)


def text_columns(schema: pyarrow.Schema) -> list[str]:
    """Names of the columns of text."""
    text = (pyarrow.types.is_string, pyarrow.types.is_large_string)
    return [field.name for field in schema if any(is_text(field.type) for is_text in text)]


def write_parquet(tables: Iterable[pyarrow.Table], record: str, draft: Path) -> None:
    """Writes GeoParquet; the metadata of the complete file are written at its end."""
    bounds, types = [], set[str]()
    geo: dict[str, Any] = {}
    with ExitStack() as stack:
        writer: pyarrow.parquet.ParquetWriter | None = None
        for table in tables:
            geo = json.loads(table.schema.metadata[b"geo"])
            about = geo["columns"]["geometry"]
            types |= set(about["geometry_types"])
            bounds += [about["bbox"]] if len(table) and "bbox" in about else []  # without any geometry, it has none
            table = table.replace_schema_metadata({"lcageo": record})
            if writer is None:
                # Text repeats; dictionaries of other columns save no space and take a third of the time.
                how = {"use_dictionary": text_columns(table.schema)}
                writer = stack.enter_context(pyarrow.parquet.ParquetWriter(draft.absolute(), table.schema, **how))
            writer.write_table(table)
        if bounds:
            bbox = [*np.min(bounds, axis=0)[:2].tolist(), *np.max(bounds, axis=0)[2:].tolist()]
            geo["columns"]["geometry"] |= {"bbox": bbox, "geometry_types": sorted(types)}
        assert writer is not None, "a layer has at least one part"
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
