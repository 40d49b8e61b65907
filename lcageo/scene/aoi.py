"""The area of interest: which tiles to read and which objects to keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely import affinity

from lcageo.errors import OutsideError, UsageError
from lcageo.geodesy import full_turn, near
from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import parse_crs
from lcageo.transform import Transform, accuracy_warnings, no_way

SEGMENTS_PER_SIDE = 64
"""Minimum number of segments along a polygon before reprojection: straight lines in one CRS are curves in another."""


@dataclass(frozen=True, slots=True)
class AreaOfInterest:
    """Area of interest in the pixels of one scene."""

    polygon: shapely.Geometry
    """Polygon or MultiPolygon in scene pixels (continuous)."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user."""

    @property
    def wkb(self) -> bytes:
        """The polygon, to tell it from others."""
        return bytes(shapely.to_wkb(self.polygon))

    def meets(self, bounds_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) True where a rectangle (N, 4), scene pixels, overlaps the area; touching it is not enough."""
        boxes = shapely.box(*bounds_xyxy.T)
        shapely.prepare(self.polygon)
        return np.asarray(shapely.intersects(self.polygon, boxes) & ~shapely.touches(self.polygon, boxes))

    def holds_centre(self, boxes_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,) True where the centre of a box (N, 4), scene pixels, is inside the area."""
        shapely.prepare(self.polygon)
        x = (boxes_xyxy[:, 0] + boxes_xyxy[:, 2]) / 2
        y = (boxes_xyxy[:, 1] + boxes_xyxy[:, 3]) / 2
        return np.asarray(shapely.intersects_xy(self.polygon, x, y))


def aoi_from_bbox(bbox: tuple[float, float, float, float], crs: str | None, info: SceneInfo) -> AreaOfInterest:
    """A rectangle xmin, ymin, xmax, ymax in `crs` (the scene's own if None) as an area of the scene.

    Raises:
        UsageError: if it is empty, is outside the scene, or the CRS is unknown.
    """
    xmin, ymin, xmax, ymax = bbox
    if not (np.isfinite(bbox).all() and xmin < xmax and ymin < ymax):
        raise UsageError(f"--bbox {xmin},{ymin},{xmax},{ymax} is empty; give xmin,ymin,xmax,ymax with min below max")
    source = info.georeference.crs if crs is None else parse_crs(crs, "--bbox-crs")
    return aoi_in_pixels(shapely.box(xmin, ymin, xmax, ymax), source, info, "--bbox")


def aoi_in_pixels(area: shapely.Geometry, crs: pyproj.CRS | None, info: SceneInfo, option: str) -> AreaOfInterest:
    """An area on the map as an area of the scene.

    Args:
        area: polygons.
        crs: of the area; None: the scene's own.
        info: of the scene.
        option: what the user named it with, for messages.

    Raises:
        OutsideError: if it does not overlap the scene.
        UsageError: if it has no polygons, only the area has a CRS, or it cannot be transformed.
    """
    if shapely.get_dimensions(area) != 2:
        raise UsageError(f"{option} has no polygons, only lines or points; buffer them first")
    georeference = info.georeference
    if georeference.crs is None and crs is not None:
        raise UsageError(
            f"{option} is in {crs.name}, but scene '{info.path}' has no georeference; give pixels without a CRS"
        )
    own = crs or georeference.crs
    # The polynomials of control points and of RPCs are true near the scene only, and make curves of straight lines.
    if georeference.crs is not None and own is not None and (own != georeference.crs or georeference.affine is None):
        try:
            area = _in_crs_of_scene(in_all_turns(area, own), own, info, georeference.crs)
        except pyproj.exceptions.ProjError as error:
            raise UsageError(no_way(option, own, georeference.crs)) from error
    area = in_all_turns(area, georeference.crs)
    polygon = shapely.make_valid(
        shapely.transform(area, lambda points: np.column_stack(georeference.to_pixel(points[:, 0], points[:, 1])))
    )
    within = shapely.intersection(polygon, shapely.box(0, 0, info.width, info.height))
    if shapely.area(within) == 0:
        raise OutsideError(
            f"{option} does not overlap scene '{info.path}'; "
            f"check its CRS and coordinates with 'lcageo info {info.path}'"
        )
    return AreaOfInterest(within, _accuracy(crs, info, option))


def _accuracy(crs: pyproj.CRS | None, info: SceneInfo, option: str) -> tuple[str, ...]:
    """A warning if the area's place in the scene is less accurate than its pixels."""
    return accuracy_warnings(f"the borders of {option}", [(info.georeference.crs, crs, *info.centre())], info.gsd_m)


def in_all_turns(area: shapely.Geometry, crs: pyproj.CRS | None) -> shapely.Geometry:
    """An area, and the same a turn to the east and to the west; as it is in a CRS that does not go around the globe.

    Beside the antimeridian, a place is written as 179 or -181 degrees, in scenes as in files.
    """
    turn = full_turn(crs)
    if turn is None:
        return area
    moved = [affinity.translate(area, by) for by in (-turn, 0.0, turn)]
    together: shapely.Geometry = shapely.union_all(shapely.make_valid(moved))
    return together


def _in_crs_of_scene(
    area: shapely.Geometry, crs: pyproj.CRS, info: SceneInfo, scene_crs: pyproj.CRS
) -> shapely.Geometry:
    """The part of the area near the scene, in the scene's CRS; the whole world cannot be projected to a UTM zone.

    A polygon that crosses the antimeridian stays in one piece, beyond 180 degrees.
    """
    nearby = shapely.intersection(area, surroundings(info, scene_crs, crs))
    if shapely.is_empty(nearby):
        return nearby
    left, bottom, right, top = shapely.bounds(nearby)
    nearby = shapely.segmentize(nearby, max(right - left, top - bottom) / SEGMENTS_PER_SIDE)
    parts = shapely.get_parts(shapely.get_parts(nearby))
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    points, owner = shapely.get_coordinates(parts, return_index=True)
    xs, ys = Transform(crs, scene_crs)(points[:, 0], points[:, 1])
    turn = full_turn(crs)
    # Of an area or a scene that is wider, the points may be half a turn apart.
    if (turn is None or right - left < turn / 2) and _is_within_half_a_turn(info, scene_crs):
        first = xs[np.searchsorted(owner, owner)]  # x of the first point of each point's polygon
        xs = near(xs, np.where(np.isfinite(first), first, 0.0), scene_crs)
    return shapely.MultiPolygon(shapely.set_coordinates(parts, np.column_stack([xs, ys])).tolist())


def _is_within_half_a_turn(info: SceneInfo, scene_crs: pyproj.CRS) -> bool:
    turn = full_turn(scene_crs)
    if turn is None:
        return True
    left, _, right, _ = shapely.bounds(surroundings(info, scene_crs, scene_crs))
    return bool(right - left < turn / 2)


def surroundings(info: SceneInfo, scene_crs: pyproj.CRS, crs: pyproj.CRS) -> shapely.Geometry:
    """Bounding rectangle of the scene in `crs`, with a margin of a tenth of its size.

    Raises:
        ProjError: if there is no transformation.
    """
    margin = max(info.width, info.height) / 10
    frame = shapely.box(-margin, -margin, info.width + margin, info.height + margin)
    pixels = shapely.get_coordinates(shapely.segmentize(frame, (info.width + info.height) / SEGMENTS_PER_SIDE))
    xs, ys = info.georeference.to_map(pixels[:, 0], pixels[:, 1])
    points = np.column_stack(Transform(scene_crs, crs)(xs, ys))
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return shapely.Polygon()
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    turn = full_turn(crs)
    if turn is not None and right - left > turn / 2:  # across the antimeridian
        left, right = -turn / 2, turn / 2
    # RPCs are true near the scene only: far from it, they may take a pole to any pixel.
    may_hold_poles = turn is not None and crs.is_geographic and info.georeference.kind != "rpcs"
    for pole in (-turn / 4, turn / 4) if turn is not None and may_hold_poles else ():
        if _is_inside(frame, Transform(crs, scene_crs)(np.zeros(1), np.array([pole])), info):
            left, right, bottom, top = 2 * -abs(pole), 2 * abs(pole), min(bottom, pole), max(top, pole)
    around: shapely.Geometry = shapely.box(left, bottom, right, top)
    return around


def _is_inside(
    frame: shapely.Geometry, place: tuple[NDArray[np.float64], NDArray[np.float64]], info: SceneInfo
) -> bool:
    """Whether a place on the map, (1,) x and y, is inside a polygon of scene pixels."""
    return bool(np.isfinite(place).all() and shapely.intersects_xy(frame, *info.georeference.to_pixel(*place))[0])


def covered_px(bounds_xyxy: NDArray[np.float64]) -> float:
    """Number of pixels covered by (N, 4) boxes; overlaps count once."""
    return float(shapely.area(shapely.union_all(shapely.box(*bounds_xyxy.reshape(-1, 4).T))))
