"""COCO read by pycocotools and by our own reader of training data, YOLO by a few lines of plain Python."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.vector.pixel_labels import PixelGrid, write_labels
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

CLASSES = ("ship", "storage tank")
GRID = PixelGrid("scene-ü.tif", 200_001, 120_003)
BOXES = np.array([[0, 0, 40, 20], [100.25, 50.5, 130.75, 80], [199_990.125, 120_000, 200_001, 120_003]], np.float64)
FOUND = Detections(BOXES, np.array([0.91, 0.5, 0.30004], np.float32), np.array([1, 0, 1]))
RECORD = {"model": "test"}


def read_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def read_yolo(path: Path, grid: PixelGrid) -> tuple[list[int], np.ndarray, list[float]]:
    """Classes, corners in pixels, scores."""
    rows = [[float(word) for word in line.split()] for line in path.read_text().splitlines()]
    scores = json.loads(path.with_name(path.name + ".json").read_text())["scores"]
    boxes = [
        ((x - w / 2) * grid.width, (y - h / 2) * grid.height, (x + w / 2) * grid.width, (y + h / 2) * grid.height)
        for _, x, y, w, h in rows
    ]
    return [int(row[0]) for row in rows], np.array(boxes).reshape(-1, 4), scores


def test_pycocotools_reads_the_boxes(tmp_path: Path) -> None:
    path = tmp_path / "found.coco.json"
    write_labels(
        [FOUND.selected(slice(0, 1)), FOUND.selected(slice(1, 3))],
        CLASSES,
        GRID,
        RunRecord.from_json(RECORD),
        FileTarget.of(path),
    )
    coco = read_coco(path)
    assert coco.imgs[1] == {"id": 1, "file_name": "scene-ü.tif", "width": 200_001, "height": 120_003}
    assert [coco.cats[number]["name"] for number in (1, 2)] == list(CLASSES)
    rows = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert [coco.cats[row["category_id"]]["name"] for row in rows] == ["storage tank", "ship", "storage tank"]
    assert [row["score"] for row in rows] == [0.91, 0.5, 0.3]
    boxes = np.array([row["bbox"] for row in rows])
    assert np.abs(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) - BOXES).max() < 1e-3
    assert [row["area"] for row in rows] == pytest.approx([800, 899.75, 32.625])
    assert json.loads(path.read_text())["lcageo"] == RECORD


def test_results_can_be_evaluated_as_pycocotools_does_it(tmp_path: Path) -> None:
    path = tmp_path / "found.coco.json"
    write_labels([FOUND], CLASSES, GRID, RunRecord.from_json(RECORD), FileTarget.of(path))
    truth = read_coco(path)
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(json.loads(path.read_text())["annotations"])
    assert len(found.anns) == 3


def test_yolo_is_relative_to_the_image_with_names_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "found.yolo.txt"
    write_labels([FOUND], CLASSES, GRID, RunRecord.from_json(RECORD), FileTarget.of(path))
    labels, boxes, scores = read_yolo(path, GRID)
    assert labels == [1, 0, 1] and scores == [0.91, 0.5, 0.3]
    assert np.abs(boxes - BOXES).max() < 1e-3
    assert (tmp_path / "found.yolo.names").read_text() == "ship\nstorage tank\n"
    assert json.loads((tmp_path / "found.yolo.txt.json").read_text()) == {**RECORD, "scores": scores}
    assert sorted(FileTarget.of(path).files) == sorted(tmp_path.iterdir())


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.floats(-50, 150)] * 2, *[st.floats(0.01, 100)] * 2), max_size=8))
def test_boxes_lie_inside_the_image(tmp_path: Path, places: list[tuple[float, float, float, float]]) -> None:
    grid = PixelGrid("s.tif", 100, 80)
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in places]).reshape(-1, 4)
    found = Detections(boxes, np.full(len(boxes), 0.5, np.float32), np.zeros(len(boxes), np.int64))
    write_labels([found], CLASSES, grid, RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "f.coco.json"))
    write_labels([found], CLASSES, grid, RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "f.yolo.txt"))
    cut = [
        (max(x1, 0), max(y1, 0), min(x2, 100), min(y2, 80))
        for x1, y1, x2, y2 in boxes.tolist()
        if min(x2, 100) > max(x1, 0) and min(y2, 80) > max(y1, 0)
    ]
    coco = [row["bbox"] for row in json.loads((tmp_path / "f.coco.json").read_text())["annotations"]]
    assert [(x, y, x + w, y + h) for x, y, w, h in coco] == [pytest.approx(box, abs=2e-3) for box in cut]
    _, yolo, _ = read_yolo(tmp_path / "f.yolo.txt", grid)
    assert yolo.tolist() == [pytest.approx(box, abs=1e-6) for box in cut]


def test_no_objects_give_an_empty_file(tmp_path: Path) -> None:
    for name in ("none.coco.json", "none.yolo.txt"):
        write_labels([], CLASSES, GRID, RunRecord.from_json(RECORD), FileTarget.of(tmp_path / name))
    assert read_coco(tmp_path / "none.coco.json").anns == {}
    assert (tmp_path / "none.yolo.txt").read_text() == ""


def test_an_unwritable_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"found\.coco\.json' cannot be written"):
        write_labels(
            [FOUND], CLASSES, GRID, RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "none" / "found.coco.json")
        )
