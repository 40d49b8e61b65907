from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from mine_labels import MAX_REPEATS, crowds, incomplete, mined, repeats
from PIL import Image

from lcageo.data.formats.coco import read_coco
from lcageo.detections import Detections


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of a box, its score and its label."""
    return Detections(
        np.array([row[:4] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[4] for row in rows], np.float32),
        np.array([row[5] for row in rows], np.int64),
    )


def test_an_image_is_repeated_once_for_each_mistake() -> None:
    assert repeats(Detections.empty()) == 1
    assert repeats(found((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.5, 1), (50, 0, 59, 9, 0.1, 0))) == 3
    assert repeats(found(*[(0, 0, 9, 9, 0.9, 0)] * 50)) == 1 + MAX_REPEATS


def test_crowds_lie_beside_the_labels_and_are_of_the_incomplete_class() -> None:
    labels = np.array([[0, 0, 20, 20]], np.float32)
    seen = found((1, 1, 20, 20, 0.9, 0), (50, 50, 60, 60, 0.8, 0), (80, 80, 90, 90, 0.8, 1), (70, 0, 80, 9, 0.2, 0))
    assert crowds(seen, labels, {0: 0.5}).boxes_xyxy.tolist() == [[50, 50, 60, 60]]
    assert crowds(seen, labels, {0: 0.1, 1: 0.85}).boxes_xyxy.tolist() == [[50, 50, 60, 60], [70, 0, 80, 9]]
    assert len(crowds(seen, labels, {})) == 0
    assert len(crowds(seen, labels[:0], {0: 0.5, 1: 0.5})) == 3


def test_sources_are_known_by_their_name_or_field() -> None:
    assert incomplete({"file_name": "/a/hrsc2016-3.jpg"}) == ("ship",)
    assert "vehicle" in incomplete({"file_name": "001.jpg", "source": "NWPU VHR-10"})
    assert incomplete({"file_name": "rsod-3.jpg", "source": "x"}) == ()


def test_a_mined_file_has_more_images_and_crowds_and_all_it_had(tmp_path: Path) -> None:
    names = ["neg-1.jpg", "hrsc2016-1.jpg", "rsod-1.jpg"]
    for name in names:
        Image.new("RGB", (100, 100)).save(tmp_path / name)
    content = {
        "images": [
            {"id": 4 + n, "file_name": str(tmp_path / name), "width": 100, "height": 100}
            for n, name in enumerate(names)
        ],
        "categories": [{"id": 3, "name": "ship"}, {"id": 5, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [0, 0, 20, 20], "area": 400, "iscrowd": 0},
            {"id": 2, "image_id": 6, "category_id": 3, "bbox": [0, 0, 20, 20], "area": 400, "iscrowd": 0},
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    labelled = read_coco(tmp_path / "labels.json")
    ship = labelled.classes.index("ship")
    more = found((50, 50, 60, 70, 0.8, ship))
    result = mined(content, labelled, [more, more, more])
    (tmp_path / "mined.json").write_text(json.dumps(result))
    again = read_coco(tmp_path / "mined.json", strict=True)
    assert [one.image.name for one in again.annotations].count("neg-1.jpg") == 2 and len(again) == 4
    by_name = {one.image.name: one for one in again.annotations}
    assert by_name["hrsc2016-1.jpg"].boxes_xyxy.tolist() == [[0, 0, 20, 20], [50, 50, 60, 70]]
    assert by_name["hrsc2016-1.jpg"].difficult.tolist() == [False, True]
    assert len(by_name["rsod-1.jpg"]) == 1, "its labels are complete"
