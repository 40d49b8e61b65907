from __future__ import annotations

import numpy as np
import pyproj
import pytest

from lcageo.geodesy import ground_steps

EQUATOR_DEGREE_M = 6_378_137.0 * np.pi / 180
FOOT_M = 1200 / 3937  # the US survey foot


def step(crs: str, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    lengths, azimuths = ground_steps(pyproj.CRS(crs), *(np.array([value]) for value in (x0, y0, x1, y1)))
    return float(lengths[0]), float(azimuths[0])


def test_a_degree_at_the_equator() -> None:
    assert step("EPSG:4326", 10, 0, 11, 0) == pytest.approx((EQUATOR_DEGREE_M, 90))


def test_mercator_metres_shrink_with_latitude() -> None:
    latitude = 60.0
    radius, eccentricity2 = 6_378_137.0, 0.00669437999014
    _, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(0, latitude)
    # Along a parallel, the ground length of a Web Mercator metre is N cos(lat) / a.
    normal = radius / np.sqrt(1 - eccentricity2 * np.sin(np.radians(latitude)) ** 2)
    expected = 100 * normal * np.cos(np.radians(latitude)) / radius
    assert step("EPSG:3857", 0, y, 100, y)[0] == pytest.approx(expected, rel=1e-6)


def test_feet_are_converted() -> None:
    length, azimuth = step("EPSG:2263", 1_000_000, 200_000, 1_000_000, 201_000)
    assert length == pytest.approx(1000 * FOOT_M, rel=1e-4)
    assert azimuth == pytest.approx(0, abs=1)


def test_a_local_grid_is_measured_in_its_plane() -> None:
    local = 'LOCAL_CS["site grid",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]'
    assert step(local, 0, 0, 30, 40) == pytest.approx((50 * 0.3048, np.degrees(np.arctan2(30, 40))))


def test_positions_off_the_ellipsoid_have_no_length() -> None:
    assert np.isnan(step("EPSG:4326", 0, np.inf, 1, np.inf)[0])
