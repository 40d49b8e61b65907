"""Features in another CRS, compared with pyproj point by point."""

from __future__ import annotations

import math

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from support.layers import LOCAL_WKT, layer_at

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.vector.reproject import mover, reprojected

DEGREES, GRADS, MERCATOR, UTM = pyproj.CRS(4326), pyproj.CRS(4807), pyproj.CRS(3857), pyproj.CRS(32633)
TURNS = {DEGREES: 360.0, GRADS: 400.0, MERCATOR: 2 * math.pi * 6_378_137}


@pytest.mark.parametrize("crs", [DEGREES, MERCATOR, pyproj.CRS(32632)], ids=["degrees", "mercator", "next zone"])
@pytest.mark.parametrize("place", ["utm", "rotated", "degrees", "feet"])
def test_every_corner_is_where_pyproj_puts_it(place: str, crs: pyproj.CRS) -> None:
    part = layer_at(place)
    there = reprojected(part, crs)
    transform = pyproj.Transformer.from_crs(part.crs, crs, always_xy=True).transform
    expected = [transform(x, y) for shape in part.geometry for x, y in shape.exterior.coords]
    assert there.crs == crs
    assert shapely.get_coordinates(there.geometry.to_numpy()) == pytest.approx(np.array(expected), abs=1e-7)
    assert there.drop(columns="geometry").equals(part.drop(columns="geometry"))


def test_the_same_crs_and_no_features_change_nothing() -> None:
    part = layer_at("utm")
    assert reprojected(part, UTM) is part
    none = reprojected(layer_at("utm", Detections.empty()), DEGREES)
    assert len(none) == 0 and none.crs == DEGREES and none.columns.equals(part.columns)


@pytest.mark.parametrize("crs", [DEGREES, MERCATOR], ids=["degrees", "mercator"])
def test_a_feature_across_the_antimeridian_stays_in_one_piece(crs: pyproj.CRS) -> None:
    fiji = pyproj.CRS(32760)
    x, y = pyproj.Transformer.from_crs(DEGREES, fiji, always_xy=True).transform(180, -17)
    boxes = [shapely.box(x - 100, y, x + 100, y + 100), shapely.box(x - 500, y, x - 400, y + 100)]
    there = reprojected(geopandas.GeoDataFrame({"id": [1, 2]}, geometry=boxes, crs=fiji), crs)
    widths = there.bounds.maxx - there.bounds.minx
    assert widths.max() < TURNS[crs] / 100_000
    across, beside = (TURNS[crs] / 2 - abs(shape.centroid.x) for shape in there.geometry)
    assert abs(across) < TURNS[crs] / 10**6 < beside


def test_what_cannot_be_transformed_is_refused() -> None:
    with pytest.raises(OutputError, match=r"cannot be transformed to site grid: .*; choose another CRS"):
        reprojected(layer_at("utm"), pyproj.CRS.from_wkt(LOCAL_WKT))
    pole = geopandas.GeoDataFrame(geometry=[shapely.box(0, -90, 1, -89)], crs=DEGREES)
    with pytest.raises(OutputError, match="some objects are outside the bounds of RGF93 v1 / Lambert-93"):
        reprojected(pole, pyproj.CRS(2154))


@pytest.mark.parametrize(("crs", "to"), [(UTM, DEGREES), (DEGREES, DEGREES), (DEGREES, MERCATOR), (DEGREES, UTM)])
def test_a_mover_gives_what_pyproj_gives_within_half_a_turn_of_a_place(crs: pyproj.CRS, to: pyproj.CRS) -> None:
    xs, ys = (
        (np.array([4e5, 5e5]), np.array([5e6, 6e6])) if crs == UTM else (np.array([14.5, 15.5]), np.array([45, 50.0]))
    )
    expected = pyproj.Transformer.from_crs(crs, to, always_xy=True).transform(xs, ys)
    turn = TURNS.get(to, 0.0)
    moved = mover(crs, to, float(expected[0][0]) + 2 * turn)(xs, ys)
    assert moved[0] == pytest.approx(expected[0] + 2 * turn, rel=1e-12) and moved[1] == pytest.approx(
        expected[1], rel=1e-12
    )
