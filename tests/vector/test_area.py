"""Areas of interest from files, and which shapes they hold."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import shapely

from lcageo.errors import UsageError
from lcageo.vector.area import Area

UTM = pyproj.CRS(32633)
WEST, SOUTH = 500_000.0, 5_000_000.0
SQUARE = shapely.box(WEST, SOUTH, WEST + 100, SOUTH + 100)
APART = shapely.box(WEST + 300, SOUTH, WEST + 400, SOUTH + 100)
HOLE = shapely.box(WEST + 40, SOUTH + 40, WEST + 60, SOUTH + 60)


def written(path: Path, *shapes: shapely.Geometry, crs: pyproj.CRS | None = UTM) -> Path:
    frame = geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


def random_boxes(count: int) -> list[shapely.Polygon]:
    corners = np.random.default_rng(0).uniform(-50, 450, (count, 2))
    return [shapely.box(WEST + x, SOUTH + y, WEST + x + 20, SOUTH + y + 10) for x, y in corners.tolist()]


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.fgb", "a.parquet"])
def test_all_polygons_of_a_file_are_one_area(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, SQUARE, APART, HOLE)
    area = Area.read(path)
    assert shapely.equals(area.shape, shapely.MultiPolygon([SQUARE, APART]))
    assert area.crs == UTM and area.warnings == () and area.name == f"--aoi '{path}'"


def test_an_area_holds_what_has_its_centre_inside(tmp_path: Path) -> None:
    with_hole = SQUARE.difference(HOLE)
    area = Area.read(written(tmp_path / "a.gpkg", with_hole, APART))
    boxes = random_boxes(300)
    expected = [any(shape.intersects(box.centroid) for shape in (with_hole, APART)) for box in boxes]
    assert area.holds(np.array(boxes), UTM).tolist() == expected and 10 < sum(expected) < 290
    assert area.holds(np.array([], object), UTM).tolist() == []


def test_shapes_are_compared_in_the_areas_crs(tmp_path: Path) -> None:
    area = Area.read(written(tmp_path / "a.gpkg", SQUARE, APART))
    boxes = geopandas.GeoSeries(random_boxes(300), crs=UTM)
    in_degrees = boxes.to_crs(4326)
    assert area.holds(in_degrees.to_numpy(), pyproj.CRS(4326)).tolist() == area.holds(boxes.to_numpy(), UTM).tolist()
    world = Area.read(written(tmp_path / "world.gpkg", shapely.box(-180, -90, 180, 90), crs=pyproj.CRS(4326)))
    assert world.holds(boxes.to_numpy(), UTM).all()


BESIDE = {"cut": [(179.99, 180), (-180, -179.99)], "plus": [(179.99, 180.01)], "minus": [(-180.01, -179.99)]}
"""Longitudes of one area across the antimeridian, as programs write it."""


@pytest.mark.parametrize("area_crs", [4326, 3857])
@pytest.mark.parametrize("form", BESIDE)
@pytest.mark.parametrize("crs", [32660, 4326, 3857])
def test_an_area_across_the_antimeridian_holds_what_lies_on_both_sides(
    tmp_path: Path, crs: int, form: str, area_crs: int
) -> None:
    boxes = [shapely.box(west, 9.99, east, 10.01) for west, east in BESIDE[form]]
    turn = 2 * 20_037_508.342789244 / 360 if area_crs == 3857 else 1.0  # by hand: PROJ would wrap
    north = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform([0, 0], [9.99, 10.01])[1]
    rows = north if area_crs == 3857 else [9.99, 10.01]
    boxes = [shapely.box(west * turn, rows[0], east * turn, rows[1]) for west, _, east, _ in shapely.bounds(boxes)]
    path = written(tmp_path / "a.gpkg", shapely.MultiPolygon(boxes), crs=pyproj.CRS(area_crs))
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    for start in (0, 360) if crs == 4326 else (0,):
        places = np.array([179.995, -179.995, 179.98, -179.98]) + start
        x, y = to_crs.transform(places, np.full(4, 10.0)) if crs != 4326 else (places, np.full(4, 10.0))
        assert Area.read(path).holds(shapely.points(x, y), pyproj.CRS(crs)).tolist() == [True, True, False, False]


def test_what_was_fixed_or_left_out_is_a_warning(tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    area = Area.read(written(tmp_path / "a.gpkg", bow_tie, shapely.Polygon()), "--area")
    assert area.shape.area == pytest.approx(2)
    assert [warning.partition(": ")[2] for warning in area.warnings] == [
        "1 feature with edges that cross or touch; made valid",
        "1 feature without geometry or area; left out",
    ]


def test_what_is_no_area_is_refused_under_the_name_of_the_option(tmp_path: Path) -> None:
    line = written(tmp_path / "line.gpkg", shapely.LineString([(0, 0), (1, 1)]))
    with pytest.raises(UsageError, match=r"--area '.*line\.gpkg' holds 1 points or lines .* must consist of polygons"):
        Area.read(line, "--area")
    with pytest.raises(UsageError, match=r"--area '.*empty\.gpkg' holds no polygons; choose another layer"):
        Area.read(written(tmp_path / "empty.gpkg", shapely.Polygon()), "--area")
    with pytest.raises(UsageError, match=r"--area '.*none\.gpkg' does not exist"):
        Area.read(tmp_path / "none.gpkg", "--area")
    for name in ("first", "second"):
        geopandas.GeoDataFrame(geometry=[SQUARE], crs=UTM).to_file(tmp_path / "two.gpkg", layer=name)
    with pytest.raises(UsageError, match=r"several layers \(first, second\)"):
        Area.read(tmp_path / "two.gpkg")


def test_a_crs_must_be_on_both_sides(tmp_path: Path) -> None:
    area = Area.read(written(tmp_path / "a.gpkg", SQUARE))
    with pytest.raises(UsageError, match=r"the layer has no CRS, but --aoi '.*' has one; save it with its CRS"):
        area.holds(np.array([SQUARE]), None)
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        plain = Area.read(written(tmp_path / "b.gpkg", SQUARE, crs=None))
    with pytest.raises(UsageError, match=r"--aoi '.*' has no CRS, but the layer has one"):
        plain.check_crs(UTM)
    local = pyproj.CRS('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    with pytest.raises(UsageError, match=r"--aoi '.*' is in 'WGS 84 .*no transformation leads to 'site grid'; assign"):
        area.check_crs(local)
    assert plain.holds(np.array([SQUARE, HOLE, shapely.Point(0, 0)]), None).tolist() == [True, True, False]
