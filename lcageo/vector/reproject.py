"""Map features in another CRS."""

from __future__ import annotations

from collections.abc import Callable

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import OutputError
from lcageo.geodesy import near
from lcageo.transform import Transform

Floats = NDArray[np.float64]
Move = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From x and y to x and y; all arrays have the same shape."""


def reprojected(part: geopandas.GeoDataFrame, crs: pyproj.CRS) -> geopandas.GeoDataFrame:
    """Reprojects features; one that crosses the antimeridian stays in one piece, beyond 180 degrees.

    Raises:
        OutputError: if a feature cannot be transformed.
    """
    if part.crs == crs:
        return part
    try:
        there = moved(part, crs)
    except pyproj.exceptions.ProjError as error:
        raise OutputError(f"the objects cannot be transformed to {crs.name}: {error}; choose another CRS") from error
    if len(there) and not np.isfinite(there.total_bounds).all():
        raise OutputError(f"some objects are outside the bounds of {crs.name}; choose another CRS")
    shapes = there.geometry.to_numpy().copy()
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    first = points[np.searchsorted(owner, owner), 0]  # x of the first point of each point's feature
    together = np.column_stack([near(points[:, 0], first, crs), points[:, 1]])
    return there.set_geometry(geopandas.GeoSeries(shapely.set_coordinates(shapes, together), there.index, crs))


def moved(part: geopandas.GeoDataFrame, crs: pyproj.CRS) -> geopandas.GeoDataFrame:
    """Features with all points in another CRS, not finite where that is impossible; raises ProjError as Transform."""
    shapes = part.geometry.to_numpy()
    to_crs = Transform(pyproj.CRS(part.crs), crs)
    there = shapely.transform(shapes, lambda points: np.column_stack(to_crs(points[:, 0], points[:, 1])))
    return part.set_geometry(geopandas.GeoSeries(there, part.index, crs))


def mover(crs: pyproj.CRS, to: pyproj.CRS, at_x: float) -> Move:
    """A function that moves positions from one CRS to another, to within half a turn of `at_x` there; see `near`.

    Raises:
        ProjError: if there is no transformation.
    """
    transform = None if crs == to else Transform(crs, to)

    def move(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
        xs, ys = (xs, ys) if transform is None else transform(xs, ys)
        return near(xs, at_x, to), ys

    return move
