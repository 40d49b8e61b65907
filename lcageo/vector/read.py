"""Layers of found objects, read part by part with how they came about, whatever their format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pyarrow
import pyarrow.parquet
import pyogrio
import pyproj
import shapely

from lcageo.errors import DataError
from lcageo.geodesy import WGS84
from lcageo.vector.columns import COLUMNS
from lcageo.vector.formats import VectorFormat, format_of, sidecar
from lcageo.vector.record import RunRecord

PART = 50_000
"""Features in memory at a time."""
READ_ERRORS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyarrow.ArrowException,
    ValueError,
    OSError,
)
_HEAD = 1 << 20
"""Bytes of a GeoJSON file in which its foreign members are looked for: GDAL writes them first."""
_NUMBERS = {column.name: "Int64" if column.is_whole else "float64" for column in COLUMNS if column.is_number}
"""Types that tolerate missing values, for files that have text only."""
_NULLABLE = {
    pyarrow.int16(): pd.Int16Dtype(),
    pyarrow.int32(): pd.Int32Dtype(),
    pyarrow.int64(): pd.Int64Dtype(),
    pyarrow.bool_(): pd.BooleanDtype(),
}
"""Types that stay what they are where an object that somebody drew has no value: all parts must have the same."""


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A vector file with one layer of objects."""

    path: Path
    layer: str | None
    """Its name; None in GeoParquet, which holds one."""
    crs: pyproj.CRS | None
    record: RunRecord
    """What `write_layer` was given; empty for a layer of another origin."""

    def parts(self, count: int = PART, columns: Sequence[str] | None = None) -> Iterator[geopandas.GeoDataFrame]:
        """Its features in their order, some at a time.

        Args:
            count: features in a part, at most.
            columns: attributes to read; None: all.

        Raises:
            DataError: if they cannot be read.
        """
        try:
            if self.layer is None:
                with pyarrow.parquet.ParquetFile(self.path) as file:
                    geometry = json.loads(file.metadata.metadata[b"geo"])["primary_column"]
                    wanted = None if columns is None else [*columns, geometry]
                    for batch in file.iter_batches(count, columns=wanted):
                        yield self._frame(batch, geometry)
            else:
                with pyogrio.open_arrow(
                    self.path, layer=self.layer, columns=columns, batch_size=count, use_pyarrow=True
                ) as (about, rows):
                    for batch in rows:
                        yield self._frame(batch, about["geometry_name"] or "wkb_geometry")
        except READ_ERRORS as error:
            raise DataError(f"'{self.path}' cannot be read to its end ({error})") from error

    def read(self, columns: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """All its features; arguments and errors as in `parts`."""
        parts = [part for part in self.parts(columns=columns) if len(part)]
        if not parts:
            return geopandas.GeoDataFrame(geometry=[], crs=self.crs)
        return pd.concat(parts, ignore_index=True)

    def _frame(self, batch: pyarrow.RecordBatch, geometry: str) -> geopandas.GeoDataFrame:
        table = batch.to_pandas(types_mapper=_NULLABLE.get)
        shapes = shapely.from_wkb(table.pop(geometry).to_numpy())
        if _has_text_only(self.path):
            table = table.drop(columns="WKT", errors="ignore")  # the geometry as the file has it
            for name in _NUMBERS.keys() & set(table.columns):
                table[name] = pd.to_numeric(table[name], errors="coerce").astype(_NUMBERS[name])
        return geopandas.GeoDataFrame(table, geometry=shapes, crs=self.crs)


def open_layer(path: Path, option: str) -> LayerFile:
    """What a vector file says of itself.

    Args:
        path: the file.
        option: what the user named it with, for messages.

    Raises:
        DataError: if it cannot be read, or has no layer with geometry, or several.
    """
    name = f"{option} '{path}'".strip()
    if not path.exists() and not str(path).startswith("/vsi"):
        raise DataError(f"{name} does not exist; check the path")
    try:
        if path.suffix.lower() == ".parquet":
            return _open_parquet(path)
        layer = geometry_layer(path, name)
        info = pyogrio.read_info(path, layer=layer)
        record = RunRecord.from_json(_record_json(path, info["layer_metadata"] or {}))
        crs = record.crs if _has_text_only(path) else info["crs"]
        return LayerFile(path, layer, None if crs is None else pyproj.CRS.from_user_input(crs), record)
    except (*READ_ERRORS, LookupError) as error:
        raise DataError(f"{name} is not a vector layer that can be opened ({error})") from error


def geometry_layer(path: Path, name: str) -> str:
    """The layer of a file that has one with geometry (others, such as styles, are tables).

    Raises:
        DataError: if there is none, or several.
    """
    layers = [str(layer) for layer, geometry in pyogrio.list_layers(path) if geometry is not None]
    if len(layers) == 1:
        return layers[0]
    what = f"several layers ({', '.join(layers)}); save the one to use" if layers else "no layer with geometry; save it"
    raise DataError(f"{name} has {what} by itself, for instance as .gpkg")


def _has_text_only(path: Path) -> bool:
    form = format_of(path)
    return isinstance(form, VectorFormat) and form.text_only


def _open_parquet(path: Path) -> LayerFile:
    metadata = pyarrow.parquet.read_metadata(path).metadata or {}
    geo = json.loads(metadata[b"geo"])
    about = geo["columns"][geo["primary_column"]].get("crs", WGS84)  # GeoParquet 1.1: left out means OGC:CRS84
    crs = None if about is None else pyproj.CRS.from_user_input(about)
    return LayerFile(path, None, crs, RunRecord.from_json(json.loads(metadata.get(b"lcageo", b"{}"))))


def _record_json(path: Path, metadata: dict[str, str]) -> Any:
    """The record of a layer, from where `write_layer` puts it in this format."""
    if path.suffix.lower() in (".geojson", ".json"):
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
        place = head.find('"lcageo":')
        text = head[place + len('"lcageo":') :].lstrip() if 0 <= place < head.find('"features"') else "{}"
        found, _ = json.JSONDecoder().raw_decode(text)
    elif sidecar(path).is_file():
        found = json.loads(sidecar(path).read_text("utf-8"))
    else:
        found = json.loads(metadata.get("lcageo") or metadata.get("DESCRIPTION") or "{}")
    return found
