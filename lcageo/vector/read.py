"""Layers of objects, in any format, read part by part with the record of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import DataError
from lcageo.layer_source import LAYER_MARK, LayerSource, shown
from lcageo.plain_path import plain_path
from lcageo.remote import public
from lcageo.vector.columns import CLASS_COLUMNS, COLUMNS, SCORE_COLUMNS, first_column
from lcageo.vector.formats import POSITIONS, VectorFormat, format_of
from lcageo.vector.geoparquet import SUFFIXES, about_geometry, crs_of, shapes_of
from lcageo.vector.record import RunRecord, record_json
from lcageo.vector.values import are_numbers, class_texts, score_numbers, type_in_pandas, without_dictionaries

FloatArray = NDArray[np.float64]

PER_CENT = 100.0
LARGEST_SCORE = 1.5
"""Scores above it go to 100: rounding and the fusion of boxes can make some a little larger than 1."""
PART = 50_000
"""Maximum number of features in memory at a time."""
READ_ERRORS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyarrow.ArrowException,
    ValueError,
    OSError,
)
_NUMBERS = {column.name: "Int64" if column.is_whole else "float64" for column in COLUMNS if column.is_number}
"""Types that allow missing values, for files with text only."""
_MEASURES = _NUMBERS.keys() - {"id", "score"}
"""Columns that hold numbers wherever they are used; of another program, they may be text with a meaning of its own."""


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
    """The columns of the file that become `class` and `score`, by these names; see `as_objects`."""
    score_unit: float = 1.0
    """What a score of 1 is in the file."""
    subset: str | None = None
    """Condition in SQL that the features meet; None: all of the file's."""
    numbers: frozenset[str] = frozenset()
    """The columns that hold nothing but numbers, in a format of text only."""

    @property
    def name(self) -> str:
        """The file, as it may be told."""
        return shown(self.path)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the file's attributes."""
        if self.layer is None:
            geometry, _, _ = about_geometry(self.path, f"'{self.name}'")
            names = pyarrow.parquet.read_schema(self.path.absolute()).names
            return tuple(name for name in names if name != geometry)
        with plain_path(self.path) as path:
            return tuple(map(str, pyogrio.read_info(path, layer=self.layer)["fields"]))

    def as_objects(self, class_field: str | None = None, with_scores: bool = True) -> tuple[LayerFile, tuple[str, ...]]:
        """The layer with its classes, as text, in `class` and its scores, 0 to 1, in `score`, and messages about that.

        Args:
            class_field: attribute of the classes; None: the first of CLASS_COLUMNS that exists.
            with_scores: whether there may be scores; in true objects, `confidence` is something else.

        Raises:
            DataError: if there is no such attribute, or the scores cannot be read.
        """
        columns, notes = self.columns, []
        classes = first_column(columns, CLASS_COLUMNS if class_field is None else (class_field,))
        if classes is None and class_field is not None:
            raise DataError(
                f"'{self.name}' has no attribute '{class_field}' (--class-field); it has {', '.join(columns) or 'none'}"
            )
        scores = first_column(columns, SCORE_COLUMNS) if with_scores else None
        taken_for: dict[str, str] = {}
        for own, name in ((classes, "class"), (scores, "score")):
            if own is None:
                continue
            taken_for[name] = own
            if own != name:
                what = "classes" if name == "class" else "scores"
                how = " (--class-field chooses another)" if class_field is None and name == "class" else ""
                notes.append(f"{what} of '{self.name}' are read from its column '{own}'{how}")
        layer = replace(self, taken_for=taken_for)
        if scores is None or self.record.model is not None:
            return layer, tuple(notes)
        parts = (float(part["score"].max()) for part in layer.parts(columns=[scores]))
        highest = max((one for one in parts if not np.isnan(one)), default=0.0)
        if LARGEST_SCORE < highest <= PER_CENT:
            notes.append(f"scores of '{self.name}' go up to {highest:g}: they are taken for per cent")
            layer = replace(layer, score_unit=PER_CENT)
        elif highest > PER_CENT:
            notes.append(
                f"scores of '{self.name}' go up to {highest:g}: they are neither from 0 to 1 nor per cent, so a "
                "minimum score does not select among them; divide them first"
            )
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
            yield from self._parquet_parts(count, columns) if self.layer is None else self._gdal_parts(count, columns)
        except READ_ERRORS as error:
            raise DataError(f"'{self.name}' cannot be read to its end ({error})") from error

    def _parquet_parts(self, count: int, columns: Sequence[str] | None) -> Iterator[geopandas.GeoDataFrame]:
        geometry, about, _ = about_geometry(self.path, f"'{self.name}'")
        wanted, first = None if columns is None else [*columns, geometry], 0
        with pyarrow.parquet.ParquetFile(self.path.absolute()) as file:
            for batch in file.iter_batches(count, columns=wanted):
                shapes = shapes_of(batch.column(geometry), about)
                yield self._frame(without_dictionaries(batch, coded=False), geometry, shapes, first)
                first += len(batch)

    def _gdal_parts(self, count: int, columns: Sequence[str] | None) -> Iterator[geopandas.GeoDataFrame]:
        how, first = {"layer": self.layer, "where": self.subset}, 0
        with (
            plain_path(self.path) as path,
            pyogrio.open_arrow(path, columns=columns, batch_size=count, use_pyarrow=True, **how) as opened,
        ):
            about, rows = opened
            geometry = about["geometry_name"] or "wkb_geometry"
            for batch in rows:
                try:
                    shapes = shapely.from_wkb(batch.column(geometry).to_numpy(zero_copy_only=False))
                except (NotImplementedError, shapely.errors.GEOSException):
                    shapes = _linear(path, first, len(batch), how, f"'{self.name}'")
                # A field with a domain of codes comes as a dictionary of what they mean, which are names of classes.
                named = {self.taken_for.get("class")}
                named |= {name for name in batch.schema.names if name.lower() in CLASS_COLUMNS}
                yield self._frame(without_dictionaries(batch, coded=True, named=named), geometry, shapes, first)
                first += len(batch)

    def read(self, columns: Sequence[str] | None = None) -> geopandas.GeoDataFrame:
        """Reads all features; arguments and errors as in `parts`."""
        parts = [part for part in self.parts(columns=columns) if len(part)]
        if not parts:
            return geopandas.GeoDataFrame(geometry=[], crs=self.crs)
        return pd.concat(parts, ignore_index=True)

    def _frame(self, batch: pyarrow.RecordBatch, geometry: str, shapes: Any, first: int) -> geopandas.GeoDataFrame:
        """A batch of features, the first of which has this position in the file, as a frame."""
        self._check_encoding(batch)
        table = batch.drop_columns([geometry]).to_pandas(types_mapper=type_in_pandas)
        form = _vector_format(self.path)
        is_text = form is not None and form.text_only
        if is_text:
            table = table.drop(columns=["WKT", *POSITIONS], errors="ignore")  # the geometry as text, and made of it
        for name, own in self.taken_for.items():
            if own in table:
                table = _taken_for(table, own, name)
        if is_text:
            for name in self.numbers & set(table.columns) - self.taken_for.keys():
                table[name] = pd.to_numeric(table[name], errors="coerce").astype(_NUMBERS[name])
        if "class" in table and "class" in self.taken_for:
            table["class"] = pd.Series(class_texts(table["class"]), table.index, "str").replace("", None)
        if "score" in table and "score" in self.taken_for:
            table["score"] = self._scores(table["score"], first)
        numbers = {name for name in _NUMBERS if name in table and pd.api.types.is_numeric_dtype(table[name])}
        others = (_MEASURES & set(table.columns)) - numbers
        for name in numbers:  # as float64 also decimals, and lengths in whole metres, which may be measured anew
            if _NUMBERS[name] == "float64" or isinstance(table[name].dtype, pd.ArrowDtype):
                table[name] = table[name].astype("float64")
        table = table.rename(columns={name: f"{name}_own" for name in others} | {"geometry": "geometry_own"})
        return geopandas.GeoDataFrame(table, geometry=shapes, crs=self.crs)

    def _scores(self, column: pd.Series, first: int) -> FloatArray:
        """Scores from 0 to 1."""
        scores, wrong = score_numbers(column)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"'{self.name}': feature {first + row + 1} has the score '{column.iloc[row]}', not a number; fix it, "
                "or remove the column"
            )
        return scores / self.score_unit

    def _check_encoding(self, batch: pyarrow.RecordBatch) -> None:
        """Refuses text that is not UTF-8: GDAL passes on what no file of the layer names the encoding of."""
        try:
            batch.validate(full=True)
        except pyarrow.ArrowInvalid as error:
            if "UTF8" not in str(error):
                raise
            if self.path.suffix.lower() == ".shp":
                remedy = f"name its encoding in '{self.path.with_suffix('.cpg')}', such as 1252 for that of Windows"
            else:
                remedy = "save it in UTF-8, for instance with 'iconv -f WINDOWS-1252 -t UTF-8 IN > OUT'"
            raise DataError(f"'{self.name}' has text in an unknown encoding, not UTF-8; {remedy}") from error


def _linear(path: str, first: int, count: int, how: Mapping[str, Any], name: str) -> Any:
    """(N,) geometries of a layer with curves, as polygons and lines: GDAL makes them unless it writes Arrow."""
    _, _, content, _ = pyogrio.raw.read(path, columns=[], skip_features=first, max_features=count, **how)
    try:
        return shapely.from_wkb(content)
    except (NotImplementedError, shapely.errors.GEOSException) as error:
        raise DataError(
            f"{name} has geometries of a kind that cannot be read ({error}); make polygons of them, for instance with "
            "'ogr2ogr -nlt MULTIPOLYGON OUT.gpkg IN'"
        ) from error


def _numbers_in_text(path: Path, layer: str) -> frozenset[str]:
    """Our columns of a file of text that hold nothing but numbers."""
    with plain_path(path) as plain:
        names = sorted(_NUMBERS.keys() & set(map(str, pyogrio.read_info(plain, layer=layer)["fields"])))
        if not names:
            return frozenset()
        numbers = set(names)
        how = {"layer": layer, "columns": names, "read_geometry": False, "batch_size": PART, "use_pyarrow": True}
        with pyogrio.open_arrow(plain, **how) as (_, rows):
            for batch in rows:
                numbers &= {name for name in names if are_numbers(batch.column(name).to_pandas(), _NUMBERS[name])}
    return frozenset(numbers)


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
            return _open_parquet(source, name)
        layer = geometry_layer(path, name, source.layer)
        with plain_path(path) as plain:
            info = pyogrio.read_info(plain, layer=layer)
        record = RunRecord.from_json(record_json(path, form, info["layer_metadata"] or {}))
        crs = info["crs"]
        if form is not None and form.text_only:
            crs = record.crs or crs  # GDAL knows what a .prj beside it says
        if record.of_pixels and path.suffix.lower() in (".geojson", ".json"):
            crs = None  # GDAL takes its coordinates for longitudes and latitudes
        known = None if crs is None else pyproj.CRS.from_user_input(crs)
        numbers = _numbers_in_text(path, layer) if form is not None and form.text_only else frozenset()
        return LayerFile(path, layer, known, record, subset=source.subset, numbers=numbers)
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
    form = format_of(path.with_suffix(SUFFIXES[0]) if path.suffix.lower() in SUFFIXES else path)
    return form if isinstance(form, VectorFormat) else None


def _open_parquet(source: LayerSource, name: str) -> LayerFile:
    if source.gdal_path is not None:
        raise DataError(f"{name} is GeoParquet, which is only read from a disk; download it first")
    if source.subset is not None:
        raise DataError(f"{name} is GeoParquet, which is read without a filter; save the selection as a layer first")
    _, about, metadata = about_geometry(source.path, name)
    record = RunRecord.from_json(json.loads(metadata.get(b"lcageo", b"{}")))
    return LayerFile(source.path, None, crs_of(about), record)
