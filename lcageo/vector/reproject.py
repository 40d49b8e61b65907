"""Map features in another CRS."""

from __future__ import annotations

from math import pi

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import OutputError

Floats = NDArray[np.float64]


def reprojected(part: geopandas.GeoDataFrame, crs: pyproj.CRS) -> geopandas.GeoDataFrame:
    """Reprojects features; one that crosses the antimeridian stays in one piece, beyond 180 degrees.

    Raises:
        OutputError: if a feature cannot be transformed.
    """
    if part.crs == crs:
        return part
    try:
        there = part.to_crs(crs)
    except pyproj.exceptions.ProjError as error:
        raise OutputError(f"the objects cannot be transformed to {crs.name}: {error}; choose another CRS") from error
    if len(there) and not np.isfinite(there.total_bounds).all():
        raise OutputError(f"some objects are outside the bounds of {crs.name}; choose another CRS")
    shapes = there.geometry.to_numpy().copy()
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    first = points[np.searchsorted(owner, owner), 0]  # x of the first point of each point's feature
    together = np.column_stack([near(points[:, 0], first, crs), points[:, 1]])
    return there.set_geometry(geopandas.GeoSeries(shapely.set_coordinates(shapes, together), there.index, crs))


def near(xs: Floats, at_x: float | Floats, crs: pyproj.CRS) -> Floats:
    """Shifts x by full turns to within half a turn of `at_x`, if the CRS wraps around the globe."""
    if crs.is_geographic:
        turn = 2 * pi / crs.axis_info[0].unit_conversion_factor
    elif crs == pyproj.CRS(3857):
        turn = 2 * pi * 6_378_137  # metres
    else:
        return xs
    return np.asarray(xs - np.round((xs - at_x) / turn) * turn)
