"""Map features in another CRS."""

from __future__ import annotations

import geopandas
import numpy as np
import pyproj
import shapely

from lcageo.errors import OutputError
from lcageo.output.scene_layer import near


def moved(part: geopandas.GeoDataFrame, crs: pyproj.CRS) -> geopandas.GeoDataFrame:
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
