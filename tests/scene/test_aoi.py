from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from support.scenes import noise, write_scene

from lcageo.errors import UsageError
from lcageo.inference.plan import aoi_from_file
from lcageo.scene.aoi import AreaOfInterest, aoi_from_bbox
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene

WEST, NORTH = 500_000.0, 5_000_000.0  # of the 200 x 100 pixel, 0.5 m scene below


@pytest.fixture
def info(tmp_path: Path) -> SceneInfo:
    with open_scene(write_scene(tmp_path / "scene.tif", noise(100, 200))) as scene:
        return scene.info


def layer(path: Path, geometry: shapely.Geometry, crs: str | None = "EPSG:32633") -> Path:
    geopandas.GeoDataFrame(geometry=[geometry], crs=crs).to_file(path)
    return path


def middle() -> shapely.Geometry:
    """Pixels 50 to 150 by 20 to 80, on the map."""
    return shapely.box(WEST + 25, NORTH - 40, WEST + 75, NORTH - 10)


def assert_is_middle(aoi: AreaOfInterest, tolerance: float) -> None:
    assert shapely.bounds(aoi.polygon).tolist() == pytest.approx([50, 20, 150, 80], abs=tolerance)
    centres = np.array([[49, 50], [51, 50], [149, 79], [100, 81]], np.float64)
    boxes = np.concatenate([centres - 3, centres + 3], axis=1)
    assert aoi.holds_centre(boxes).tolist() == [False, True, True, False]
    tiles = np.array([[0, 0, 49, 100], [0, 0, 60, 30], [150.5, 0, 200, 100]])
    assert aoi.meets(tiles).tolist() == [False, True, False]


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson"])
def test_any_layer_in_the_scenes_crs(tmp_path: Path, info: SceneInfo, suffix: str) -> None:
    assert_is_middle(aoi_from_file(layer(tmp_path / f"aoi.{suffix}", middle()), info), 0.01)


def test_another_crs_is_transformed(tmp_path: Path, info: SceneInfo) -> None:
    dense = shapely.segmentize(middle(), 1.0)
    for crs in ("EPSG:4326", "EPSG:3857"):
        moved = geopandas.GeoSeries([dense], crs="EPSG:32633").to_crs(crs).iloc[0]
        assert_is_middle(aoi_from_file(layer(tmp_path / f"{crs[5:]}.gpkg", moved, crs), info), 0.01)


@pytest.mark.parametrize(("crs", "west"), [("EPSG:4326", 179.9995), ("EPSG:4326", -180.0005), ("EPSG:3832", 179.9995)])
@pytest.mark.parametrize("form", ["cut", "east of 180", "west of -180"])
def test_an_area_across_the_antimeridian_is_complete(tmp_path: Path, west: float, crs: str, form: str) -> None:
    """GeoJSON cuts it into two parts; others write longitudes beyond 180. So do scenes; EPSG:3832 is centred on it."""
    step = 0.001 / 200
    transform, grid = rasterio.Affine(step, 0, west, 0, -step, -17), "EPSG:4326"
    if crs == "EPSG:3832":
        x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(179.9995, -17)
        transform, grid = rasterio.Affine(0.5, 0, x, 0, -0.5, y), crs
    with open_scene(write_scene(tmp_path / "scene.tif", noise(100, 200), grid, transform)) as scene:
        info = scene.info
    middle = scene_degrees(info, 50), scene_degrees(info, 150)
    east, west_end = middle[0][0] % 360, middle[1][0] % 360  # 179.99975 and 180.00025, about
    south, north = scene_degrees(info, 50, 80)[1], scene_degrees(info, 50, 20)[1]
    area = shapely.box(east, south, west_end, north)
    if form == "cut":
        area = shapely.union(shapely.box(east, south, 180, north), shapely.box(-180, south, west_end - 360, north))
    if form == "west of -180":
        area = shapely.box(east - 360, south, west_end - 360, north)
    aoi = aoi_from_file(layer(tmp_path / "aoi.gpkg", area, "EPSG:4326"), info)
    assert shapely.bounds(aoi.polygon).tolist() == pytest.approx([50, 20, 150, 80], abs=0.01)
    assert shapely.area(aoi.polygon) == pytest.approx(100 * 60, rel=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:32701", "EPSG:32760", "EPSG:3460", "EPSG:3832"])
@pytest.mark.parametrize("west", [179.9995, -180.0005])
@pytest.mark.parametrize("scene_crs", ["EPSG:4326", "EPSG:3857"])
def test_an_area_in_metres_across_the_antimeridian_is_no_other(
    tmp_path: Path, scene_crs: str, west: float, crs: str
) -> None:
    """Its points come to degrees as 179.9998 and -179.9998, which are not the two ends of the world."""
    unit = 1.0 if scene_crs == "EPSG:4326" else 20_037_508.342789244 / 180
    step, top = 0.001 / 200 * unit, -17.0 if scene_crs == "EPSG:4326" else -1_920_825.04
    transform = rasterio.Affine(step, 0, west * unit, 0, -step, top)
    with open_scene(write_scene(tmp_path / "scene.tif", noise(100, 200), scene_crs, transform)) as scene:
        info = scene.info
    pixels = shapely.segmentize(shapely.box(50, 20, 150, 80), 1)
    xs, ys = info.georeference.to_map(*shapely.get_coordinates(pixels).T)
    to_metres = pyproj.Transformer.from_crs(scene_crs, crs, always_xy=True)
    area = shapely.Polygon(np.column_stack(to_metres.transform((xs / unit + 180) % 360 * unit - 180 * unit, ys)))
    aoi = aoi_from_file(layer(tmp_path / "aoi.gpkg", area, crs), info)
    assert shapely.bounds(aoi.polygon).tolist() == pytest.approx([50, 20, 150, 80], abs=0.05)
    assert shapely.area(aoi.polygon) == pytest.approx(100 * 60, rel=1e-3)


def test_a_large_area_is_cut_before_polynomials_place_it(tmp_path: Path) -> None:
    """Of the second order: they are true near the scene, and fold the far corners of a country into it."""
    points = [
        GroundControlPoint(row, column, 11 + column * 1e-5 + row * column * 4e-8, 48 - row * 1e-5 - column**2 * 3e-8)
        for row in (0.0, 50.0, 100.0) for column in (0.0, 100.0, 200.0)
    ]  # fmt: skip
    path = write_scene(tmp_path / "scene.tif", noise(100, 200), None, None, {"gcps": (points, CRS.from_epsg(4326))})
    with open_scene(path) as scene:
        info = scene.info
    assert info.georeference.affine is None
    for large in (shapely.box(0, 40, 25, 55), shapely.box(-170, -80, 170, 80), shapely.box(11 - 0.1, 47.9, 11.1, 48.1)):
        for name in ("EPSG:4326", "EPSG:4258"):
            aoi = aoi_from_file(layer(tmp_path / "aoi.gpkg", large, name), info)
            assert shapely.area(aoi.polygon) == pytest.approx(200 * 100, rel=1e-6)
            (tmp_path / "aoi.gpkg").unlink()


def scene_degrees(info: SceneInfo, column: float, row: float = 50) -> tuple[float, float]:
    """Longitude and latitude of a pixel."""
    x, y = info.georeference.to_map(np.array([float(column)]), np.array([float(row)]))
    crs = info.georeference.crs
    assert crs is not None
    longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x[0], y[0])
    return float(longitude), float(latitude)


def test_a_rectangle_in_the_scenes_crs_and_in_degrees(info: SceneInfo) -> None:
    assert_is_middle(aoi_from_bbox((WEST + 25, NORTH - 40, WEST + 75, NORTH - 10), None, info), 0.01)
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    west, south = to_degrees.transform(WEST + 25, NORTH - 40)
    east, north = to_degrees.transform(WEST + 75, NORTH - 10)
    assert_is_middle(aoi_from_bbox((west, south, east, north), "EPSG:4326", info), 0.2)


def test_an_area_as_large_as_the_world_holds_the_scene(info: SceneInfo) -> None:
    for crs, bbox in (("EPSG:4326", (-180.0, -90.0, 180.0, 90.0)), ("EPSG:3857", (-2e7, -2e7, 2e7, 2e7))):
        assert shapely.bounds(aoi_from_bbox(bbox, crs, info).polygon).tolist() == [0, 0, 200, 100]


def test_our_own_parquet_is_a_layer_too_and_several_layers_are_refused(tmp_path: Path, info: SceneInfo) -> None:
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[middle()], crs="EPSG:32633")
    frame.to_parquet(tmp_path / "aoi.parquet")
    assert_is_middle(aoi_from_file(tmp_path / "aoi.parquet", info), 0.01)
    for name in ("first", "second"):
        frame.to_file(tmp_path / "two.gpkg", layer=name)
    with pytest.raises(UsageError, match=r"several layers \(first, second\)"):
        aoi_from_file(tmp_path / "two.gpkg", info)


def test_a_layer_without_crs_is_taken_as_the_scenes_with_a_warning(tmp_path: Path, info: SceneInfo) -> None:
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[middle()])
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        frame.to_file(tmp_path / "aoi.gpkg")
    aoi = aoi_from_file(tmp_path / "aoi.gpkg", info)
    assert_is_middle(aoi, 0.01)
    assert "has no CRS; the scene's CRS is assumed" in aoi.warnings[0]


def test_touching_tiles_are_left_out(info: SceneInfo) -> None:
    aoi = aoi_from_bbox((WEST + 25, NORTH - 40, WEST + 75, NORTH - 10), None, info)
    assert not aoi.meets(np.array([[0.0, 0.0, 50.0, 100.0]])).any()


def test_a_scene_without_georeference_takes_pixels_and_refuses_a_crs(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "plain.tif", noise(100, 200), None, None)) as scene:
        assert_is_middle(aoi_from_bbox((50, 20, 150, 80), None, scene.info), 0.01)
        with pytest.raises(UsageError, match=r"is in WGS 84, but scene .* has no georeference"):
            aoi_from_bbox((50, 20, 150, 80), "EPSG:4326", scene.info)


def test_what_cannot_be_used_is_named(tmp_path: Path, info: SceneInfo) -> None:
    (tmp_path / "text.gpkg").write_text("no layer")
    empty = geopandas.GeoDataFrame({"a": []}, geometry=geopandas.GeoSeries([], crs=32633))
    empty.to_file(tmp_path / "empty.gpkg")
    cases = {
        "does not exist": tmp_path / "none.gpkg",
        "not a vector layer": tmp_path / "text.gpkg",
        "no polygons": tmp_path / "empty.gpkg",
        "of polygons: buffer": layer(
            tmp_path / "line.gpkg", shapely.LineString([(WEST, NORTH), (WEST + 9, NORTH - 9)])
        ),
        "is in 'site grid', from which no transformation leads to 'WGS 84 / UTM zone 33N'": layer(
            tmp_path / "local.gpkg", middle(), 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
        ),
        "does not overlap scene": layer(tmp_path / "far.gpkg", shapely.box(0, 0, 1, 1)),
    }
    for words, path in cases.items():
        with pytest.raises(UsageError, match=words):
            aoi_from_file(path, info)
    with pytest.raises(UsageError, match="is empty"):
        aoi_from_bbox((2, 0, 1, 1), None, info)
    with pytest.raises(UsageError, match="is empty"):
        aoi_from_bbox((-np.inf, 0, 1, 1), None, info)
    with pytest.raises(UsageError, match="not a CRS"):
        aoi_from_bbox((0, 0, 1, 1), "EPSG:nonsense", info)


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3413", 90.0), ("EPSG:3031", -90.0)])
def test_an_area_in_degrees_holds_the_pole_of_a_scene(tmp_path: Path, crs: str, pole: float) -> None:
    transform = rasterio.Affine(10, 0, -500, 0, -10, 500)
    with open_scene(write_scene(tmp_path / "pole.tif", noise(100, 100), crs, transform)) as scene:
        south, north = sorted((pole, pole * (1 - 2e-5)))  # 200 m around it
        cap = shapely.box(-180, south, 180, north)
        aoi = aoi_from_file(layer(tmp_path / "cap.gpkg", cap, "EPSG:4326"), scene.info)
    assert aoi.holds_centre(np.array([[49.0, 49, 51, 51], [60, 49, 62, 51], [10, 10, 12, 12]])).tolist() == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("scene_crs", ["EPSG:4326", "EPSG:3857"])
def test_an_area_of_most_of_the_world_is_not_what_is_around_it(tmp_path: Path, scene_crs: str) -> None:
    """Of a scene of the whole world, in metres of a system that covers it."""
    half, top = (180.0, 80.0) if scene_crs == "EPSG:4326" else (20_037_508.34, 15_000_000.0)
    transform = rasterio.Affine(half / 100, 0, -half, 0, -top / 50, top)
    with open_scene(write_scene(tmp_path / "scene.tif", noise(100, 200), scene_crs, transform)) as scene:
        info = scene.info
    aoi = aoi_from_bbox((-15e6, -4e6, 15e6, 4e6), "EPSG:3395", info)
    left, _, right, _ = shapely.bounds(aoi.polygon)
    to_scene = pyproj.Transformer.from_crs("EPSG:3395", scene_crs, always_xy=True)
    expected = [info.georeference.to_pixel(*map(np.array, [[x], [y]]))[0][0] for x, y in
                (to_scene.transform(-15e6, 0), to_scene.transform(15e6, 0))]  # fmt: skip
    assert [left, right] == pytest.approx(expected, abs=0.5)
    assert aoi.holds_centre(np.array([[99.0, 49.0, 101.0, 51.0]])).all()
