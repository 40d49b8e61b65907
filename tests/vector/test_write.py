"""Every format, read back with readers that share no code with the writer (DuckDB among them); corners by hand."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pyarrow.parquet
import pyproj
import pytest
import shapely
from pyogrio.errors import DataSourceError
from support.layers import BOXES, CLASSES, FOUND, PLACES, RECORD, UTM33, layer_at, write_layer
from support.readers import debian_gdal, read_layer

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.scene.georef import Georeference
from lcageo.vector import write as vector
from lcageo.vector.features import feature_parts, features
from lcageo.vector.formats import FORMATS, sidecar
from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget


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


def test_a_scene_without_crs_gives_pixels_and_no_sizes(tmp_path: Path) -> None:
    reference = Georeference(None)
    layer = features(FOUND, CLASSES, reference.to_map, None, "s")
    for suffix in (".geojson", ".gpkg", ".csv"):
        path = tmp_path / f"found{suffix}"
        write_layer(layer, RECORD, path)
        read = read_layer(path)
        assert read.geometry[0].bounds == (0, 0, 40, 20)
        assert read.rows[0]["area_m2"] in (None, "")


def test_csv_has_longitude_and_latitude_of_each_centre(tmp_path: Path) -> None:
    layer = layer_at("utm")
    write_layer(layer, RECORD, tmp_path / "found.csv")
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    for row, shape in zip(read_layer(tmp_path / "found.csv").rows, layer.geometry, strict=True):
        west, south, east, north = shape.bounds
        expected = to_degrees.transform((west + east) / 2, (south + north) / 2)
        assert (float(row["longitude"]), float(row["latitude"])) == pytest.approx(expected, abs=1e-7)
    again = open_layer(tmp_path / "found.csv", "").read()
    assert not {"longitude", "latitude"} & set(again.columns)  # they are of where the objects were read from


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_detections_give_a_valid_empty_layer_with_fields_and_crs(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    write_layer(layer_at("utm", Detections.empty()), RECORD, path)
    assert read_layer(path).rows == []
    empty = geopandas.read_parquet(path) if suffix == ".parquet" else geopandas.read_file(path, layer=path.stem)
    if suffix != ".geojson":  # an empty GeoJSON file cannot have fields
        assert {"id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene"} <= set(empty.columns)
    if suffix != ".csv":
        assert empty.crs == ("EPSG:4326" if suffix == ".geojson" else "EPSG:32633")


def test_shapefiles_have_short_names_a_crs_and_an_encoding(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.shp")
    assert (tmp_path / "found.cpg").read_text().strip() == "UTF-8"
    assert "UTM" in (tmp_path / "found.prj").read_text()
    assert all(len(name) <= 10 for name in read_layer(tmp_path / "found.shp").rows[0])


def test_the_record_of_the_run_is_inside_or_beside_the_file(tmp_path: Path) -> None:
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


def test_debians_gdal_opens_every_format_it_knows(tmp_path: Path) -> None:
    for suffix in (".geojson", ".gpkg", ".shp", ".fgb"):
        write_layer(layer_at("utm"), RECORD, tmp_path / f"found{suffix}")
        converted = debian_gdal("ogr2ogr", "-f", "GeoJSON", target=tmp_path / f"found{suffix}")
        assert len(json.loads(converted.read_text())["features"]) == 3


def test_debians_gdal_opens_a_geopackage_without_a_warning(tmp_path: Path) -> None:
    """GDAL 3.6 and QGIS with it warn at version 1.4, which newer GDAL writes by default."""
    if shutil.which("ogrinfo") is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: ogrinfo is not installed (Debian package gdal-bin)")
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    done = subprocess.run(["ogrinfo", "-so", "-al", path], capture_output=True, text=True, check=True)
    assert "Feature Count: 3" in done.stdout and done.stderr == ""
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA user_version").fetchone() == (10200,)


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


def random_objects(count: int) -> Detections:
    rng = np.random.default_rng(count)
    corners, sizes = rng.uniform(0, 900, (count, 2)), rng.uniform(4, 40, (count, 2))
    scores = rng.uniform(0.1, 1, count).astype(np.float32)
    return Detections(np.hstack([corners, corners + sizes]), scores, rng.integers(0, 2, count))


@pytest.fixture
def geoparquet(tmp_path: Path) -> Path:
    """A layer of 250 objects in three parts."""
    objects = random_objects(250)
    parts = [objects.selected(slice(start, start + 100)) for start in (0, 100, 200)]
    vector.write_layer(
        feature_parts(parts, CLASSES, UTM33.to_map, UTM33.crs, "scene-ü"),
        RunRecord.from_json(RECORD),
        FileTarget.of(tmp_path / "found.parquet"),
    )
    return tmp_path / "found.parquet"


def test_duckdb_reads_geoparquets_columns_and_wkb(geoparquet: Path) -> None:
    with duckdb.connect() as base:
        # Without its spatial extension DuckDB returns the geometry as bytes, as GeoParquet stores it.
        base.execute("SET enable_geoparquet_conversion = false")
        rows = base.execute(f"SELECT id, class, score, area_m2, geometry FROM '{geoparquet}' ORDER BY id").fetchall()
        counts = dict(base.execute(f"SELECT class, count(*) FROM '{geoparquet}' GROUP BY class").fetchall())
    objects = random_objects(250)
    assert [row[0] for row in rows] == list(range(1, 251))
    assert [row[1] for row in rows] == [CLASSES[label] for label in objects.labels]
    assert [row[2] for row in rows] == pytest.approx(objects.scores.tolist(), abs=1e-4)
    sizes = objects.boxes_xyxy[:, 2:] - objects.boxes_xyxy[:, :2]
    assert [row[3] for row in rows] == pytest.approx((sizes.prod(axis=1) / 4).tolist(), rel=2e-3)
    x1, y1, x2, y2 = objects.boxes_xyxy.T / 2
    by_hand = np.column_stack([500_000 + x1, 5_000_000 - y2, 500_000 + x2, 5_000_000 - y1])
    assert shapely.bounds(shapely.from_wkb([bytes(row[4]) for row in rows])) == pytest.approx(by_hand)
    assert counts == {name: int((objects.labels == label).sum()) for label, name in enumerate(CLASSES)}


def test_duckdb_reads_geoparquets_the_metadata(geoparquet: Path) -> None:
    with duckdb.connect() as base:
        pairs = base.execute(f"SELECT key, value FROM parquet_kv_metadata('{geoparquet}')").fetchall()
    about = {bytes(key).decode(): json.loads(value) for key, value in pairs if bytes(key) in (b"geo", b"lcageo")}
    assert about["lcageo"] == RECORD
    column = about["geo"]["columns"][about["geo"]["primary_column"]]
    assert column["encoding"] == "WKB" and column["geometry_types"] == ["Polygon"]
    assert pyproj.CRS.from_json_dict(column["crs"]) == pyproj.CRS(32633)


def test_geopandas_reads_the_geoparquet_that_was_written(geoparquet: Path) -> None:
    read = geopandas.read_parquet(geoparquet)
    expected = features(random_objects(250), CLASSES, UTM33.to_map, UTM33.crs, "scene-ü")
    assert read.crs == "EPSG:32633" and (read.geometry.to_numpy() == expected.geometry.to_numpy()).all()
    assert read.drop(columns="geometry").equals(expected.drop(columns="geometry"))
    window = expected.geometry.iloc[0].bounds
    some = geopandas.read_parquet(geoparquet, columns=["id", "geometry"])
    assert some.cx[window[0] : window[2], window[1] : window[3]]["id"].tolist()[0] == 1


@pytest.mark.parametrize(
    ("suffix", "cut", "missing"),
    [
        (".fgb", ".fgb", 1),
        (".csv", ".csv", 3),
        (".shp", ".shp", 1),
        (".shp", ".shx", 1),
        (".shp", ".dbf", 1),
        (".shp", ".dbf", 200),
    ],
)
def test_a_layer_whose_end_is_missing_is_not_complete(tmp_path: Path, suffix: str, cut: str, missing: int) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / f"found{suffix}")
    driver = FORMATS[suffix].driver
    vector.check_complete(tmp_path / f"found{suffix}", driver, 3)
    file = tmp_path / f"found{cut}"
    file.write_bytes(file.read_bytes()[:-missing])
    with pytest.raises((OSError, DataSourceError), match=r"was not written|reading feature|read all values"):
        vector.check_complete(tmp_path / f"found{suffix}", driver, 3)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("placed", [0, 1])
def test_features_without_geometry_are_written_in_every_format(tmp_path: Path, suffix: str, placed: int) -> None:
    path, parts = tmp_path / f"found{suffix}", layer_at("utm")
    parts.loc[placed:, "geometry"] = None
    vector.write_layer([parts], RunRecord(), FileTarget.of(path))
    read = geopandas.read_parquet(path) if suffix == ".parquet" else geopandas.read_file(path, layer="found")
    assert [int(number) for number in read["id"]] == [1, 2, 3]
    assert (read.geometry.is_empty | read.geometry.isna()).tolist() == [number >= placed for number in range(3)]
    if shutil.which("ogrinfo") is not None and suffix != ".parquet":  # which Debian's GDAL does not know
        seen = subprocess.run(["ogrinfo", "-so", "-al", path], capture_output=True, text=True, check=True)
        assert "Feature Count: 3" in seen.stdout


def test_flatgeobuf_with_an_index_refuses_later_features_without_geometry(tmp_path: Path) -> None:
    parts = layer_at("utm"), layer_at("utm").set_geometry([shapely.Polygon()] * 3)
    with pytest.raises(OutputError, match=r"no geometry, which FlatGeobuf's index does not allow; .* such as \.gpkg"):
        vector.write_layer(parts, RunRecord(), FileTarget.of(tmp_path / "found.fgb"))


def test_a_text_that_a_shapefile_would_cut_off_is_refused(tmp_path: Path) -> None:
    layer = layer_at("utm")
    layer["class"] = ["Ж" * 127, None, "car"]
    write_layer(layer, RECORD, tmp_path / "found.shp")
    assert read_layer(tmp_path / "found.shp").rows[0]["class"] == "Ж" * 127
    layer["class"] = [None, "a" + "Ж" * 127, "car"]
    for suffix in (".gpkg", ".fgb"):
        write_layer(layer, RECORD, tmp_path / f"long{suffix}")
        assert read_layer(tmp_path / f"long{suffix}").rows[1]["class"] == "a" + "Ж" * 127
    with pytest.raises(OutputError, match=r"'aЖ+\.\.\.' in column 'class' has more than the 254 bytes .* \.gpkg"):
        write_layer(layer, RECORD, tmp_path / "long.shp")
    assert not (tmp_path / "long.shp").exists()


def test_a_crs_whose_shift_a_shapefile_would_lose_is_refused(tmp_path: Path) -> None:
    shifted = "+proj=utm +zone=33 +ellps=bessel +towgs84=598.1,73.7,418.2"
    layer = layer_at("utm").set_crs(shifted, allow_override=True)
    with pytest.raises(OutputError, match=r"a Shapefile cannot store the layer's CRS .* such as \.gpkg"):
        write_layer(layer, RECORD, tmp_path / "found.shp")
    assert list(tmp_path.iterdir()) == []
    write_layer(layer, RECORD, tmp_path / "found.gpkg")
    kept = geopandas.read_file(tmp_path / "found.gpkg", layer="found")
    assert kept.to_crs(4326).total_bounds == pytest.approx(layer.to_crs(4326).total_bounds, abs=1e-9)
