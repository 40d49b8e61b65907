"""Polygons from users' files: with other columns, broken rings or no CRS."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pyogrio
import pyproj
import pytest
import shapely

from lcageo.errors import DataError
from lcageo.vector.polygons import read_polygons

UTM = "EPSG:32633"
SQUARE = shapely.box(500_000, 5_000_000, 500_010, 5_000_010)


def written(path: Path, *geometry: shapely.Geometry | None, crs: str | None = UTM, **columns: list[object]) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=list(geometry), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        pyogrio.write_dataframe(frame, path, geometry_type="Unknown")
    return path


@pytest.mark.parametrize("name", ["a.gpkg", "a.fgb", "a.parquet", "a.PARQUET", "a.shp"])
def test_polygons_of_any_format_are_read_with_their_crs(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    written(path.with_suffix(path.suffix.lower()), SQUARE, label=["ship"]).rename(path)
    layer = read_polygons(path, "--layer")
    assert layer.crs == pyproj.CRS(UTM) and not layer.warnings
    assert len(layer) == 1 and shapely.equals(layer.shapes[0], SQUARE)
    assert layer.column(("class", "label")) == "label" and layer.column(("class",)) is None


def test_columns_are_found_in_any_case(tmp_path: Path) -> None:
    path = written(tmp_path / "a.gpkg", SQUARE, Name=["x"], CLASS=["ship"])
    assert read_polygons(path, "--truth").column(("class", "name")) == "CLASS"


def test_what_has_no_area_is_left_out_and_counted(tmp_path: Path) -> None:
    flat = shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    path = written(tmp_path / "a.gpkg", None, shapely.Polygon(), flat, SQUARE)
    layer = read_polygons(path, "--truth")
    assert layer.frame.index.tolist() == [3]
    assert layer.warnings == (
        f"--truth '{path}': 1 feature with edges that cross or touch; made valid",
        f"--truth '{path}': 3 features without geometry or area; left out",
    )


def test_rings_that_cross_themselves_become_the_areas_they_enclose(tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)])
    layer = read_polygons(written(tmp_path / "a.gpkg", bow_tie, SQUARE), "--layer")
    assert shapely.is_valid(layer.shapes).all() and shapely.area(layer.shapes).tolist() == [2, 100]
    assert "1 feature with edges that cross or touch; made valid" in layer.warnings[0]


def test_collections_count_with_their_polygons_and_heights_are_dropped(tmp_path: Path) -> None:
    mixed = shapely.GeometryCollection([SQUARE, shapely.box(0, 0, 3, 3), shapely.Point(9, 9)])
    high = shapely.force_3d(SQUARE, 77)
    path = written(tmp_path / "a.gpkg", mixed, high)
    layer = read_polygons(path, "--layer")
    assert sorted(shapely.area(layer.shapes)) == [9, 100, 100] and not shapely.has_z(layer.shapes).any()
    assert layer.frame.index.tolist() == [0, 0, 1]
    assert layer.warnings == (
        f"--layer '{path}': 1 feature with parts that lie apart; each part is an object of its own",
    )
    whole = read_polygons(path, "--aoi", objects=False)
    assert shapely.area(whole.shapes).tolist() == [109, 100] and not whole.warnings


def test_geojson_of_pixels_has_no_crs_although_gdal_says_so(tmp_path: Path) -> None:
    ring = [[0, 0], [900, 0], [900, 900], [0, 900], [0, 0]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path = tmp_path / "pixels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert pyogrio.read_info(path)["crs"] == "EPSG:4326"
    layer = read_polygons(path, "--layer")
    assert layer.crs is None and "are not longitudes and latitudes; its CRS is ignored" in layer.warnings[0]


def test_latitudes_in_grads_go_up_to_a_hundred(tmp_path: Path) -> None:
    layer = read_polygons(written(tmp_path / "a.gpkg", shapely.box(1, 98, 2, 99), crs="EPSG:4807"), "--layer")
    assert layer.crs == "EPSG:4807" and layer.warnings == ()


def test_what_holds_no_polygons_is_refused_with_a_remedy(tmp_path: Path) -> None:
    points = written(tmp_path / "points.gpkg", SQUARE, shapely.Point(1, 1), shapely.Point(2, 2))
    with pytest.raises(DataError, match=r"points\.gpkg' holds 2 points or lines \(the first is feature 2, a Point\)"):
        read_polygons(points, "--truth")
    with pytest.raises(DataError, match=r"--truth '.*none\.gpkg' does not exist; check the path"):
        read_polygons(tmp_path / "none.gpkg", "--truth")


def test_features_outside_the_bounds_of_the_other_crs_are_counted(tmp_path: Path) -> None:
    polar = written(tmp_path / "a.gpkg", shapely.box(0, -90, 1, -80), shapely.box(0, 1, 1, 2), crs="EPSG:4326")
    layer = read_polygons(polar, "--layer")
    east, north = pyproj.Transformer.from_crs(4326, UTM, always_xy=True).transform([0, 0, 1, 1], [1, 2, 2, 1])
    corners = shapely.Polygon(zip(east, north, strict=True))
    assert shapely.equals_exact(layer.reprojected(pyproj.CRS(UTM)).shapes[1], corners, 1e-6, normalize=True)
    with pytest.raises(DataError, match=r"1 of 2 features in '.*' are outside the bounds of RGF93 v1 / Lambert-93"):
        layer.reprojected(pyproj.CRS("EPSG:2154"))
    local = pyproj.CRS(
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    )
    with pytest.raises(DataError, match=r"cannot be transformed from EPSG:4326 to site"):
        layer.reprojected(local)


def test_points_are_read_one_by_one_where_they_are_accepted(tmp_path: Path) -> None:
    several, one = shapely.MultiPoint([(1, 2), (3, 4)]), shapely.Point(5, 6, 7)
    path = written(tmp_path / "a.gpkg", SQUARE, several, one, shapely.Point(), label=["a", "b", "c", "d"])
    layer = read_polygons(path, "--labels", points=True)
    assert [shape.wkt for shape in layer.shapes[1:]] == ["POINT (1 2)", "POINT (3 4)", "POINT (5 6)"]
    assert layer.frame["label"].tolist() == ["a", "b", "b", "c"] and layer.frame.index.tolist() == [0, 1, 1, 2]
    assert layer.warnings == (f"--labels '{path}': 1 feature without geometry or area; left out",)
    lines = written(tmp_path / "b.gpkg", several, shapely.LineString([(0, 0), (1, 1)]))
    with pytest.raises(DataError, match=r"holds 1 lines \(the first is feature 2, a LineString\); labels must be"):
        read_polygons(lines, "--labels", points=True)
