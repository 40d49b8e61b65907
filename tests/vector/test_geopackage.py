"""Appending to GeoPackages, read with sqlite3 and Debian's GDAL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from support.layers import CLASSES, FOUND, UTM33
from support.readers import debian_gdal, read_layer

from lcageo.detections import Detections
from lcageo.errors import DataError, OutputError, UsageError
from lcageo.scene.georef import Georeference
from lcageo.vector.features import features
from lcageo.vector.geopackage import append_layer, look_at_geopackage
from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

UTM32 = Georeference(pyproj.CRS(32632), rasterio.Affine(0.5, 0, 965_000, 0, -0.5, 5_000_000))
FIRST, SECOND, THIRD = ({"model": "m", "run": name, "scene": f"{name}.tif"} for name in ("1", "2", "3"))


def layer(place: Georeference = UTM33, found: Detections = FOUND) -> geopandas.GeoDataFrame:
    return features(found, CLASSES, place.to_map, place.crs, "scene-ü")


def append(path: Path, *parts: geopandas.GeoDataFrame, record: dict[str, Any] = SECOND) -> None:
    with Publication() as publication:
        append_layer(parts, RunRecord.from_json(record), FileTarget.of(path), publication)
        publication.publish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A layer of three objects."""
    write_layer([layer()], RunRecord.from_json(FIRST), FileTarget.of(tmp_path / "all.gpkg"))
    return tmp_path / "all.gpkg"


def test_ids_continue_and_records_are_kept(path: Path) -> None:
    append(path, layer(), layer(found=FOUND.selected(np.array([1]))))
    append(path, layer(found=Detections.empty()), record=THIRD)
    read = read_layer(path)
    assert [row["id"] for row in read.rows] == list(range(1, 8))
    assert [row["class"] for row in read.rows] == ["storage tank", "ship", "storage tank"] * 2 + ["ship"]
    assert [shape.bounds for shape in read.geometry[3:6]] == [shape.bounds for shape in read.geometry[:3]]
    assert open_layer(path, "").record.as_json() == {**FIRST, "appended": [SECOND, THIRD]}
    there = look_at_geopackage(path)
    assert (there.features, there.last_id, there.class_ids) == (7, 7, {"ship": 0, "storage tank": 1})
    assert there.has_run("3") and not there.has_run("4") and there.has_scene("2.tif")
    assert len(json.loads(debian_gdal("ogr2ogr", "-f", "GeoJSON", target=path).read_text())["features"]) == 7
    assert list(path.parent.iterdir()) != [] and not list(path.parent.glob(".all*"))


def test_objects_are_transformed_to_the_layers_crs(path: Path) -> None:
    append(path, layer(UTM32))
    rows = geopandas.read_file(path, layer="all")
    assert rows.crs == "EPSG:32633"
    expected = layer(UTM32).to_crs(32633).geometry.to_numpy()
    assert shapely.bounds(rows.geometry.to_numpy()[3:]) == pytest.approx(shapely.bounds(expected), abs=1e-6)
    with closing(sqlite3.connect(path)) as base:  # in the index and the extent, too
        extent = base.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents").fetchone()
        ((indexed,),) = base.execute("SELECT COUNT(*) FROM rtree_all_geom")
    assert extent == pytest.approx(rows.total_bounds.tolist()) and indexed == 6


def test_a_box_over_the_antimeridian_stays_in_one_piece(tmp_path: Path) -> None:
    degrees = Georeference(pyproj.CRS(4326), rasterio.Affine(1e-4, 0, 178, 0, -1e-4, -17))
    write_layer([layer(degrees)], RunRecord.from_json(FIRST), FileTarget.of(tmp_path / "all.gpkg"))
    x, y = pyproj.Transformer.from_crs(4326, 32760, always_xy=True).transform(179.9999, -17)
    append(tmp_path / "all.gpkg", layer(Georeference(pyproj.CRS(32760), rasterio.Affine(1, 0, x, 0, -1, y))))
    shapes = geopandas.read_file(tmp_path / "all.gpkg", layer="all").geometry
    assert (shapes.bounds.maxx - shapes.bounds.minx).max() < 0.01 and shapes[3].bounds[2] > 180


def test_other_tables_and_columns_stay(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE own_notes (name TEXT)")
        base.execute("INSERT INTO own_notes VALUES ('red')")
        base.execute("ALTER TABLE 'all' ADD COLUMN checked_by TEXT")
        base.commit()
    rows = geopandas.read_file(path, layer="all")
    assert "checked_by" in rows
    append(path, layer())
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("SELECT name FROM own_notes").fetchall() == [("red",)]
        assert base.execute("SELECT COUNT(*) FROM 'all' WHERE checked_by IS NULL").fetchone() == (6,)


def test_layers_of_other_programs_can_be_appended_to(tmp_path: Path) -> None:
    own = layer().drop(columns=["scene"]).assign(scene="drawn").rename_geometry("shape")
    own.to_file(tmp_path / "drawn.gpkg", layer="objects", GEOMETRY_NAME="shape", FID="number")
    append(tmp_path / "drawn.gpkg", layer())
    rows = geopandas.read_file(tmp_path / "drawn.gpkg")
    assert rows["id"].tolist() == [1, 2, 3, 4, 5, 6] and rows["scene"].tolist() == ["drawn"] * 3 + ["scene-ü"] * 3
    assert rows.geometry.notna().all() and open_layer(tmp_path / "drawn.gpkg", "").record.as_json() == {
        "appended": [SECOND]
    }


def test_a_failure_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()

    def failing() -> Iterator[geopandas.GeoDataFrame]:
        yield layer()
        raise OutputError("the journal cannot be read")

    with pytest.raises(OutputError, match="the journal"), Publication() as publication:
        append_layer(failing(), RunRecord.from_json(SECOND), FileTarget.of(path), publication)
        publication.publish()
    with Publication() as publication:  # nobody publishes
        append_layer([layer()], RunRecord.from_json(SECOND), FileTarget.of(path), publication)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_file_as_it_was(small_disk: Path) -> None:
    write_layer([layer()], RunRecord.from_json(FIRST), FileTarget.of(small_disk / "all.gpkg"))
    before = (small_disk / "all.gpkg").read_bytes()
    many = Detections.joined([FOUND] * 500)
    with pytest.raises(OutputError, match=r"cannot (append to|be written)"):
        append(small_disk / "all.gpkg", layer(found=many))
    assert (small_disk / "all.gpkg").read_bytes() == before and len(list(small_disk.iterdir())) == 1


def test_changes_by_another_program_in_the_meantime_are_not_lost(path: Path) -> None:
    with pytest.raises(OutputError, match="was changed by another program"), Publication() as publication:
        append_layer([layer()], RunRecord.from_json(SECOND), FileTarget.of(path), publication)
        with closing(sqlite3.connect(path)) as base:
            base.execute("CREATE TABLE notes (text TEXT)")
            base.commit()
        publication.publish()
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("SELECT COUNT(*) FROM notes").fetchone() == (0,)
    assert len(read_layer(path).rows) == 3


def test_a_file_that_another_program_has_open_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcageo.vector.geopackage.BUSY_S", 0.1)
    with closing(sqlite3.connect(path)) as qgis:
        qgis.execute("PRAGMA journal_mode = WAL")
        qgis.execute("CREATE TABLE edits (text TEXT)")
        qgis.execute("INSERT INTO edits VALUES ('a')")
        qgis.commit()
        with pytest.raises(UsageError, match="open in another program; close it there"):
            append(path, layer())
    append(path, layer())
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("SELECT text FROM edits").fetchall() == [("a",)]
    assert len(read_layer(path).rows) == 6


def test_changes_in_the_wal_file_of_a_crashed_program_are_kept(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as crashing:
        crashing.execute("PRAGMA journal_mode = WAL")
        crashing.execute("UPDATE gpkg_contents SET description = 'edited'")
        crashing.commit()
        crashed = tmp_path / "crashed.gpkg"
        for suffix in ("", "-wal"):
            crashed.with_name(f"crashed.gpkg{suffix}").write_bytes(path.with_name(f"all.gpkg{suffix}").read_bytes())
    append(crashed, layer())
    with closing(sqlite3.connect(crashed)) as base:
        assert base.execute("SELECT description FROM gpkg_contents").fetchone() == ("edited",)
    assert len(read_layer(crashed).rows) == 6


def test_what_does_not_fit_is_refused(path: Path) -> None:
    turned = features(FOUND, CLASSES[::-1], UTM33.to_map, UTM33.crs, "s")
    with pytest.raises(UsageError, match="class_id of 'ship' would be 1, but in the layer 'ship' is 0"):
        append(path, turned)
    other = features(FOUND, ("car", "storage tank"), UTM33.to_map, UTM33.crs, "s")
    with pytest.raises(UsageError, match="class_id of 'car' would be 0, but in the layer 0 is 'ship'"):
        append(path, other)
    with pytest.raises(UsageError, match="no column colour"):
        append(path, layer().assign(colour="red"))
    with pytest.raises(UsageError, match="only the layer has a CRS"):
        append(path, layer(Georeference(None)))
    local = pyproj.CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    with pytest.raises(UsageError, match="no transformation from site grid to the layer's CRS"):
        append(path, layer(Georeference(local, UTM33.affine)))
    layer().to_file(path, layer="second")
    with pytest.raises(DataError, match="several layers"):
        append(path, layer())
    assert len(pyogrio.read_dataframe(path, layer="all")) == 3
    path.write_text("no database")
    with pytest.raises((DataError, OutputError), match="not a"):
        append(path, layer())
