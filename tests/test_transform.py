"""Transformations without the grids that they require: told, and the next best one used."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyproj
import pytest

from lcageo.transform import Transform, accuracy_warnings, no_way

CRS84 = "OGC:CRS84"
PLACES = {
    "EPSG:27700": (624_161.0, 308_459.58),
    "EPSG:31467": (3_500_000.0, 5_400_000.0),
    "EPSG:26713": (500_000.0, 4_400_000.0),
    "EPSG:27572": (600_000.0, 2_420_000.0),
    "EPSG:25832": (500_000.0, 5_400_000.0),
    "EPSG:32633": (500_000.0, 5_400_000.0),
    "EPSG:20137": (500_000.0, 1_000_000.0),
    "+proj=tmerc +lon_0=13 +ellps=GRS80": (0.0, 5_000_000.0),
}


def told(source: str, pixel_m: float | None = 0.5, target: str = CRS84) -> tuple[str, ...]:
    pair = (pyproj.CRS(source), pyproj.CRS(target), *PLACES[source])
    return accuracy_warnings("positions", [pair, pair], pixel_m)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("EPSG:27700", ["about 2 m", "requires the grid 'uk_os_OSTN15_NTv2_OSGBtoETRS.tif', which is not installed"]),
        ("EPSG:31467", ["about 3 m", "requires the grid 'de_adv_BETA2007.tif'", "pyproj sync --file de_adv_BETA2007"]),
        ("EPSG:26713", ["about 7 m", "requires the grid 'us_noaa_"]),
        ("EPSG:27572", ["about 2 m", "PROJ knows no better transformation from NTF (Paris) / Lambert zone II to"]),
        ("EPSG:20137", ["about 6 m", "PROJ knows no better"]),
        ("+proj=tmerc +lon_0=13 +ellps=GRS80", ["have an unknown accuracy", "knows no better"]),
    ],
)
def test_an_accuracy_worse_than_two_pixels_is_told_once(source: str, words: list[str]) -> None:
    (line,) = told(source)
    assert all(word in line for word in ["positions ", *words])


def test_nothing_is_told_where_the_pixels_are_coarser_or_nothing_is_lost() -> None:
    assert told("EPSG:27700", 10.0) == told("EPSG:31467", 1.6) == ()
    for exact in ("EPSG:25832", "EPSG:32633"):
        assert told(exact, 0.1) == told(exact, None) == told(exact, 0.1, exact) == ()


def test_the_place_decides_in_degrees_as_well() -> None:
    degrees, grid = pyproj.CRS(4326), pyproj.CRS(27700)
    (line,) = accuracy_warnings("positions", [(degrees, grid, 1.3, 52.6)], 0.5)
    assert "uk_os_OSTN15" in line


def test_coordinates_are_those_of_pyproj() -> None:
    for source, place in PLACES.items():
        expected = pyproj.Transformer.from_crs(source, CRS84, always_xy=True).transform(*place)
        xs, ys = Transform(pyproj.CRS(source), pyproj.CRS(CRS84))(*np.array(place)[:, None])
        assert (xs[0], ys[0]) == expected
    xs, ys = Transform(pyproj.CRS(4326), pyproj.CRS(32633))(np.array([15.0, np.inf]), np.array([48.0, 0.0]))
    assert np.isfinite([xs[0], ys[0]]).all() and not np.isfinite([xs[1], ys[1]]).any()


OFFLINE = """
import numpy as np, pyproj
from lcageo.transform import Transform, accuracy_warnings
assert pyproj.network.is_network_enabled()
gk, degrees = pyproj.CRS(31467), pyproj.CRS("OGC:CRS84")
xs, ys = Transform(gk, degrees)(np.array([3.5e6]), np.array([5.4e6]))
print(xs[0], ys[0])
print(*accuracy_warnings("positions", [(gk, degrees, 3.5e6, 5.4e6)], 0.5))
assert pyproj.network.is_network_enabled()
"""


def test_a_grid_that_cannot_be_fetched_is_told_and_done_without() -> None:
    environment = {**os.environ, "PROJ_NETWORK": "ON", "PROJ_NETWORK_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run([sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, check=True)
    place, line = run.stdout.splitlines()
    expected = pyproj.Transformer.from_crs(31467, CRS84, always_xy=True).transform(3.5e6, 5.4e6)
    assert [float(value) for value in place.split()] == list(expected)
    assert "about 3 m: PROJ could not fetch the grid 'de_adv_BETA2007.tif'" in line


def test_a_crs_that_leads_nowhere_is_named_with_a_remedy() -> None:
    local = pyproj.CRS('LOCAL_CS["site grid",UNIT["metre",1]]')
    with pytest.raises(pyproj.exceptions.ProjError):
        Transform(local, pyproj.CRS(32633))
    words = "--aoi 'a.shp' is in 'site grid', from which no transformation leads to 'WGS 84 / UTM zone 33N'; assign "
    assert no_way("--aoi 'a.shp'", local, pyproj.CRS(32633)).startswith(words)
