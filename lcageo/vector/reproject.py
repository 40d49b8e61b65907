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
    """Features in another CRS; one that crosses the antimeridian stays in one piece, beyond 180 degrees.

    Raises:
        OutputError: if one has no place there.
    """
    if part.crs == crs:
        return part
    try:
        there = part.to_crs(crs)
    except pyproj.exceptions.ProjError as error:
        raise OutputError(f"the objects cannot be brought to {crs.name}: {error}; give another --to") from error
    if len(there) and not np.isfinite(there.total_bounds).all():
        raise OutputError(f"some objects have no place in {crs.name}; give another --to")
    shapes = there.geometry.to_numpy().copy()
    points, of = shapely.get_coordinates(shapes, return_index=True)
    first = points[np.searchsorted(of, of), 0]  # of each point's feature
    together = np.column_stack([near(points[:, 0], first, crs), points[:, 1]])
    return there.set_geometry(geopandas.GeoSeries(shapely.set_coordinates(shapes, together), there.index, crs))


def near(xs: Floats, at_x: float | Floats, crs: pyproj.CRS) -> Floats:
    """The same places with x within half a turn around the globe from `at_x`, where the CRS goes round it."""
    if crs.is_geographic:
        turn = 2 * pi / crs.axis_info[0].unit_conversion_factor
    elif crs == pyproj.CRS(3857):
        turn = 2 * pi * 6_378_137  # metres
    else:
        return xs
    return np.asarray(xs - np.round((xs - at_x) / turn) * turn)
