"""Objects that other programs keep as parts of one feature, such as after dissolving or collecting by class."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.geodesy import WGS84, full_turn, near, to_longitude_latitude
from lcageo.plural import plural
from lcageo.transform import Transform

COLLECTIONS = (shapely.GeometryType.MULTIPOLYGON, shapely.GeometryType.GEOMETRYCOLLECTION)
_END = 1 - 1e-8
"""Share of half a turn beyond which an object may go on at the other end of the map."""
_GRID = 1e-12
"""Share of a turn to which the corners of an object that is put together are rounded, 0.04 mm."""
MEASURES = ("width_m", "height_m")
"""Columns that are no longer known of a part."""


def taken_apart(layer: geopandas.GeoDataFrame, points: bool = False) -> tuple[geopandas.GeoDataFrame, int]:
    """A feature per object: parts of a feature that lie apart are objects of their own.

    Parts that share a border are one object, and so are the two parts of a feature that the antimeridian cuts: they
    become one piece, which extends beyond 180 degrees, so that its centre is in it.

    Args:
        layer: any features.
        points: whether points are objects, too; else, collections keep their polygons only.

    Returns:
        The layer, in its order, with the attributes of each feature (of areas, that of the part) and its index; and
        how many features of several polygons were taken apart.
    """
    shapes: NDArray[Any] = layer.geometry.to_numpy()
    kinds = shapely.get_type_id(shapes)
    several = np.isin(kinds, COLLECTIONS)
    cut = several & _meets_antimeridian(shapes, layer.crs)
    if cut.any():
        shapes = shapes.copy()
        shapes[cut] = [_in_one_piece(shape, pyproj.CRS(layer.crs)) for shape in shapes[cut]]
        layer = layer.set_geometry(geopandas.GeoSeries(shapes, index=layer.index, crs=layer.crs))
        several &= ~cut
    objects = {row: _apart(shapes[row], points) for row in np.flatnonzero(several).tolist()}
    if points:
        many = np.flatnonzero(kinds == shapely.GeometryType.MULTIPOINT).tolist()
        objects |= {row: shapely.get_parts(shapes[row]) for row in many}
    several = np.array([len(objects.get(row, ())) > 1 for row in range(len(layer))], np.bool_)
    objects = {row: parts for row, parts in objects.items() if several[row] or _is_point(parts)}
    if not objects:
        return layer, 0
    counts, replaced = np.ones(len(layer), np.intp), np.zeros(len(layer), np.bool_)
    counts[list(objects)], replaced[list(objects)] = [len(parts) for parts in objects.values()], True
    geometry = np.repeat(shapes, counts)
    is_part = np.repeat(replaced, counts)
    geometry[is_part] = np.concatenate([objects[row] for row in sorted(objects)])
    apart = layer.iloc[np.repeat(np.arange(len(layer)), counts)].set_geometry(
        geopandas.GeoSeries(geometry, index=np.repeat(layer.index, counts), crs=layer.crs)
    )
    areal = is_part & (shapely.get_dimensions(geometry) == 2)
    for name in set(MEASURES) & set(apart.columns):
        apart[name] = apart[name].mask(areal)
    if "area_m2" in apart:
        areas = apart["area_m2"].to_numpy(np.float64, na_value=np.nan, copy=True)
        areas[areal] = areas_m2(geometry[areal], layer.crs)
        apart["area_m2"] = areas
    return apart, int((several & (shapely.get_dimensions(shapes) == 2)).sum())


def apart_note(name: str, count: int) -> list[str]:
    """A line for the user about `count` features of a layer that were taken apart."""
    return (
        [f"{name}: {plural(count, 'feature')} with parts that lie apart; each part is an object of its own"]
        if count
        else []
    )


def _is_point(parts: NDArray[Any]) -> bool:
    """Whether a collection is of a single point."""
    return len(parts) == 1 and bool(shapely.get_type_id(parts[0]) == shapely.GeometryType.POINT)


def _apart(shape: Any, points: bool) -> NDArray[Any]:
    """The parts of a shape; polygons that share a border are one."""
    parts = shapely.get_parts(shapely.get_parts(shape))  # of the collections in a collection, too
    kinds = shapely.get_type_id(parts)
    areas = shapely.union_all(shapely.make_valid(parts[kinds == shapely.GeometryType.POLYGON]))
    polygons: NDArray[Any] = shapely.get_parts(areas)
    polygons = polygons[shapely.get_dimensions(polygons) == 2]
    if not points:
        return polygons
    single = parts[kinds == shapely.GeometryType.POINT]
    outside = single[~shapely.intersects(single, areas)]  # a point inside is where the polygon's label stands
    return np.concatenate([polygons, outside])


def _meets_antimeridian(shapes: NDArray[Any], crs: pyproj.CRS | None) -> NDArray[np.bool_]:
    """(N,) True where a shape reaches both ends of a map of longitudes."""
    turn = full_turn(None if crs is None else pyproj.CRS(crs))
    if turn is None:
        return np.zeros(len(shapes), np.bool_)
    west, _, east, _ = shapely.bounds(shapes).T / (turn / 2)
    return np.asarray((west <= -_END) & (east >= _END))


def _in_one_piece(shape: Any, crs: pyproj.CRS) -> Any:
    """The polygons of a shape with those at the western end of the map joined to those at the eastern end."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    parts = shapely.force_2d(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    east = shapely.bounds(parts)[:, 2].max()
    moved = [
        shapely.transform(part, lambda points: np.column_stack([near(points[:, 0], east, crs), points[:, 1]]))
        for part in parts
    ]
    # Without a grid, rounding could leave a gap between them: turns of grads are not exact.
    return shapely.union_all(shapely.make_valid(np.array(moved, object)), grid_size=_GRID * (full_turn(crs) or 1.0))


def areas_m2(polygons: NDArray[Any], crs: pyproj.CRS | None) -> NDArray[np.float64]:
    """(N,) areas on the ground, 0 of what is no polygon; NaN without a CRS that has a place there."""
    if crs is None or not to_longitude_latitude(pyproj.CRS(crs)):
        return np.full(len(polygons), np.nan)
    geod = pyproj.Geod(ellps="WGS84")
    to_globe = Transform(pyproj.CRS(crs), pyproj.CRS(WGS84))
    placed = shapely.transform(polygons, lambda points: np.column_stack(to_globe(points[:, 0], points[:, 1])))
    areas, areal = np.zeros(len(placed)), shapely.get_dimensions(placed) == 2
    areas[areal] = [abs(geod.geometry_area_perimeter(one)[0]) for one in placed[areal]]
    return areas
