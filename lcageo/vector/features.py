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
from lcageo.vector.formats import GEOJSON_DIGITS
from lcageo.vector.reproject import moved

FloatArray = NDArray[np.float64]
ToMap = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Function from columns and rows (continuous scene pixels) to map x and y; all arrays have the same shape."""
MAX_LONGITUDE, MAX_LATITUDE = 540.0, 91.0
"""Degrees beyond which coordinates are no longitudes and latitudes: some rasters go on beyond 360 or the poles."""
_AREAS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


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
    geometry = _within_one_turn(shapely.transform(geometries.to_numpy(), _within_poles))
    west, _, east, _ = shapely.bounds(geometry).T
    # A box that spans more than half the globe is one that crosses the antimeridian; so is one that extends beyond 180.
    crossing = ((east - west > 180) | (east > 180) | (west < -180)) & np.isin(shapely.get_type_id(geometry), _AREAS)
    geometry[crossing] = [_cut_polygons(one) for one in geometry[crossing]]
    return geopandas.GeoSeries(shapely.orient_polygons(geometry), index=geometries.index, crs=geometries.crs)


def _within_one_turn(geometry: NDArray[Any]) -> NDArray[Any]:
    """Geometries, each shifted by whole turns so that its middle lies within 180 degrees of Greenwich."""
    west, _, east, _ = shapely.bounds(geometry).T
    turns = np.nan_to_num(np.round((west + east) / 720))
    if not turns.any():
        return geometry
    return _turned(geometry, -turns)


def _turned(geometry: NDArray[Any], turns: FloatArray) -> NDArray[Any]:
    """Geometries, each shifted by turns around the globe."""
    points, owner = shapely.get_coordinates(geometry, return_index=True)
    points[:, 0] += 360 * turns[owner]
    shifted: NDArray[Any] = shapely.set_coordinates(geometry.copy(), points)
    return shifted


def _cut_polygons(shape: Any) -> Any:
    """One or several polygons, cut at the antimeridian."""
    pieces = []
    for polygon in shapely.get_parts(shape):
        holes = [_cut_ring(hole) for hole in polygon.interiors]
        pieces.append(shapely.difference(_cut_ring(polygon.exterior), shapely.union_all(holes)))
    cut = shapely.union_all(pieces)
    return shape if cut.is_empty else cut  # empty: as wide as the map, such as all of it


def _cut_ring(ring: shapely.LinearRing) -> Any:
    """The area within a ring, cut at the antimeridian. Steps of more than half the globe are those that cross it."""
    xs, ys = shapely.get_coordinates(ring).T
    xs = np.unwrap(xs.round(GEOJSON_DIGITS + 2), period=360)  # what only touches it loses no sliver to rounding errors
    if abs(xs[-1] - xs[0]) > 180:  # all around the globe, and so around a pole: the nearer one
        pole = 90.0 if ys.max() > -ys.min() else -90.0
        xs, ys = np.append(xs, [xs[-1], xs[0]]), np.append(ys, [pole, pole])
    area = shapely.make_valid(_within_one_turn(np.array([shapely.Polygon(np.column_stack([xs, ys]))], object)))
    the_map = shapely.box(-180, -90, 180, 90)
    parts = [shapely.intersection(_turned(area, np.array([turn])), the_map) for turn in (-1, 0, 1)]
    pieces = shapely.get_parts(shapely.get_parts(np.concatenate(parts)))
    return shapely.union_all(pieces[shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON])


def _within_poles(points: FloatArray) -> FloatArray:
    """Clips latitudes to the poles: some global rasters have a row of pixels beyond them."""
    if not is_on_the_globe(points[:, 0], points[:, 1]).all():
        raise shapely.errors.GEOSException("coordinates outside the CRS")
    return np.column_stack([points[:, 0], np.clip(points[:, 1], -90.0, 90.0)])


def is_on_the_globe(longitudes: FloatArray, latitudes: FloatArray) -> NDArray[np.bool_]:
    """Whether degrees are those of a place, though perhaps beyond the antimeridian or a pole by a pixel or so."""
    return (np.abs(longitudes) <= MAX_LONGITUDE) & (np.abs(latitudes) <= MAX_LATITUDE)  # False for NaN


def with_positions(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The features with the longitude and latitude of their centres, the middle of their bounds, in degrees.

    Both are NaN where the coordinates are those of no place.
    """
    west, south, east, north = shapely.bounds(part.geometry.to_numpy()).reshape(-1, 4).T
    centres = shapely.points((west + east) / 2, (south + north) / 2)
    there = moved(geopandas.GeoDataFrame(geometry=centres, crs=part.crs), pyproj.CRS(WGS84)).geometry
    is_place = is_on_the_globe(there.x.to_numpy(), there.y.to_numpy())
    longitude = ((there.x + 180) % 360 - 180).where(is_place)  # a box across the antimeridian lies beyond 180
    latitude = there.y.where(is_place)
    return part.assign(longitude=longitude.round(GEOJSON_DIGITS), latitude=latitude.round(GEOJSON_DIGITS))


def without_heights(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The features in two dimensions."""
    shapes = part.geometry.to_numpy()
    if not shapely.has_z(shapes).any():
        return part
    return part.set_geometry(geopandas.GeoSeries(shapely.force_2d(shapes), part.index, part.crs))
