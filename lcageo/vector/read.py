"""Layers of objects, in any format, read part by part with the record of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from lcageo.layer_source import LAYER_MARK, LayerSource
from lcageo.plain_path import plain_path
from lcageo.remote import public
from lcageo.vector.columns import CLASS_COLUMNS, COLUMNS, SCORE_COLUMNS, first_column
from lcageo.vector.formats import POSITIONS, RecordPlace, VectorFormat, format_of, sidecar
from lcageo.vector.record import RunRecord

PER_CENT = 100.0
PART = 50_000
"""Maximum number of features in memory at a time."""
READ_ERRORS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyarrow.ArrowException,
    ValueError,
    OSError,
)
_HEAD = 1 << 20
"""Bytes of a GeoJSON file that are searched for foreign members: GDAL writes them first."""
_NUMBERS = {column.name: "Int64" if column.is_whole else "float64" for column in COLUMNS if column.is_number}
"""Types that allow missing values, for files with text only."""
_NULLABLE = {
    pyarrow.int16(): pd.Int16Dtype(),
    pyarrow.int32(): pd.Int32Dtype(),
    pyarrow.int64(): pd.Int64Dtype(),
    pyarrow.bool_(): pd.BooleanDtype(),
}
"""Types that allow missing values, as in objects drawn by hand: all parts must have the same types."""


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A vector file with one layer of objects."""

    path: Path
    layer: str | None
    """Name of the layer; None in GeoParquet, which has only one."""
    crs: pyproj.CRS | None
    record: RunRecord
    """Record of the run; empty for a layer that lcageo did not write."""
    taken_for: Mapping[str, str] = field(default_factory=dict)
    """Columns that a column of the file is repeated as: `class`, `score`; see `as_objects`."""
    score_unit: float = 1.0
    """What a score of 1 is in the file."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the file's attributes."""
        if self.layer is None:
            about = pyarrow.parquet.read_metadata(self.path.absolute())
            geometry = json.loads(about.metadata[b"geo"])["primary_column"]
            return tuple(name for name in about.schema.to_arrow_schema().names if name != geometry)
        with plain_path(self.path) as path:
            return tuple(map(str, pyogrio.read_info(path, layer=self.layer)["fields"]))

    def as_objects(self, class_field: str | None = None) -> tuple[LayerFile, tuple[str, ...]]:
        """The layer with its classes in `class` and its scores, 0 to 1, in `score`, and messages about that.

        Args:
            class_field: attribute of the classes, ignoring case; None: the first of CLASS_COLUMNS that exists.

        Raises:
            DataError: if there is no such attribute, or the scores cannot be read.
        """
        columns, notes = self.columns, []
        classes = first_column(columns, CLASS_COLUMNS if class_field is None else (class_field,))
        if classes is None and class_field is not None:
            raise DataError(
                f"'{self.path}' has no attribute '{class_field}' (--class-field); it has {', '.join(columns) or 'none'}"
            )
        scores = first_column(columns, SCORE_COLUMNS)
        taken_for: dict[str, str] = {}
        for own, name in ((classes, "class"), (scores, "score")):
            if own is not None and own != name:
                taken_for[own] = name
                what = "classes" if name == "class" else "scores"
                how = " (--class-field chooses another)" if class_field is None and name == "class" else ""
                notes.append(f"{what} of '{self.path}' are read from its column '{own}'{how}")
        layer = replace(self, taken_for=taken_for)
        if scores is None or self.record.model is not None:
            return layer, tuple(notes)
        parts = (pd.to_numeric(part["score"], errors="coerce").max() for part in layer.parts(columns=[scores]))
        highest = max((float(one) for one in parts if pd.notna(one)), default=0.0)
        if 1 < highest <= PER_CENT:
            notes.append(f"scores of '{self.path}' go up to {highest:g}: they are taken for per cent")
            layer = replace(layer, score_unit=PER_CENT)
        return layer, tuple(notes)

    def parts(self, count: int = PART, columns: Sequence[str] | None = None) -> Iterator[geopandas.GeoDataFrame]:
        """Yields the features in their order, in parts.

        Args:
            count: maximum number of features in a part.
            columns: attributes to read; None for all.

        Raises:
            DataError: if they cannot be read.
        """
        try:
            if self.layer is None:
                with pyarrow.parquet.ParquetFile(self.path.absolute()) as file:
                    geometry = json.loads(file.metadata.metadata[b"geo"])["primary_column"]
                    wanted = None if columns is None else [*columns, geometry]
                    for batch in file.iter_batches(count, columns=wanted):
                        yield self._frame(batch, geometry)
            else:
                with (
                    plain_path(self.path) as path,
                    pyogrio.open_arrow(
                        path, layer=self.layer, columns=columns, batch_size=count, use_pyarrow=True
                    ) as opened,
                ):
                    about, rows = opened
                    for batch in rows:
                        yield self._frame(batch, about["geometry_name"] or "wkb_geometry")
        except READ_ERRORS as error:
            raise DataError(f"'{self.path}' cannot be read to its end ({error})") from error

    def read(self, columns: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """Reads all features; arguments and errors as in `parts`."""
        parts = [part for part in self.parts(columns=columns) if len(part)]
        if not parts:
            return geopandas.GeoDataFrame(geometry=[], crs=self.crs)
        return pd.concat(parts, ignore_index=True)

    def _frame(self, batch: pyarrow.RecordBatch, geometry: str) -> geopandas.GeoDataFrame:
        table = batch.to_pandas(types_mapper=_NULLABLE.get)
        shapes = shapely.from_wkb(table.pop(geometry).to_numpy())
        form = _vector_format(self.path)
        if form is not None and form.text_only:
            table = table.drop(columns=["WKT", *POSITIONS], errors="ignore")  # the geometry as text, and made of it
        for own in self.taken_for.keys() & set(table.columns):
            table = _taken_for(table, own, self.taken_for[own])
        if form is not None and form.text_only:
            for name in _NUMBERS.keys() & set(table.columns):
                table[name] = pd.to_numeric(table[name], errors="coerce").astype(_NUMBERS[name])
        if self.score_unit != 1:
            table["score"] = pd.to_numeric(table["score"], errors="coerce").astype("Float64") / self.score_unit
        return geopandas.GeoDataFrame(table, geometry=shapes, crs=self.crs)


def _taken_for(table: pd.DataFrame, own: str, name: str) -> pd.DataFrame:
    """A table with a column under another name, too; most formats take names that differ in case for the same."""
    others = {column: f"{column}_own" for column in table.columns if column != own and column.lower() == name}
    table = table.rename(columns=others if own.lower() != name else {**others, own: name})
    return table if own.lower() == name else table.assign(**{name: table[own]})


def open_layer(path: Path, option: str) -> LayerFile:
    """Opens a layer of objects: the only one of a file or URL, or the one that is named.

    Args:
        path: the file or URL, with '|layername=NAME' behind it where it has several layers.
        option: the option that names the file, for messages.

    Raises:
        DataError: if it cannot be read, has no such layer, or several and none is named.
    """
    source = LayerSource.of(path)
    path, name = source.path, f"{option} '{source}'".strip()
    if source.gdal_path is None and not path.exists():
        raise DataError(f"{name} does not exist; check the path")
    form = _vector_format(path)
    try:
        if form is not None and form.driver == "Parquet":
            if source.gdal_path is not None:
                raise DataError(f"{name} is GeoParquet, which is only read from a disk; download it first")
            return _open_parquet(path)
        layer = geometry_layer(path, name, source.layer)
        with plain_path(path) as plain:
            info = pyogrio.read_info(plain, layer=layer)
        record = RunRecord.from_json(_record_json(path, info["layer_metadata"] or {}))
        crs = record.crs if form is not None and form.text_only else info["crs"]
        return LayerFile(path, layer, None if crs is None else pyproj.CRS.from_user_input(crs), record)
    except (*READ_ERRORS, LookupError) as error:
        raise DataError(f"{name} is not a vector layer that can be opened ({error})") from error


def geometry_layer(path: Path, name: str, wanted: str | None = None) -> str:
    """Name of a layer with geometry in a file: the one wanted, else the only one. Plain tables, as of styles, are none.

    Raises:
        DataError: if there is none, or several and none is wanted.
    """
    with plain_path(path) as plain:
        layers = [str(layer) for layer, geometry in pyogrio.list_layers(plain) if geometry is not None]
    if wanted is not None and layers:
        if wanted not in layers:
            raise DataError(f"{name} has no layer of this name, only {', '.join(layers)}")
        return wanted
    if len(layers) == 1:
        return layers[0]
    if layers:
        raise DataError(
            f"{name} has several layers ({', '.join(layers)}); name one, in quotes: "
            f"'{public(path.name)}{LAYER_MARK}{layers[0]}'"
        )
    raise DataError(f"{name} has no layer with geometry; save the layer with its geometry, as .gpkg")


def _vector_format(path: Path) -> VectorFormat | None:
    form = format_of(path)
    return form if isinstance(form, VectorFormat) else None


def _open_parquet(path: Path) -> LayerFile:
    metadata = pyarrow.parquet.read_metadata(path.absolute()).metadata or {}
    geo = json.loads(metadata[b"geo"])
    about = geo["columns"][geo["primary_column"]].get("crs", WGS84)  # GeoParquet 1.1: a missing CRS means OGC:CRS84
    crs = None if about is None else pyproj.CRS.from_user_input(about)
    return LayerFile(path, None, crs, RunRecord.from_json(json.loads(metadata.get(b"lcageo", b"{}"))))


def _record_json(path: Path, metadata: dict[str, str]) -> Any:
    """The record of the run as JSON, from where `write_layer` puts it in this format; None if something else is there.

    Other programs keep a description in words in the same position.
    """
    try:
        return json.JSONDecoder().raw_decode(_record_text(path, metadata))[0]
    except ValueError:
        return None


def _record_text(path: Path, metadata: dict[str, str]) -> str:
    """Text that starts with the record, if there is one."""
    form = _vector_format(path)
    if not path.is_file():  # a URL, or inside an archive
        return metadata.get("lcageo") or metadata.get("DESCRIPTION") or ""
    is_geojson = path.suffix.lower() == ".json"  # as other programs name it
    if is_geojson or (form is not None and form.record is RecordPlace.FOREIGN_MEMBER):
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
        start = head.find('"lcageo":')
        return head[start + len('"lcageo":') :].lstrip() if 0 <= start < head.find('"features"') else ""
    if sidecar(path).is_file():
        return sidecar(path).read_text("utf-8")
    return metadata.get("lcageo") or metadata.get("DESCRIPTION") or ""
