"""Map features -> a vector file in any format."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import pyogrio
import pyproj
import shapely

from lcageo.errors import OutputError
from lcageo.geodesy import WGS84, to_longitude_latitude
from lcageo.plain_path import plain_draft
from lcageo.vector.features import to_wgs84
from lcageo.vector.formats import GEOJSON_DIGITS, RecordPlace, VectorFormat, sidecar
from lcageo.vector.record import RunRecord
from lcageo.vector.reproject import moved
from lcageo.vector.style import COLUMNS, classes_in, hidden_below, qml, write_style
from lcageo.vector.target import FileTarget

GDAL_ERRORS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)


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
    path, form = target.path, target.vector_format
    counted = CountedParts(parts)
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


def _write(parts: CountedParts, record: RunRecord, target: FileTarget) -> None:
    draft, form = target.path, target.vector_format
    text, options, crs = json.dumps(record.as_json()), dict(form.options), parts.first.crs
    if form.driver == "Parquet":
        _write_parquet(parts, text, draft)
        return
    written: Iterable[geopandas.GeoDataFrame] = parts
    if form.longitude_latitude:
        if crs is not None:
            written, crs = map(to_wgs84, parts), WGS84
        elif "RFC7946" in options:  # pixels: RFC 7946 allows only longitude and latitude
            options["RFC7946"] = "NO"
    if form.positions and crs is not None and to_longitude_latitude(pyproj.CRS(crs)):
        written = map(_with_positions, parts)
    if form.record is RecordPlace.FOREIGN_MEMBER:
        # The driver puts these members beside "features"; RFC 7946, section 6.1, allows foreign members.
        options |= {"NATIVE_DATA": json.dumps({"type": "FeatureCollection", "lcageo": record.as_json()})}
        options |= {"NATIVE_MEDIA_TYPE": "application/vnd.geo+json"}
    if form.record is RecordPlace.DESCRIPTION:
        options |= {"TITLE": target.name, "DESCRIPTION": text}
    with warnings.catch_warnings():
        # A scene without CRS gives a layer without CRS; the user has already been warned.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        write_stream(
            written,
            draft,
            layer=target.layer,
            driver=form.driver,
            geometry_type=_geometry_type(parts.first, form),
            crs=None if crs is None else pyproj.CRS(crs).to_wkt(),
            layer_metadata={"lcageo": text} if form.record is RecordPlace.LAYER_METADATA else None,
            layer_options=options,
            dataset_options=dict(form.file_options),
        )


def _with_positions(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The features with the longitude and latitude of their centres, the middle of their bounds, in degrees."""
    west, south, east, north = shapely.bounds(part.geometry.to_numpy()).reshape(-1, 4).T
    centres = shapely.points((west + east) / 2, (south + north) / 2)
    there = moved(geopandas.GeoDataFrame(geometry=centres, crs=part.crs), pyproj.CRS(WGS84)).geometry
    longitude = (there.x + 180) % 360 - 180  # a box across the antimeridian lies beyond 180
    return part.assign(longitude=longitude.round(GEOJSON_DIGITS), latitude=there.y.round(GEOJSON_DIGITS))


def _geometry_type(part: geopandas.GeoDataFrame, form: VectorFormat) -> str:
    """The geometry type that a layer declares. Layers of several parts are boxes; others may hold multipolygons."""
    mixed = (shapely.get_type_id(part.geometry.to_numpy()) != shapely.GeometryType.POLYGON).any()
    return "Unknown" if mixed or form.longitude_latitude else "Polygon"  # the antimeridian cuts boxes


def write_stream(parts: Iterable[geopandas.GeoDataFrame], path: Path, **how: Any) -> None:
    """Writes at least one part as a stream, with `how` as in pyogrio.write_arrow; errors of the parts are passed on."""
    failed: list[Exception] = []

    def watched() -> Iterator[geopandas.GeoDataFrame]:
        try:
            yield from parts
        except Exception as error:
            failed.append(error)
            raise

    try:
        pyogrio.write_arrow(_record_batches(watched()), path, geometry_name="geometry", **how)
    except RuntimeError as error:
        if failed:  # Arrow's stream only reports that there was an error
            raise failed[0] from error
        raise


def _record_batches(parts: Iterable[geopandas.GeoDataFrame]) -> pyarrow.RecordBatchReader:
    """The parts as a stream of Arrow batches, created when GDAL requests them."""
    tables = (pyarrow.table(part.to_arrow(index=False, geometry_encoding="WKB")) for part in parts)
    first = next(tables)
    batches = (batch for table in chain([first], tables) for batch in table.to_batches())
    return pyarrow.RecordBatchReader.from_batches(first.schema, batches)


def _write_parquet(parts: CountedParts, record: str, draft: Path) -> None:
    """Writes GeoParquet: geopandas encodes each part; the metadata of the complete file is written at its end."""
    bounds, types = [], set[str]()
    geo: dict[str, Any] = {}
    with ExitStack() as stack:
        writer: pyarrow.parquet.ParquetWriter | None = None
        for part in parts:
            buffer = io.BytesIO()
            part.to_parquet(buffer, index=False)
            table = pyarrow.parquet.read_table(buffer)
            geo = json.loads(table.schema.metadata[b"geo"])
            types |= set(geo["columns"]["geometry"]["geometry_types"])
            table = table.replace_schema_metadata({"lcageo": record})
            if writer is None:
                writer = stack.enter_context(pyarrow.parquet.ParquetWriter(draft.absolute(), table.schema))
            writer.write_table(table)
            bounds += [part.total_bounds] if len(part) else []
        if bounds:
            bbox = [*np.min(bounds, axis=0)[:2].tolist(), *np.max(bounds, axis=0)[2:].tolist()]
            geo["columns"]["geometry"] |= {"bbox": bbox, "geometry_types": sorted(types)}
        assert writer is not None, "a layer has at least one part"
        writer.add_key_value_metadata({"geo": json.dumps(geo)})


def check_complete(path: Path, driver: str, count: int, layer: str | None = None) -> None:
    """Checks the number of features: GDAL reports some failed writes, as on a full disk, only on standard error.

    Raises:
        OSError: if the layer (by default the only one of the file) does not have as many features as it should.
    """
    if driver == "Parquet":
        found = pyarrow.parquet.read_metadata(path.absolute()).num_rows
    else:
        found = pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"]
    if found != count:
        raise OSError(f"{found} of {count} features were written")
