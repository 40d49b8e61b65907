"""Pixel boxes -> map polygons -> a vector file in any format, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.errors import OutputError, UsageError
from lcageo.geodesy import ground_steps

FloatArray = NDArray[np.float64]
ToMap = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Map x and y of columns and rows (continuous scene pixels), arrays of one shape."""

GDAL_ERRORS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)
WGS84 = "OGC:CRS84"
GEOJSON_DIGITS = 8
"""Decimals of a degree: 1.1 mm. RFC 7946 suggests fewer, but at 0.02 m per pixel they would move corners."""


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """How one file format is written."""

    driver: str
    options: Mapping[str, str]
    metadata_inside: bool
    """Whether provenance fits into the file; else it goes beside it."""


FORMATS: Mapping[str, VectorFormat] = {
    ".geojson": VectorFormat("GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DIGITS)}, True),
    ".gpkg": VectorFormat("GPKG", {}, True),
    ".shp": VectorFormat("ESRI Shapefile", {"ENCODING": "UTF-8"}, False),
    ".fgb": VectorFormat("FlatGeobuf", {}, True),
    ".parquet": VectorFormat("Parquet", {}, True),
    ".csv": VectorFormat("CSV", {"GEOMETRY": "AS_WKT"}, False),
}
"""By the file's suffix."""
COMPANION_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg")
"""What a shapefile consists of, besides .shp."""
INDEX_SUFFIXES = (".qix", ".sbn", ".sbx")
"""What other programs put beside a shapefile."""


def features(
    detections: Detections, classes: Sequence[str], to_map: ToMap, crs: pyproj.CRS | None, scene: str
) -> geopandas.GeoDataFrame:
    """Detections as map features, in their order.

    Args:
        detections: scene pixels.
        classes: the model's class names.
        to_map: places pixels on the map.
        crs: of the map; None if the scene has none (coordinates are pixels then, lengths and areas unknown).
        scene: the scene's name, for the attribute.

    Returns:
        One polygon per object with id, class, class_id, score, width_m (along the scene's rows), height_m (along
        its columns), area_m2 and scene. Rings are counter-clockwise on the map.
    """
    xs, ys = corners(detections, to_map)
    polygons = shapely.orient_polygons(shapely.polygons(np.stack([xs, ys], axis=-1)))
    width_m, height_m, area_m2 = _measures(xs, ys, crs)
    names = np.array(classes, dtype=object)
    return geopandas.GeoDataFrame(
        {
            "id": np.arange(1, len(detections) + 1, dtype=np.int64),
            "class": pd.Series(names[detections.labels], dtype="str"),
            "class_id": detections.labels.astype(np.int32),
            "score": np.round(detections.scores.astype(np.float64), 4),
            "width_m": np.round(width_m, 2),
            "height_m": np.round(height_m, 2),
            "area_m2": np.round(area_m2, 2),
            "scene": pd.Series([scene] * len(detections), dtype="str"),
        },
        geometry=polygons,
        crs=crs,
    )


def corners(detections: Detections, to_map: ToMap) -> tuple[FloatArray, FloatArray]:
    """(N, 4) x and (N, 4) y on the map, float64: upper-left, upper-right, lower-right, lower-left in the scene."""
    x1, y1, x2, y2 = detections.boxes_xyxy.astype(np.float64).T
    return to_map(np.stack([x1, x2, x2, x1], axis=-1), np.stack([y1, y1, y2, y2], axis=-1))


def _measures(xs: FloatArray, ys: FloatArray, crs: pyproj.CRS | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Width, height (m) and area (m2) of (N, 4) corners on the ground; not a number without a CRS."""
    if crs is None:
        unknown = np.full(len(xs), np.nan)
        return unknown, unknown, unknown
    width, along_row = ground_steps(crs, xs[:, 0], ys[:, 0], xs[:, 1], ys[:, 1])
    height, along_column = ground_steps(crs, xs[:, 0], ys[:, 0], xs[:, 3], ys[:, 3])
    # A parallelogram in the tangent plane: for objects below some kilometres that is the geodesic area to 1e-6.
    return width, height, width * height * np.abs(np.sin(np.radians(along_column - along_row)))


def to_wgs84(layer: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The layer in longitude and latitude as RFC 7946 asks: counter-clockwise, cut at the antimeridian."""
    if layer.crs is None or len(layer) == 0:
        return layer if layer.crs is None else layer.to_crs(WGS84)
    moved = layer.to_crs(WGS84)
    geometry = shapely.transform(moved.geometry.to_numpy(), _within_poles)
    west, _, east, _ = shapely.bounds(geometry).T
    # A box that spans more than half the globe is one that crosses the antimeridian; beyond 180 it is written so.
    crossing = (east - west > 180) | (east > 180) | (west < -180)
    if crossing.any():
        unwrapped = shapely.make_valid(shapely.transform(geometry[crossing], _to_0_360))
        eastern = _part(unwrapped, 0.0, 180.0)
        western = shapely.transform(_part(unwrapped, 180.0, 360.0), lambda points: points - np.array([360.0, 0.0]))
        geometry[crossing] = shapely.union(eastern, western)
    return moved.set_geometry(geopandas.GeoSeries(shapely.orient_polygons(geometry), index=moved.index, crs=moved.crs))


def to_longitude_latitude(crs: pyproj.CRS) -> bool:
    """Whether coordinates in a CRS can be expressed in WGS84: not so for local grids and other planets."""
    try:
        pyproj.Transformer.from_crs(crs, WGS84)
    except pyproj.exceptions.ProjError:
        return False
    return True


def _within_poles(points: FloatArray) -> FloatArray:
    """A pixel row beyond a pole, as some global rasters have, ends at it."""
    return np.column_stack([points[:, 0], np.clip(points[:, 1], -90.0, 90.0)])


def _part(polygons: NDArray[Any], west: float, east: float) -> NDArray[Any]:
    """What lies between two meridians; empty where a polygon only touches one."""
    inside: NDArray[Any] = shapely.intersection(polygons, shapely.box(west, -90, east, 90))
    inside[shapely.area(inside) == 0] = shapely.Polygon()
    return inside


def _to_0_360(points: FloatArray) -> FloatArray:
    return np.column_stack([points[:, 0] % 360.0, points[:, 1]])


def check_output(path: Path, overwrite: bool, folder_is_made: bool = False) -> None:
    """Refuses, before any work is done, a result that could not be written.

    Args:
        path: the file, its suffix in small letters.
        overwrite: whether it, and what belongs to it, may be replaced.
        folder_is_made: whether a missing folder will be made.

    Raises:
        UsageError: for an unknown suffix, or an existing file unless `overwrite`.
        OutputError: if the folder is missing or cannot be written to.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"output '{path}' has no known suffix; give one of {', '.join(FORMATS)}")
    there = [file for file in _files_of(path) if file.exists()]
    if there and not overwrite:
        raise UsageError(f"output '{there[0]}' exists; give --overwrite to replace it, or another -o")
    if folder_is_made and not path.parent.exists():
        return
    if not path.parent.is_dir():
        raise OutputError(f"output folder '{path.parent}' does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"output folder '{path.parent}' cannot be written to; choose another with -o")


def write_layer(layer: geopandas.GeoDataFrame, provenance: Mapping[str, Any], path: Path) -> None:
    """Writes a layer and how it came about, in the format of the path's suffix, replacing what is there.

    It is written in a folder beside and moved into place at the end, so a failure leaves nothing half-written and
    an older file whole. GeoJSON is written in WGS84, every other format in the layer's own CRS.

    Raises:
        OutputError: if it cannot be written, for instance because the disk is full.
    """
    form = FORMATS[path.suffix]
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            beside = Path(folder)
            draft = beside / path.name
            _write(layer, provenance, draft, form)
            if not form.metadata_inside:
                sidecar(draft).write_text(json.dumps(provenance, indent=1), encoding="utf-8")
            _check_complete(draft, len(layer))
            for stale in (*_files_of(path), *(path.with_suffix(suffix) for suffix in INDEX_SUFFIXES)):
                if path.suffix == ".shp" and not (beside / stale.name).exists():
                    stale.unlink(missing_ok=True)  # an older layer's index would hide the new features
            # The file that is looked for comes last: when it is there, all is.
            for written in sorted(beside.iterdir(), key=lambda file: file.name == path.name):
                written.replace(path.parent / written.name)
    except (pyproj.exceptions.ProjError, shapely.errors.GEOSException) as error:
        raise OutputError(
            f"output '{path}' cannot be written: the features have no place in it ({error}); give another format, "
            f"such as -o {path.with_suffix('.gpkg')}"
        ) from error
    except (OSError, *GDAL_ERRORS) as error:
        raise OutputError(f"output '{path}' cannot be written: {error}; is the disk full or read-only?") from error


def _files_of(path: Path) -> list[Path]:
    """Every file that a layer consists of, the one that names it first."""
    companions = COMPANION_SUFFIXES if path.suffix == ".shp" else ()
    inside = FORMATS[path.suffix].metadata_inside
    return [path, *(path.with_suffix(suffix) for suffix in companions), *([] if inside else [sidecar(path)])]


def sidecar(path: Path) -> Path:
    """Where provenance goes for formats that cannot hold it."""
    return path.with_name(path.name + ".json")


def _write(layer: geopandas.GeoDataFrame, provenance: Mapping[str, Any], draft: Path, form: VectorFormat) -> None:
    record = json.dumps(provenance)
    options = dict(form.options)
    if form.driver == "Parquet":
        _write_parquet(layer, record, draft)
        return
    if form.driver == "GeoJSON":
        layer = to_wgs84(layer)
        if layer.crs is None:  # pixels: RFC 7946 knows only longitude and latitude
            options["RFC7946"] = "NO"
        # The driver puts these members beside "features"; RFC 7946, section 6.1, allows foreign members.
        options |= {"NATIVE_DATA": json.dumps({"type": "FeatureCollection", "lcageo": provenance})}
        options |= {"NATIVE_MEDIA_TYPE": "application/vnd.geo+json"}
    if form.driver == "FlatGeobuf":
        options |= {"TITLE": draft.stem, "DESCRIPTION": record}
    is_cut = shapely.get_type_id(layer.geometry.to_numpy()) != shapely.GeometryType.POLYGON
    with warnings.catch_warnings():
        # A scene without CRS gives a layer without CRS, and the user has been told.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            layer,
            draft,
            layer=draft.stem,
            driver=form.driver,
            geometry_type="Unknown" if is_cut.any() else "Polygon",
            layer_metadata={"lcageo": record} if form.driver == "GPKG" else None,
            layer_options=options,
        )


def _write_parquet(layer: geopandas.GeoDataFrame, record: str, draft: Path) -> None:
    import pyarrow.parquet

    layer.to_parquet(draft)
    table = pyarrow.parquet.read_table(draft)
    metadata = {**(table.schema.metadata or {}), b"lcageo": record}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), draft)


def _check_complete(draft: Path, count: int) -> None:
    """GDAL reports some failed writes, of a full disk for instance, only on standard error."""
    found = (
        len(geopandas.read_parquet(draft))
        if draft.suffix == ".parquet"
        else pyogrio.read_info(draft, force_feature_count=True)["features"]
    )
    if found != count:
        raise OSError(f"{found} of {count} features arrived")
