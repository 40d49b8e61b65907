from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj.database import query_crs_info
from pyproj.enums import PJType

from lcageo.geodesy import full_turn, ground_steps, has_esri_wkt, longitude_latitude, near

UTM = pyproj.CRS(32633)
TURNS = {pyproj.CRS(4326): 360.0, pyproj.CRS(4807): 400.0, pyproj.CRS(3857): 2 * math.pi * 6_378_137}
EQUATOR_DEGREE_M = 6_378_137.0 * np.pi / 180
GRAD = 0.9
UNKNOWN_TO_PROJ = "22300"  # Tunisia Mining Grid
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


def grad_systems() -> list[str]:
    """EPSG's systems whose longitudes and latitudes, or those of their base, are grads."""
    codes = []
    for info in query_crs_info("EPSG", [PJType.GEOGRAPHIC_2D_CRS, PJType.PROJECTED_CRS]):
        base = pyproj.CRS.from_epsg(info.code).geodetic_crs
        if base is not None and base.axis_info[0].unit_name == "grad" and info.code != UNKNOWN_TO_PROJ:
            codes.append(f"EPSG:{info.code}")
    return codes


def test_grads_are_converted() -> None:
    systems = grad_systems()
    assert len(systems) > 15
    for name in systems:
        crs = pyproj.CRS(name)
        area, base = crs.area_of_use, crs.geodetic_crs
        assert area is not None and base is not None
        start = np.array([(area.west + area.east) / 2 - base.prime_meridian.longitude * GRAD, area.south + 1])
        end = start + 0.01  # degrees
        to_crs = pyproj.Transformer.from_crs(base, crs, always_xy=True)
        x, y = to_crs.transform(*(np.stack([start, end], axis=-1) / GRAD))
        azimuth, _, length = base.get_geod().inv(*start, *end)
        assert step(name, x[0], y[0], x[1], y[1]) == pytest.approx((length, azimuth), rel=1e-6), name


def test_a_local_grid_is_measured_in_its_plane() -> None:
    local = 'LOCAL_CS["site grid",UNIT["foot",0.3048],AXIS["x",EAST],AXIS["y",NORTH]]'
    assert step(local, 0, 0, 30, 40) == pytest.approx((50 * 0.3048, np.degrees(np.arctan2(30, 40))))


def test_a_place_is_told_in_degrees_from_greenwich() -> None:
    for name, place in (("EPSG:27572", (600_000, 2_420_000)), ("EPSG:4807", (0, 50)), ("EPSG:4326", (2.3, 48.8))):
        crs = pyproj.CRS(name)
        expected = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(*place)
        assert longitude_latitude(crs, *place) == pytest.approx(expected, abs=0.01)  # some hundred metres of datum


def test_positions_off_the_ellipsoid_have_no_length() -> None:
    assert np.isnan(step("EPSG:4326", 0, np.inf, 1, np.inf)[0])


def test_a_turn_around_the_globe_is_what_pyproj_says() -> None:
    for name, turn in (("EPSG:4326", 360.0), ("EPSG:4807", 400.0), ("EPSG:3857", 2 * 20_037_508.342789244)):
        assert full_turn(pyproj.CRS(name)) == pytest.approx(turn, rel=1e-12)
    east, _ = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(180, 0)
    assert full_turn(pyproj.CRS(3857)) == pytest.approx(2 * east, rel=1e-12)
    assert full_turn(pyproj.CRS(32633)) is None and full_turn(None) is None


@given(st.floats(-180, 180), st.floats(-1000, 1000))
def test_near_shifts_by_whole_turns_to_within_half_of_one(x: float, at_x: float) -> None:
    for crs, turn in TURNS.items():
        scale = turn / 360
        (moved,) = near(np.array([x * scale]), at_x * scale, crs)
        turns = (moved - x * scale) / turn
        assert abs(turns - round(turns)) < 1e-9 and abs(moved - at_x * scale) <= turn / 2 * (1 + 1e-9)
    assert near(np.array([x]), at_x, UTM).tolist() == [x]


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("EPSG:32633", True),
        ("EPSG:32633+5773", True),
        ("EPSG:4326", True),
        ("+proj=utm +zone=33 +ellps=bessel +towgs84=598.1,73.7,418.2,0.202,0.045,-2.455,6.7", False),
        ("+proj=utm +zone=33 +ellps=bessel +towgs84=598.1,73.7,418.2 +geoidgrids=egm96_15.gtx +vunits=m", False),
        ("+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18", False),
    ],
)
def test_esris_wkt_holds_a_crs_only_if_places_stay_where_they_are(name: str, has: bool) -> None:
    crs = pyproj.CRS(name)
    assert has_esri_wkt(crs) == has
    if has or crs.is_bound:
        kept = pyproj.CRS(crs.to_wkt("WKT1_ESRI"))
        here, there = (
            pyproj.Transformer.from_crs(one, 4326, always_xy=True).transform(500_000, 5_000_000)
            if one.is_projected
            else (15.0, 45.0)
            for one in (crs, kept)
        )
        assert (pyproj.Geod(ellps="WGS84").inv(*here, *there)[2] < 1) == has
