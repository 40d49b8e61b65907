"""Pixel boxes -> map polygons with attributes, in the scene's CRS or in longitude and latitude."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.geodesy import WGS84, ground_steps
from lcageo.vector.columns import COLUMNS, FoundObjects
from lcageo.vector.reproject import moved

FloatArray = NDArray[np.float64]
ToMap = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Function from columns and rows (continuous scene pixels) to map x and y; all arrays have the same shape."""
MAX_LONGITUDE, MAX_LATITUDE = 540.0, 91.0
"""Degrees beyond which coordinates are no longitudes and latitudes: some rasters go on beyond 360 or the poles."""


def features(
    detections: Detections,
    classes: Sequence[str],
    to_map: ToMap,
    crs: pyproj.CRS | None,
    scene: str,
    first_id: int = 1,
) -> geopandas.GeoDataFrame:
    """Converts detections to map features, in their order.

    Args:
        detections: the objects, in scene pixels.
        classes: the model's class names.
        to_map: from scene pixels to map coordinates.
        crs: CRS of the map; None if the scene has none (coordinates are then pixels, lengths and areas unknown).
        scene: the scene's name, for the attribute.
        first_id: id of the first object.

    Returns:
        One polygon per object, counter-clockwise on the map, with the columns of `columns.COLUMNS`.
    """
    xs, ys = corners(detections, to_map)
    polygons = shapely.orient_polygons(shapely.polygons(np.stack([xs, ys], axis=-1)))
    width_m, height_m, area_m2 = _measures(xs, ys, crs)
    found = FoundObjects(detections, tuple(classes), scene, first_id, width_m, height_m, area_m2)
    columns = {column.name: pd.Series(column.values(found), dtype=column.dtype) for column in COLUMNS}
    return geopandas.GeoDataFrame(columns, geometry=polygons, crs=crs)


def feature_parts(
    parts: Iterable[Detections], classes: Sequence[str], to_map: ToMap, crs: pyproj.CRS | None, scene: str
) -> Iterator[geopandas.GeoDataFrame]:
    """Converts a scene's detections part by part, with consecutive ids; yields one empty part if there are none."""
    return (features(part, classes, to_map, crs, scene, first) for first, part in numbered(parts))


def numbered(parts: Iterable[Detections]) -> Iterator[tuple[int, Detections]]:
    """Parts with the id of the first object of each, from 1; one empty part if there are none."""
    first = 1
    for part in parts:
        yield first, part
        first += len(part)
    if first == 1:
        yield first, Detections.empty()


def hole_features(
    bounds_xyxy: FloatArray, reasons: Sequence[str], to_map: ToMap, crs: pyproj.CRS | None, scene: str
) -> geopandas.GeoDataFrame:
    """The parts of a scene that could not be read, as map polygons, from (N, 4) scene pixels and N reasons."""
    count = len(bounds_xyxy)
    boxes = bounds_xyxy.reshape(-1, 4)
    tiles = Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int64))
    layer = features(tiles, ("hole",), to_map, crs, scene)[
        ["id", "width_m", "height_m", "area_m2", "scene", "geometry"]
    ]
    layer.insert(1, "reason", pd.Series(list(reasons), dtype="str"))
    return layer


def corners(detections: Detections, to_map: ToMap) -> tuple[FloatArray, FloatArray]:
    """(N, 4) x and (N, 4) y of the corners, float64: the scene's upper-left, upper-right, lower-right, lower-left."""
    x1, y1, x2, y2 = detections.boxes_xyxy.astype(np.float64).T
    return to_map(np.stack([x1, x2, x2, x1], axis=-1), np.stack([y1, y1, y2, y2], axis=-1))


def _measures(xs: FloatArray, ys: FloatArray, crs: pyproj.CRS | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Width, height (m) and area (m2) of (N, 4) corners on the ground; NaN without a CRS."""
    if crs is None:
        unknown = np.full(len(xs), np.nan)
        return unknown, unknown, unknown
    width, along_row = ground_steps(crs, xs[:, 0], ys[:, 0], xs[:, 1], ys[:, 1])
    height, along_column = ground_steps(crs, xs[:, 0], ys[:, 0], xs[:, 3], ys[:, 3])
    # A parallelogram in the tangent plane: up to a few kilometres this agrees with the geodesic area to 1e-6.
    return width, height, width * height * np.abs(np.sin(np.radians(along_column - along_row)))


def to_wgs84(layer: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The layer in longitude and latitude, as RFC 7946 requires: counter-clockwise, cut at the antimeridian.

    Raises:
        OutputError: if its CRS or some coordinates cannot be transformed to longitude and latitude.
    """
    if layer.crs is None or len(layer) == 0:
        return layer if layer.crs is None else layer.to_crs(WGS84)
    try:
        there = moved(layer, pyproj.CRS(WGS84))
        return there.set_geometry(_cut(there.geometry))
    except (pyproj.exceptions.ProjError, shapely.errors.GEOSException) as error:
        raise OutputError(
            f"the objects cannot be transformed to longitude and latitude ({error}), which GeoJSON requires; "
            "choose another format, such as .gpkg"
        ) from error


def _cut(geometries: geopandas.GeoSeries) -> geopandas.GeoSeries:
    """Polygons in longitude and latitude, cut at the antimeridian, counter-clockwise."""
    geometry = shapely.transform(geometries.to_numpy(), _within_poles)
    west, _, east, _ = shapely.bounds(geometry).T
    # A box that spans more than half the globe is one that crosses the antimeridian; so is one that extends beyond 180.
    crossing = (east - west > 180) | (east > 180) | (west < -180)
    if crossing.any():
        unwrapped = shapely.make_valid(shapely.transform(geometry[crossing], _to_0_360))
        eastern = _part(unwrapped, 0.0, 180.0)
        western = shapely.transform(_part(unwrapped, 180.0, 360.0), lambda points: points - np.array([360.0, 0.0]))
        cut = shapely.union(eastern, western)
        around = shapely.is_empty(cut)  # a pole: its corners lie on all sides of it
        cut[around] = [_cap(one) for one in geometry[crossing][around]]
        geometry[crossing] = cut
    return geopandas.GeoSeries(shapely.orient_polygons(geometry), index=geometries.index, crs=geometries.crs)


def _cap(polygon: shapely.Polygon) -> shapely.Polygon:
    """All around the nearer pole, down to the polygon's lowest latitude."""
    _, south, _, north = polygon.bounds
    return shapely.box(-180.0, south, 180.0, 90.0) if north > 0 else shapely.box(-180.0, -90.0, 180.0, north)


def _within_poles(points: FloatArray) -> FloatArray:
    """Clips latitudes to the poles: some global rasters have a row of pixels beyond them."""
    if not is_on_the_globe(points[:, 0], points[:, 1]).all():
        raise shapely.errors.GEOSException("coordinates outside the CRS")
    return np.column_stack([points[:, 0], np.clip(points[:, 1], -90.0, 90.0)])


def is_on_the_globe(longitudes: FloatArray, latitudes: FloatArray) -> NDArray[np.bool_]:
    """Whether degrees are those of a place, though perhaps beyond the antimeridian or a pole by a pixel or so."""
    return (np.abs(longitudes) <= MAX_LONGITUDE) & (np.abs(latitudes) <= MAX_LATITUDE)  # False for NaN


def _part(polygons: NDArray[Any], west: float, east: float) -> NDArray[Any]:
    """The part between two meridians; empty where a polygon only touches one of them."""
    inside: NDArray[Any] = shapely.intersection(polygons, shapely.box(west, -90, east, 90))
    inside[shapely.area(inside) == 0] = shapely.Polygon()
    return inside


def _to_0_360(points: FloatArray) -> FloatArray:
    return np.column_stack([points[:, 0] % 360.0, points[:, 1]])


def without_heights(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The features in two dimensions."""
    shapes = part.geometry.to_numpy()
    if not shapely.has_z(shapes).any():
        return part
    return part.set_geometry(geopandas.GeoSeries(shapely.force_2d(shapes), part.index, part.crs))
