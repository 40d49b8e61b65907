"""Objects that are parts of one feature, as after `dissolve` or `collect`, compared with geopandas."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lcageo.vector.parts import apart_note, taken_apart

CRS = "EPSG:32633"


def squares(count: int, side: float = 10.0) -> geopandas.GeoDataFrame:
    """Squares that lie apart, of two classes."""
    places = 3 * side * np.arange(count)
    boxes = shapely.box(500_000 + places, 5_000_000, 500_000 + side + places, 5_000_000 + side)
    kinds = ["ship" if number % 3 else "car" for number in range(count)]
    area = np.full(count, side * side)
    return geopandas.GeoDataFrame({"class": kinds, "area_m2": area, "width_m": side}, geometry=boxes, crs=CRS)


@given(count=st.integers(1, 20))
def test_what_dissolve_made_of_objects_is_undone(count: int) -> None:
    single = squares(count)
    dissolved = single.dissolve("class").reset_index()
    apart, features = taken_apart(dissolved)
    assert features == (dissolved.geometry.geom_type == "MultiPolygon").sum()
    assert len(apart) == count
    matched = apart.sjoin(single, predicate="covers")
    assert sorted(matched["index_right"]) == list(range(count))
    assert (matched["class_left"] == matched["class_right"]).all()


def test_a_part_has_its_own_area_and_unknown_lengths() -> None:
    dissolved = squares(6).dissolve("class").reset_index()
    dissolved.loc[len(dissolved)] = ["plane", shapely.box(0, 0, 1, 1), 1.0, 1.0]
    apart, _ = taken_apart(dissolved)
    assert apart["area_m2"].tolist()[:6] == pytest.approx([100.0 / 0.9996**2] * 6, rel=1e-3)
    assert apart["width_m"].isna().tolist() == [True] * 6 + [False]
    assert apart["area_m2"].iloc[6] == 1.0 and apart.index.tolist() == [0, 0, 1, 1, 1, 1, 2]


def test_parts_that_touch_or_overlap_are_one_object() -> None:
    beside = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(5, 5, 6, 6)])
    overlapping = shapely.MultiPolygon([shapely.box(0, 0, 3, 3), shapely.box(2, 2, 4, 4)])
    nested = shapely.GeometryCollection([shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4, 1)])])
    apart, features = taken_apart(geopandas.GeoDataFrame(geometry=[beside, overlapping, nested], crs=CRS))
    assert apart.index.tolist() == [0, 0, 1, 2, 2] and features == 2
    assert sorted(shapely.area(apart.geometry[[0, 2]])) == [1, 1, 1, 2]
    assert shapely.equals(apart.geometry.iloc[2], overlapping)  # as it was


def test_a_box_that_the_antimeridian_cuts_stays_one_object() -> None:
    halves = shapely.MultiPolygon([shapely.box(179.9, 10, 180, 10.1), shapely.box(-180, 10, -179.9, 10.1)])
    for crs, count in (("EPSG:4326", 1), ("EPSG:3857", 2)):
        assert len(taken_apart(geopandas.GeoDataFrame(geometry=[halves], crs=crs))[0]) == count


def test_points_come_one_by_one_only_where_they_are_objects() -> None:
    several, alone = shapely.MultiPoint([(1, 2), (3, 4)]), shapely.MultiPoint([(7, 8)])
    layer = geopandas.GeoDataFrame({"a": [1, 2, 3]}, geometry=[several, shapely.Point(5, 6), alone], crs=CRS)
    apart, features = taken_apart(layer, points=True)
    assert apart["a"].tolist() == [1, 1, 2, 3] and features == 0
    assert set(apart.geometry.geom_type) == {"Point"}
    assert taken_apart(layer)[0] is layer


def test_layers_without_a_crs_or_a_geometry_are_taken_apart_as_well() -> None:
    parts = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4, 1)])
    layer = geopandas.GeoDataFrame({"area_m2": [2.0, 5.0]}, geometry=[parts, None])
    apart, features = taken_apart(layer)
    assert len(apart) == 3 and features == 1 and apart["area_m2"].isna().tolist() == [True, True, False]
    assert apart_note("a", 0) == []


@pytest.mark.parametrize(
    ("crs", "end"), [("EPSG:4326", 180.0), ("EPSG:3857", 20_037_508.342789244), ("EPSG:4807", 200)]
)
def test_the_halves_of_an_object_at_the_antimeridian_become_one_piece_around_its_centre(crs: str, end: float) -> None:
    whole = shapely.box(end - 0.25, 10, end + 0.75, 10.5)
    halves = shapely.MultiPolygon([shapely.box(end - 0.25, 10, end, 10.5), shapely.box(-end, 10, 0.75 - end, 10.5)])
    layer = geopandas.GeoDataFrame({"a": [1, 2]}, geometry=[halves, shapely.box(1, 1, 2, 2)], crs=crs)
    joined, features = taken_apart(layer)
    assert features == 0 and joined["a"].tolist() == [1, 2]
    assert joined.geometry[0].geom_type == "Polygon"
    assert shapely.hausdorff_distance(joined.geometry[0], whole) < 1e-4
    assert joined.geometry[1] == layer.geometry[1] and layer.geometry[0] == halves


def test_a_polygon_with_the_point_of_its_label_is_one_object() -> None:
    square, inside, far = shapely.box(0, 0, 4, 4), shapely.Point(1, 1), shapely.Point(9, 9)
    both = shapely.GeometryCollection([square, inside, square.boundary])
    layer = geopandas.GeoDataFrame(geometry=[both, shapely.GeometryCollection([square, far])], crs=CRS)
    apart, _ = taken_apart(layer, points=True)
    assert apart.index.tolist() == [0, 1, 1]
    assert [shape.geom_type for shape in apart.geometry] == ["GeometryCollection", "Polygon", "Point"]
