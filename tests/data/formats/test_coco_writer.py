from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from support.makers import write_image

from lcageo.data.formats.coco import read_coco
from lcageo.data.formats.coco_writer import CocoImage, coco_text

BOXES = np.array([[1.25, 2.5, 10.125, 20.0], [0.0, 0.0, 40.0, 30.0]])


def written(folder: Path) -> Path:
    none = CocoImage("b.png", 40, 30, np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.bool_), {})
    some = CocoImage("a.png", 40, 30, BOXES, np.array([1, 0]), np.array([False, True]), {"gsd_m": 0.5})
    for name in ("a.png", "b.png"):
        write_image(folder / "images" / name)
    path = folder / "set.json"
    path.write_text(coco_text([some, none], ("car", "ship"), {"description": "a test"}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    labelled = read_coco(written(tmp_path), strict=True)
    first, second = labelled.annotations
    assert labelled.classes == ("car", "ship") and len(second) == 0 and second.labelled_classes == (0, 1)
    assert (first.boxes_xyxy == BOXES).all() and first.labels.tolist() == [1, 0]
    assert first.difficult.tolist() == [False, True]


def test_pycocotools_reads_the_same(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(written(tmp_path)))
    assert {one["name"]: one["id"] for one in read.loadCats(read.getCatIds())} == {"car": 1, "ship": 2}
    boxes = read.loadAnns(read.getAnnIds(imgIds=[1]))
    assert [one["bbox"] for one in boxes] == [[1.25, 2.5, 8.875, 17.5], [0, 0, 40, 30]]
    assert [(one["area"], one["iscrowd"]) for one in boxes] == [(8.875 * 17.5, 0), (1200, 1)]
    assert read.loadImgs([1])[0]["gsd_m"] == 0.5 and read.getAnnIds(imgIds=[2]) == []
