"""Lengths and directions on the ground for coordinates in any CRS, vectorised."""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WGS84 = "OGC:CRS84"
"""Longitude and latitude, in that order."""


def ground_steps(
    crs: pyproj.CRS, x0: FloatArray, y0: FloatArray, x1: FloatArray, y1: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Geodesic length in metres and azimuth in degrees (clockwise from north) from (x0, y0) to (x1, y1).

    Measured along the ellipsoid, because map units are not metres on the ground: degrees, feet, and Web Mercator,
    whose metre is 0.6 m long at latitude 52. In a CRS without a datum (a local grid), measured in its plane.

    Args:
        crs: the CRS of the coordinates, in its own axis units, x before y.
        x0: (N,) float64; y0, x1, y1 likewise.

    Returns:
        (N,) lengths and (N,) azimuths, float64; not finite where a position is not on the ellipsoid.
    """
    if crs.geodetic_crs is None:
        unit_m = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
        return np.hypot(x1 - x0, y1 - y0) * unit_m, np.degrees(np.arctan2(x1 - x0, y1 - y0))
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon0, lat0 = to_degrees.transform(x0, y0)
    lon1, lat1 = to_degrees.transform(x1, y1)
    finite = np.isfinite(lon0) & np.isfinite(lat0) & np.isfinite(lon1) & np.isfinite(lat1)
    lengths, azimuths = np.full(x0.shape, np.nan), np.full(x0.shape, np.nan)
    geod = crs.get_geod() or pyproj.Geod(ellps="WGS84")
    azimuths[finite], _, lengths[finite] = geod.inv(lon0[finite], lat0[finite], lon1[finite], lat1[finite])
    return lengths, azimuths


def to_longitude_latitude(crs: pyproj.CRS) -> bool:
    """Whether coordinates in a CRS can be transformed to WGS84; False for local grids and other planets."""
    try:
        pyproj.Transformer.from_crs(crs, WGS84)
    except pyproj.exceptions.ProjError:
        return False
    return True
