"""The same objects in every kind of target: map layers, label files, existing layers and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
from support.layers import BOXES, CLASSES, FOUND, UTM33
from support.postgis_server import Server
from support.readers import read_layer

from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.vector.features import feature_parts
from lcageo.vector.formats import FORMATS
from lcageo.vector.objects import Objects, PixelBoxes, existing_layer, write_objects
from lcageo.vector.pixel_labels import PixelGrid
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget, Target, parse_output

PARTS = (FOUND.selected(slice(0, 2)), FOUND.selected(slice(2, 3)))
GRID = PixelGrid("scene.tif", 200, 100)


def objects(run: str = "1", parts: tuple[Detections, ...] = PARTS, classes: tuple[str, ...] = CLASSES) -> Objects:
    def as_features() -> Iterator[geopandas.GeoDataFrame]:
        return feature_parts(parts, classes, UTM33.to_map, UTM33.crs, "scene")

    return Objects(as_features, lambda: PixelBoxes(parts, classes, GRID), RunRecord(model="m", run=run))


def write(target: Target, what: Objects, append: bool = False, resumed: bool = False) -> None:
    with Publication() as publication:
        write_objects(what, target, publication, append, resumed)
        publication.publish()


def test_one_value_fills_every_target(tmp_path: Path) -> None:
    what = objects()
    for suffix in FORMATS:
        write(FileTarget.of(tmp_path / f"found{suffix}"), what)
        rows = read_layer(tmp_path / f"found{suffix}").rows
        assert [(int(row["id"]), row["class"], float(row["score"])) for row in rows] == [
            (1, "storage tank", 0.91),
            (2, "ship", 0.5),
            (3, "storage tank", 0.3),
        ]
    write(FileTarget.of(tmp_path / "found.coco.json"), what)
    coco = json.loads((tmp_path / "found.coco.json").read_text())
    corners = np.array([row["bbox"] for row in coco["annotations"]])
    assert np.hstack([corners[:, :2], corners[:, :2] + corners[:, 2:]]) == pytest.approx(BOXES)
    write(FileTarget.of(tmp_path / "found.yolo.txt"), what)
    lines = (tmp_path / "found.yolo.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "0", "1"]


def test_nothing_appears_before_the_publication(tmp_path: Path) -> None:
    for name in ("found.gpkg", "found.coco.json"):
        with Publication() as publication:
            write_objects(objects(), FileTarget.of(tmp_path / name), publication)
            assert not (tmp_path / name).exists()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_layer_is_replaced_or_appended_to(tmp_path: Path) -> None:
    target = FileTarget.of(tmp_path / "found.gpkg")
    assert existing_layer(target) is None
    write(target, objects("1"), append=True)  # there is none yet
    write(target, objects("2"), append=True)
    there = existing_layer(target)
    assert there is not None and (there.features, there.last_id) == (6, 6)
    assert [record.run for record in there.record.all_runs] == ["1", "2"]
    write(target, objects("3"))
    there = existing_layer(target)
    assert there is not None and there.features == 3 and there.has_run("3") and not there.has_run("1")


def test_a_resumed_run_is_appended_once(tmp_path: Path) -> None:
    target = FileTarget.of(tmp_path / "found.gpkg")
    write(target, objects("1"))
    for run, expected in (("2", 6), ("2", 6), ("1", 6), ("3", 9)):
        write(target, objects(run), append=True, resumed=True)
        there = existing_layer(target)
        assert there is not None and there.features == expected, run
    write(target, objects("3"), append=True)
    assert len(read_layer(target.path).rows) == 12


def test_objects_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    target = FileTarget.of(tmp_path / "found.gpkg")
    write(target, objects("1"))
    before = target.path.read_bytes()
    with pytest.raises(UsageError, match="class_id of"):
        write(target, objects("2", classes=CLASSES[::-1]), append=True)
    assert target.path.read_bytes() == before and list(tmp_path.iterdir()) == [target.path]


def test_no_objects_are_a_valid_result_everywhere(tmp_path: Path) -> None:
    for name in ("none.gpkg", "none.geojson", "none.coco.json", "none.yolo.txt"):
        target = FileTarget.of(tmp_path / name)
        write(target, objects(parts=()))
        assert target.path.is_file()
    write(FileTarget.of(tmp_path / "none.gpkg"), objects("2"), append=True)
    assert [row["id"] for row in read_layer(tmp_path / "none.gpkg").rows] == [1, 2, 3]


def test_a_table_is_written_like_a_geopackage(postgis: Server, tmp_path: Path) -> None:
    table = parse_output(postgis.url("of_objects"))
    assert not isinstance(table, Path) and existing_layer(table) is None
    write(table, objects("1"), append=True)
    for run, expected in (("2", 6), ("2", 6), ("1", 6)):
        write(table, objects(run), append=True, resumed=True)
        there = existing_layer(table)
        assert there is not None and (there.features, there.last_id) == (expected, expected)
    write(FileTarget.of(tmp_path / "found.gpkg"), objects("1"))
    write(FileTarget.of(tmp_path / "found.gpkg"), objects("2"), append=True)
    file = existing_layer(FileTarget.of(tmp_path / "found.gpkg"))
    assert file is not None and replace(file, name="") == replace(there, name="")
    write(table, objects("3"))
    assert postgis.rows("SELECT count(*) FROM of_objects") == [["3"]]
