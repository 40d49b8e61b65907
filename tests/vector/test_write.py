"""Every format read back with a reader that shares no code with the writer; corners computed by hand."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet
import pyproj
import pytest
import rasterio
import shapely
from support.readers import debian_gdal, read_layer

from lcageo.detections import Detections
from lcageo.errors import OutputError, UsageError
from lcageo.geodesy import to_longitude_latitude
from lcageo.scene.georef import Georeference
from lcageo.vector import write as vector
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS, sidecar
from lcageo.vector.publish import Publication, check_output
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

CLASSES = ("ship", "storage tank")
BOXES = np.array([[0, 0, 40, 20], [100.25, 50.5, 130.75, 80], [5, 90, 6, 99]], np.float64)
FOUND = Detections(BOXES, np.array([0.91, 0.5, 0.30004], np.float32), np.array([1, 0, 1]))
RECORD = {"model": "test", "bands": [3, 2, 1]}
FOOT_M = 1200 / 3937

PLACES: dict[str, tuple[str, rasterio.Affine]] = {
    "utm": ("EPSG:32633", rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)),
    "degrees": ("EPSG:4326", rasterio.Affine(1e-5, 0, 11, 0, -1e-5, 48)),
    "feet": ("EPSG:2263", rasterio.Affine(1, 0, 1_000_000, 0, -1, 200_000)),
    "rotated": ("EPSG:32633", rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)),
    "south-up": ("EPSG:32633", rasterio.Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)),
    "antimeridian": ("EPSG:4326", rasterio.Affine(1e-4, 0, 179.9995, 0, -1e-4, -17)),
}


def write_layer(layer: geopandas.GeoDataFrame, record: dict[str, Any], path: Path) -> None:
    with Publication() as publication:
        vector.write_layer([layer], RunRecord.from_json(record), publication.draft_of(FileTarget.of(path)))
        publication.publish()


def layer_at(place: str, found: Detections = FOUND) -> geopandas.GeoDataFrame:
    crs, transform = PLACES[place]
    reference = Georeference(pyproj.CRS(crs), transform)
    return features(found, CLASSES, reference.to_map, reference.crs, "scene-ü")


def corners_by_hand(place: str) -> list[set[tuple[float, float]]]:
    a = PLACES[place][1]
    return [
        {(a.a * x + a.b * y + a.c, a.d * x + a.e * y + a.f) for x in (x1, x2) for y in (y1, y2)}
        for x1, y1, x2, y2 in BOXES.tolist()
    ]


def assert_same_corners(geometry: Any, expected: set[tuple[float, float]], tolerance: float) -> None:
    points = shapely.get_coordinates(geometry)[:-1]
    assert len(points) == 4
    for corner in expected:
        assert np.abs(points - corner).max(axis=1).min() <= tolerance


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".geojson"])
@pytest.mark.parametrize("place", PLACES)
def test_corners_are_those_of_the_affine_transform(tmp_path: Path, place: str, suffix: str) -> None:
    path = tmp_path / f"found{suffix}"
    write_layer(layer_at(place), RECORD, path)
    layer = read_layer(path)
    for geometry, expected in zip(layer.geometry, corners_by_hand(place), strict=True):
        assert geometry.geom_type == "Polygon"
        assert_same_corners(geometry, expected, 1e-9 * max(abs(v) for corner in expected for v in corner))


@pytest.mark.parametrize("place", [place for place in PLACES if place != "antimeridian"])
def test_geojson_is_longitude_and_latitude_counter_clockwise(tmp_path: Path, place: str) -> None:
    path = tmp_path / "found.geojson"
    write_layer(layer_at(place), RECORD, path)
    to_degrees = pyproj.Transformer.from_crs(PLACES[place][0], 4326, always_xy=True)
    for geometry, expected in zip(read_layer(path).geometry, corners_by_hand(place), strict=True):
        assert_same_corners(geometry, {to_degrees.transform(*corner) for corner in expected}, 1e-8)
        assert geometry.exterior.is_ccw


def test_geojson_cuts_objects_at_the_antimeridian(tmp_path: Path) -> None:
    path = tmp_path / "found.geojson"
    write_layer(layer_at("antimeridian"), RECORD, path)
    crossing, beyond, touching = read_layer(path).geometry
    # Columns 0 to 40 are 179.9995 to 180.0035: five columns before the antimeridian and 35 behind it.
    assert crossing.geom_type == "MultiPolygon"
    assert sorted(part.bounds for part in crossing.geoms) == [
        pytest.approx((-180, -17.002, -179.9965, -17)),
        pytest.approx((179.9995, -17.002, 180, -17)),
    ]
    assert all(part.exterior.is_ccw for part in crossing.geoms)
    assert beyond.bounds == pytest.approx((-179.990475, -17.008, -179.987425, -17.00505))
    assert touching.geom_type == "Polygon" and touching.bounds == pytest.approx((-180, -17.0099, -179.9999, -17.009))


@pytest.mark.parametrize("suffix", FORMATS)
def test_attributes_arrive_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"found{suffix}"
    write_layer(layer_at("utm"), RECORD, path)
    rows = read_layer(path).rows
    assert [int(row["id"]) for row in rows] == [1, 2, 3]
    assert [row["class"] for row in rows] == ["storage tank", "ship", "storage tank"]
    assert [int(row["class_id"]) for row in rows] == [1, 0, 1]
    assert [float(row["score"]) for row in rows] == [0.91, 0.5, 0.3]
    assert {row["scene"] for row in rows} == {"scene-ü"}
    assert [float(row["width_m"]) for row in rows] == pytest.approx([20, 15.25, 0.5], abs=0.02)
    assert [float(row["height_m"]) for row in rows] == pytest.approx([10, 14.75, 4.5], abs=0.02)
    assert [float(row["area_m2"]) for row in rows] == pytest.approx([200, 224.94, 2.25], rel=2e-3)


@pytest.mark.parametrize(
    ("place", "across", "down"),
    [
        ("feet", FOOT_M, FOOT_M),
        ("rotated", 0.5, 0.5),
        ("degrees", 1e-5 * np.pi / 180 * 6_388_838.3 * np.cos(np.radians(48)), 1e-5 * np.pi / 180 * 6_371_000),
    ],
)
def test_sizes_are_metres_whatever_the_crs(place: str, across: float, down: float) -> None:
    layer = layer_at(place)
    sides = BOXES[:, 2:] - BOXES[:, :2]
    assert layer["width_m"].to_numpy() == pytest.approx(sides[:, 0] * across, rel=2e-3, abs=0.01)
    assert layer["height_m"].to_numpy() == pytest.approx(sides[:, 1] * down, rel=2e-3, abs=0.01)
    assert layer["area_m2"].to_numpy() == pytest.approx(sides.prod(axis=1) * across * down, rel=4e-3, abs=0.01)


def test_areas_agree_with_geodesic_polygons() -> None:
    for place in PLACES:
        layer = layer_at(place)
        degrees = layer.to_crs(4326)
        geod = pyproj.Geod(ellps="WGS84" if place != "feet" else "GRS80")
        areas = [abs(geod.geometry_area_perimeter(geometry)[0]) for geometry in degrees.geometry]
        assert layer["area_m2"].to_numpy() == pytest.approx(areas, rel=1e-4, abs=0.006)


def test_a_scene_without_crs_gives_pixels_and_no_sizes(tmp_path: Path) -> None:
    reference = Georeference(None)
    layer = features(FOUND, CLASSES, reference.to_map, None, "s")
    for suffix in (".geojson", ".gpkg", ".csv"):
        path = tmp_path / f"found{suffix}"
        write_layer(layer, RECORD, path)
        read = read_layer(path)
        assert read.geometry[0].bounds == (0, 0, 40, 20)
        assert read.rows[0]["area_m2"] in (None, "")


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_detections_give_a_valid_empty_layer_with_fields_and_crs(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    write_layer(layer_at("utm", Detections.empty()), RECORD, path)
    assert read_layer(path).rows == []
    empty = geopandas.read_parquet(path) if suffix == ".parquet" else geopandas.read_file(path, layer=path.stem)
    if suffix != ".geojson":  # GeoJSON has no place for the fields of no features
        assert {"id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene"} <= set(empty.columns)
    if suffix != ".csv":
        assert empty.crs == ("EPSG:4326" if suffix == ".geojson" else "EPSG:32633")


def test_shapefiles_have_short_names_a_crs_and_an_encoding(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.shp")
    assert (tmp_path / "found.cpg").read_text().strip() == "UTF-8"
    assert "UTM" in (tmp_path / "found.prj").read_text()
    assert all(len(name) <= 10 for name in read_layer(tmp_path / "found.shp").rows[0])


def test_provenance_is_inside_where_the_format_has_a_place_else_beside(tmp_path: Path) -> None:
    for suffix in FORMATS:
        write_layer(layer_at("utm"), RECORD, tmp_path / f"found{suffix}")
    assert json.loads((tmp_path / "found.geojson").read_text())["lcageo"] == RECORD
    with sqlite3.connect(tmp_path / "found.gpkg") as base:
        assert json.dumps(RECORD) in base.execute("SELECT metadata FROM gpkg_metadata").fetchone()[0].replace(
            "&quot;", '"'
        )
    base.close()
    assert json.loads(pyarrow.parquet.read_schema(tmp_path / "found.parquet").metadata[b"lcageo"]) == RECORD
    for suffix in (".shp", ".csv"):
        assert json.loads(sidecar(tmp_path / f"found{suffix}").read_text()) == RECORD
    assert json.dumps(RECORD).encode() in (tmp_path / "found.fgb").read_bytes()


@pytest.mark.parametrize("stem", ["<b>a", "(1) copy", "+x", "gpkg-of-may", "SQLite_x", "layer_styles", "ü b'c", "1a"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_any_file_name_will_do(tmp_path: Path, stem: str, suffix: str) -> None:
    path = tmp_path / f"{stem}{suffix}"
    write_layer(layer_at("utm"), RECORD, path)
    assert len(read_layer(path).rows) == 3
    if suffix == ".gpkg":
        with closing(sqlite3.connect(path)) as base:
            (named,) = base.execute("SELECT table_name FROM gpkg_geometry_columns")
            assert base.execute("SELECT f_table_name FROM layer_styles").fetchall() == [named]
        assert named[0] in (stem, f"_{stem}") and (named[0] == stem) is stem.startswith(("ü", "1"))


def test_debians_gdal_opens_every_format_it_knows(tmp_path: Path) -> None:
    for suffix in (".geojson", ".gpkg", ".shp", ".fgb"):
        write_layer(layer_at("utm"), RECORD, tmp_path / f"found{suffix}")
        converted = debian_gdal("ogr2ogr", "-f", "GeoJSON", target=tmp_path / f"found{suffix}")
        assert len(json.loads(converted.read_text())["features"]) == 3


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    for suffix in FORMATS:
        path = tmp_path / f"found{suffix}"
        write_layer(layer_at("utm"), RECORD, path)
        write_layer(layer_at("utm", FOUND.selected(np.array([1]))), RECORD, path)
        assert len(read_layer(path).rows) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_that_belongs_to_a_layer_is_replaced_unasked(tmp_path: Path) -> None:
    for name in ("found.dbf", "found.csv.json"):
        (tmp_path / name).write_text("precious")
    for suffix in (".shp", ".csv"):
        with pytest.raises(UsageError, match=r"found\..* exists; give --overwrite"):
            check_output(tmp_path / f"found{suffix}", FileTarget.of(tmp_path / f"found{suffix}").files, overwrite=False)


def test_an_older_shapefiles_index_does_not_outlive_it(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.shp")
    (tmp_path / "found.qix").touch()
    pixels = features(FOUND, CLASSES, Georeference(None).to_map, None, "s")
    write_layer(pixels, RECORD, tmp_path / "found.shp")
    assert not (tmp_path / "found.qix").exists() and not (tmp_path / "found.prj").exists()


LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'


def test_a_crs_without_longitude_and_latitude_keeps_to_other_formats(tmp_path: Path) -> None:
    crs = pyproj.CRS.from_wkt(LOCAL)
    assert not to_longitude_latitude(crs) and to_longitude_latitude(pyproj.CRS(2263))
    layer = features(FOUND, CLASSES, Georeference(crs, PLACES["utm"][1]).to_map, crs, "s")
    with pytest.raises(OutputError, match=r"no longitude and latitude .* such as \.gpkg"):
        write_layer(layer, RECORD, tmp_path / "found.geojson")
    write_layer(layer, RECORD, tmp_path / "found.gpkg")
    assert len(read_layer(tmp_path / "found.gpkg").rows) == 3


def test_coordinates_outside_their_crs_are_an_error_not_empty_shapes(tmp_path: Path) -> None:
    off = Georeference(pyproj.CRS(32633), rasterio.Affine(1e7, 0, 1e9, 0, -1e7, 1e9))
    with pytest.raises(OutputError, match="no longitude and latitude"):
        write_layer(features(FOUND, CLASSES, off.to_map, off.crs, "s"), RECORD, tmp_path / "found.geojson")


def test_several_outputs_appear_together_or_not_at_all(tmp_path: Path) -> None:
    crs = pyproj.CRS.from_wkt(LOCAL)
    layer = features(FOUND, CLASSES, Georeference(crs, PLACES["utm"][1]).to_map, crs, "s")
    with pytest.raises(OutputError), Publication() as publication:
        for name in ("found.gpkg", "found.geojson"):
            vector.write_layer(
                [layer], RunRecord.from_json(RECORD), publication.draft_of(FileTarget.of(tmp_path / name))
            )
        publication.publish()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot be written"), Publication() as publication:
        publication.draft(tmp_path / "none" / "found.gpkg")


def test_boxes_around_and_beyond_a_pole_are_written(tmp_path: Path) -> None:
    polar = Georeference(pyproj.CRS(3413), rasterio.Affine(1, 0, -50, 0, -1, 50))
    beyond = Georeference(pyproj.CRS(4326), rasterio.Affine(0.01, 0, 10, 0, -0.01, 90.3))
    for reference in (polar, beyond):
        write_layer(
            features(FOUND, CLASSES, reference.to_map, reference.crs, "s"),
            RECORD,
            tmp_path / "found.geojson",
        )
        assert len(read_layer(tmp_path / "found.geojson").rows) == 3


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    before = path.read_bytes()

    def fails(draft: Path, driver: str, count: int) -> None:
        assert draft.exists()
        raise OSError("No space left on device")

    monkeypatch.setattr(vector, "check_complete", fails)
    with pytest.raises(OutputError, match=r"cannot be written: No space left .* disk full"):
        write_layer(layer_at("utm"), RECORD, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_outputs_that_could_not_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "there.gpkg").touch()
    there, missing = tmp_path / "there.gpkg", tmp_path / "none" / "found.gpkg"
    with pytest.raises(UsageError, match=r"no known suffix; use one of \.geojson"):
        FileTarget.of(tmp_path / "found.xyz")
    with pytest.raises(UsageError, match="exists; give --overwrite"):
        check_output(there, [there], overwrite=False)
    check_output(there, [there], overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it"):
        check_output(missing, [missing], overwrite=False)
    check_output(missing, [missing], overwrite=False, folder_is_made=True)


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "os.access", lambda path, mode: False
    )  # root may write anywhere: ask as another user would be told
    with pytest.raises(OutputError, match="cannot be written to"):
        check_output(tmp_path / "found.gpkg", [], overwrite=False)


def test_geoparquet_names_the_kinds_of_geometry_that_it_holds(tmp_path: Path) -> None:
    boxes = layer_at("utm")
    pieces = boxes.set_geometry([shapely.MultiPolygon([one]) for one in boxes.geometry])
    with Publication() as publication:
        vector.write_layer(
            [boxes, pieces],
            RunRecord.from_json(RECORD),
            publication.draft_of(FileTarget.of(tmp_path / "found.parquet")),
        )
        publication.publish()
    geo = json.loads(pyarrow.parquet.read_metadata(tmp_path / "found.parquet").metadata[b"geo"])
    assert geo["columns"]["geometry"]["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert geo["columns"]["geometry"]["bbox"] == pytest.approx(boxes.total_bounds.tolist())
