"""Map features -> a vector file in any format."""

from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pyogrio
import pyproj
import shapely

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.geodesy import WGS84, has_esri_wkt, to_longitude_latitude
from lcageo.plain_path import plain_draft
from lcageo.vector.features import ToMap, features, to_wgs84, with_positions, without_heights
from lcageo.vector.formats import RecordPlace, VectorFormat, sidecar
from lcageo.vector.geoparquet import parquet_table, text_columns, write_parquet
from lcageo.vector.record import RunRecord
from lcageo.vector.style import COLUMNS, classes_in, hidden_below, qml, write_style
from lcageo.vector.target import FileTarget

# All layers are written as drafts, which are made safe on the disk once, before they are moved into place: when SQLite
# waits for the disk at each step, that takes some ninety milliseconds a layer.
pyogrio.set_gdal_config_options({"OGR_SQLITE_SYNCHRONOUS": "OFF"})

GDAL_DIGITS = 19
"""Most digits of a decimal number that GDAL takes from Arrow; those of more are written as text, which keeps them."""
SHAPEFILE_TEXT = 254
"""Most bytes of a text in a Shapefile; GDAL cuts off the rest."""
GDAL_ERRORS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPart:
    """Some of a layer's features in the form that a file format stores, which any process can make."""

    table: pyarrow.Table
    """Attributes, and the geometry as WKB; for GeoParquet with the metadata of these features."""
    crs: str | None
    """WKT of the CRS."""
    geometry_type: str
    """The geometry type that the layer declares."""
    classes: dict[str, int] | None
    """Class names with the number that determines each one's colour; None for layers of something else."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the objects of a scene become features of a layer: the same for all parts of it; see `features`."""

    classes: tuple[str, ...]
    to_map: ToMap
    """Of a kind that can be pickled."""
    crs: pyproj.CRS | None
    scene: str
    form: VectorFormat


def encoded_objects(encoding: Encoding, part: tuple[int, Detections]) -> EncodedPart:
    """Encodes detections, given with the id of the first one."""
    how = encoding
    return encoded(features(part[1], how.classes, how.to_map, how.crs, how.scene, part[0]), how.form)


def encoded(part: geopandas.GeoDataFrame, form: VectorFormat) -> EncodedPart:
    """Encodes some features for a format.

    Raises:
        OutputError: if the format requires longitude and latitude, which they cannot be transformed to, or cannot store
            their CRS or a text.
    """
    part = without_heights(part)  # layers are declared to have none
    crs, declared = part.crs, _geometry_type(part, form)
    classes = classes_in(part) if set(part.columns) >= COLUMNS else None
    part = with_allowed_names(part, form)
    if form.driver == "Parquet":
        return EncodedPart(parquet_table(part), None, declared, classes)
    if form.longitude_latitude and crs is not None:
        part, crs = to_wgs84(part), WGS84
    if form.positions and crs is not None and to_longitude_latitude(pyproj.CRS(crs)):
        part = with_positions(part)
    table = _table(part)
    if form.driver == "ESRI Shapefile":
        _check_shapefile_holds(table, None if crs is None else pyproj.CRS(crs))
    return EncodedPart(table, None if crs is None else pyproj.CRS(crs).to_wkt(), declared, classes)


def with_allowed_names(part: geopandas.GeoDataFrame, form: VectorFormat) -> geopandas.GeoDataFrame:
    """The features with names of attributes that a format takes."""
    return part.rename(columns=form.renamed([name for name in part.columns if name != part.geometry.name]))


def _check_shapefile_holds(table: pyarrow.Table, crs: pyproj.CRS | None) -> None:
    """Refuses what GDAL would leave out of a Shapefile, or cut off, without an error."""
    if crs is not None and not has_esri_wkt(crs):
        raise OutputError(
            f"a Shapefile cannot store the layer's CRS ({crs.name}), which ESRI's WKT does not have; use another "
            "format, such as .gpkg"
        )
    for name in text_columns(table.schema):
        column = table.column(name)
        too_long = column.filter(pyarrow.compute.greater(pyarrow.compute.binary_length(column), SHAPEFILE_TEXT))
        if len(too_long):
            raise OutputError(
                f"'{too_long[0].as_py()[:40]}...' in column '{name}' has more than the {SHAPEFILE_TEXT} bytes that a "
                "Shapefile stores; use another format, such as .gpkg"
            )


def write_layer(
    parts: Iterable[geopandas.GeoDataFrame], record: RunRecord, target: FileTarget, style: str | None = None
) -> None:
    """Writes a layer with the record of the run; the file must not exist yet.

    GeoJSON is written in WGS 84, every other format in the layer's own CRS. Objects with class and score get a style
    for QGIS.

    Args:
        parts: the layer's features in their order, at least one part (which may be empty), all with the same columns
            and CRS. One part is in memory at a time.
        record: record of the run.
        target: the file, a map layer.
        style: QML for QGIS, in place of the style that objects with class and score get.

    Raises:
        OutputError: if it cannot be written, for instance because the disk is full.
    """
    form = target.vector_format
    write_encoded((encoded(part, form) for part in parts), record, target, style)


def write_encoded(
    parts: Iterable[EncodedPart], record: RunRecord, target: FileTarget, style: str | None = None
) -> None:
    """Writes a layer whose parts are encoded for the target's format; otherwise as `write_layer`."""
    path, form = target.path, target.vector_format
    counted = _CountedTables(parts)
    try:
        with plain_draft(path) as draft:
            _write(counted, record, target.at(draft))
            if form.record is RecordPlace.BESIDE:
                sidecar(draft).write_text(json.dumps(record.as_json(), indent=1), encoding="utf-8")
            check_complete(draft, form.driver, counted.features)
            if style is None and counted.classes is not None:
                style = qml(counted.classes, hidden_below(record))
            if style is not None:
                write_style(style, target.at(draft))
    except (OSError, *GDAL_ERRORS) as error:
        raise OutputError(f"output '{path.name}' cannot be written: {error}; is the disk full or read-only?") from error


class _CountedTables:
    """The tables of a layer's parts, which count features and collect classes as they are iterated."""

    def __init__(self, parts: Iterable[EncodedPart]) -> None:
        self._parts = iter(parts)
        self.first = next(self._parts)
        self.features = 0
        self.classes: dict[str, int] | None = None if self.first.classes is None else {}

    def __iter__(self) -> Iterator[pyarrow.Table]:
        for part in chain([self.first], self._parts):
            self.features += len(part.table)
            if self.classes is not None:
                self.classes |= part.classes or {}
            yield part.table


class CountedParts:
    """Parts of a layer that count the features and collect the classes as they are iterated."""

    def __init__(self, parts: Iterable[geopandas.GeoDataFrame]) -> None:
        self._parts = iter(parts)
        self.first = next(self._parts)
        self.features = 0
        self.classes: dict[str, int] | None = {} if set(self.first.columns) >= COLUMNS else None

    def __iter__(self) -> Iterator[geopandas.GeoDataFrame]:
        for part in chain([self.first], self._parts):
            self.features += len(part)
            if self.classes is not None:
                self.classes |= classes_in(part)
            yield part


def _write(tables: _CountedTables, record: RunRecord, target: FileTarget) -> None:
    draft, form, first = target.path, target.vector_format, tables.first
    rows: Iterable[pyarrow.Table] = tables
    text, options = json.dumps(record.as_json()), dict(form.options)
    if form.driver == "Parquet":
        write_parquet(tables, text, draft)
        return
    if form.longitude_latitude and first.crs is None and "RFC7946" in options:
        options["RFC7946"] = "NO"  # pixels: RFC 7946 allows only longitude and latitude
    if form.record is RecordPlace.FOREIGN_MEMBER:
        # The driver puts these members beside "features"; RFC 7946, section 6.1, allows foreign members.
        options |= {"NATIVE_DATA": json.dumps({"type": "FeatureCollection", "lcageo": record.as_json()})}
        options |= {"NATIVE_MEDIA_TYPE": "application/vnd.geo+json"}
    if form.record is RecordPlace.DESCRIPTION:
        options |= {"TITLE": target.name, "DESCRIPTION": text}
    if form.driver == "FlatGeobuf":  # its index takes no feature without geometry
        if _all_placed(first.table):
            rows = _refused_unplaced(tables)
        else:
            options |= {"SPATIAL_INDEX": "NO"}
    with warnings.catch_warnings():
        # A scene without CRS gives a layer without CRS; the user has already been warned.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        _write_tables(
            rows,
            draft,
            layer=target.layer,
            driver=form.driver,
            geometry_type=first.geometry_type,
            crs=first.crs,
            layer_metadata={"lcageo": text} if form.record is RecordPlace.LAYER_METADATA else None,
            layer_options=options,
            dataset_options=dict(form.file_options),
        )


def _all_placed(table: pyarrow.Table) -> bool:
    """Whether all features have a geometry that is not empty."""
    shapes = shapely.from_wkb(table.column("geometry").to_numpy())
    return not (shapely.is_missing(shapes) | shapely.is_empty(shapes)).any()


def _refused_unplaced(tables: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """The same tables; raises OutputError at a feature without geometry."""
    for table in tables:
        if not _all_placed(table):
            raise OutputError(
                "some features have no geometry, which FlatGeobuf's index does not allow; use another format, such as "
                ".gpkg"
            )
        yield table


def _geometry_type(part: geopandas.GeoDataFrame, form: VectorFormat) -> str:
    """The geometry type that a layer declares. Layers of several parts are boxes; others may hold multipolygons."""
    mixed = (shapely.get_type_id(part.geometry.to_numpy()) != shapely.GeometryType.POLYGON).any()
    return "Unknown" if mixed or form.longitude_latitude else "Polygon"  # the antimeridian cuts boxes


def write_stream(parts: Iterable[geopandas.GeoDataFrame], path: Path, **how: Any) -> None:
    """Writes at least one part as a stream, with `how` as in pyogrio.write_arrow; errors of the parts are passed on."""
    _write_tables((_table(without_heights(part)) for part in parts), path, **how)


def _table(part: geopandas.GeoDataFrame) -> pyarrow.Table:
    table = pyarrow.table(part.to_arrow(index=False, geometry_encoding="WKB"))
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_decimal(field.type) and field.type.precision > GDAL_DIGITS:
            table = table.set_column(index, field.name, table.column(index).cast(pyarrow.large_string()))
    return table


def _write_tables(tables: Iterable[pyarrow.Table], path: Path, **how: Any) -> None:
    """`write_stream` of tables, each made when GDAL asks for it."""
    failed: list[Exception] = []

    def watched() -> Iterator[pyarrow.Table]:
        try:
            first = next(iterator := iter(tables))
            for table in chain([first], iterator):  # all of the first one's types, which Arrow takes for granted
                yield table if table.schema.equals(first.schema) else table.cast(first.schema)
        except Exception as error:
            failed.append(error)
            raise

    try:
        pyogrio.write_arrow(_record_batches(watched()), path, geometry_name="geometry", **how)
    except RuntimeError as error:
        if failed:  # Arrow's stream only reports that there was an error
            raise failed[0] from error
        raise


def _record_batches(tables: Iterator[pyarrow.Table]) -> pyarrow.RecordBatchReader:
    """At least one table, all of the same types, as a stream of batches."""
    first = next(tables)
    batches = (batch for table in chain([first], tables) for batch in table.to_batches())
    return pyarrow.RecordBatchReader.from_batches(first.schema, batches)


def check_complete(path: Path, driver: str, count: int, layer: str | None = None) -> None:
    """Checks that all was written: GDAL reports some failed writes, as on a full disk, only on standard error.

    Raises:
        OSError: if the layer (by default the only one of the file) does not have as many features as it should, or its
            end is missing.
    """
    if driver == "Parquet":
        found = pyarrow.parquet.read_metadata(path.absolute()).num_rows
    elif driver == "FlatGeobuf":  # the number of features is at its start
        with pyogrio.open_arrow(path, use_pyarrow=True) as (_, batches):
            found = sum(map(len, batches))
    else:
        found = pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"]
    if found != count:
        raise OSError(f"{found} of {count} features were written")
    if driver == "ESRI Shapefile":
        _check_sizes(path, count)
    if driver == "CSV":
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                raise OSError("the end was not written")


def _check_sizes(shapefile: Path, count: int) -> None:
    """Checks the sizes of a Shapefile's files, which their headers state: GDAL opens it with any of them cut off."""
    sizes = {}
    for suffix in (".shp", ".shx"):
        with shapefile.with_suffix(suffix).open("rb") as file:
            sizes[suffix] = 2 * struct.unpack_from(">i", file.read(28), 24)[0]
    with shapefile.with_suffix(".dbf").open("rb") as file:
        records, header, record = struct.unpack_from("<IHH", file.read(12), 4)
    sizes[".dbf"] = header + records * record + 1  # a mark is at its end
    if records != count or header == 0:  # it is completed last
        raise OSError("the header of the .dbf file was not written")
    for suffix, size in sizes.items():
        if shapefile.with_suffix(suffix).stat().st_size < size:
            raise OSError(f"the end of the {suffix} file was not written")
