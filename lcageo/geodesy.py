"""Lengths and directions on the ground for coordinates in any CRS, vectorised."""

from __future__ import annotations

import math

import numpy as np
import pyproj
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WGS84 = "OGC:CRS84"
"""Longitude and latitude, in that order."""
_MERCATOR_RADIUS_M = 6_378_137.0


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
    to_globe = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    unit = degrees_per_unit(crs.geodetic_crs)
    lon0, lat0 = (values * unit for values in to_globe.transform(x0, y0))
    lon1, lat1 = (values * unit for values in to_globe.transform(x1, y1))
    finite = np.isfinite(lon0) & np.isfinite(lat0) & np.isfinite(lon1) & np.isfinite(lat1)
    lengths, azimuths = np.full(x0.shape, np.nan), np.full(x0.shape, np.nan)
    geod = crs.get_geod() or pyproj.Geod(ellps="WGS84")
    azimuths[finite], _, lengths[finite] = geod.inv(lon0[finite], lat0[finite], lon1[finite], lat1[finite])
    return lengths, azimuths


def degrees_per_unit(crs: pyproj.CRS) -> float:
    """Degrees in one unit of a geographic CRS: 0.9 where its coordinates are grads."""
    return float(np.degrees(crs.axis_info[0].unit_conversion_factor))


def full_turn(crs: pyproj.CRS | None) -> float | None:
    """What a turn around the globe adds to x in a CRS that goes around it, such as 360 degrees; None in others."""
    if crs is not None and crs.is_geographic:
        return 360.0 / degrees_per_unit(crs)
    return 2 * math.pi * _MERCATOR_RADIUS_M if crs == pyproj.CRS(3857) else None


def near(xs: FloatArray, at_x: float | FloatArray, crs: pyproj.CRS) -> FloatArray:
    """Shifts x by full turns to within half a turn of `at_x`, if the CRS wraps around the globe."""
    turn = full_turn(crs)
    return xs if turn is None else np.asarray(xs - np.round((xs - at_x) / turn) * turn)


def longitude_latitude(crs: pyproj.CRS, x: float, y: float) -> tuple[float, float]:
    """Degrees east of Greenwich and north of a place, on the datum of its CRS, which must have one."""
    base, meridian = crs.geodetic_crs, crs.prime_meridian
    assert base is not None, "not a local grid"
    longitude, latitude = pyproj.Transformer.from_crs(crs, base, always_xy=True).transform(x, y)
    start = 0.0 if meridian is None else np.degrees(meridian.longitude * float(meridian.unit_conversion_factor))
    unit = degrees_per_unit(base)
    return float(longitude * unit + start), float(latitude * unit)


def to_longitude_latitude(crs: pyproj.CRS) -> bool:
    """Whether coordinates in a CRS can be transformed to WGS84; False for local grids and other planets."""
    try:
        pyproj.Transformer.from_crs(crs, WGS84)
    except pyproj.exceptions.ProjError:
        return False
    return True


def has_esri_wkt(crs: pyproj.CRS) -> bool:
    """Whether a Shapefile's .prj can hold a CRS; False for derived ones, such as rotated poles, and bound ones.

    Of those, which define their own shift to WGS 84 (+towgs84), it would hold all but the shift.
    """
    if (crs.sub_crs_list[0] if crs.is_compound else crs).is_bound:
        return False
    try:
        crs.to_wkt("WKT1_ESRI")
    except pyproj.exceptions.CRSError:
        return False
    return True
