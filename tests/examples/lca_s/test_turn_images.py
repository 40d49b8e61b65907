"""Rotated boxes match the rotated pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from turn_images import main, quilt, turned

CAR = {"category_id": 1, "iscrowd": 0}


def painted(x: int, y: int, width: int, height: int) -> tuple[Image.Image, dict[str, Any]]:
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[y : y + height, x : x + width] = 255
    return Image.fromarray(pixels), {**CAR, "bbox": [x, y, width, height]}


def bright(picture: Image.Image) -> list[float]:
    """The bounding box of what was painted, x, y, width, height."""
    rows, columns = np.nonzero(np.asarray(picture)[:, :, 0] > 127)
    return [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]


@given(st.floats(0, 360), st.integers(60, 75), st.integers(45, 60), st.integers(16, 24), st.integers(5, 9))
def test_a_box_follows_its_pixels(angle: float, x: int, y: int, width: int, height: int) -> None:
    image, box = painted(x, y, width, height)
    picture, (found,) = turned(image, [box], angle)
    assert found["iscrowd"] == 0 and found["category_id"] == 1
    assert found["bbox"] == pytest.approx(bright(picture), abs=2.5)  # corners are faint
    assert picture.size[0] == picture.size[1] >= 120 / np.sqrt(2) - 1


def test_a_box_that_its_object_may_not_fill_becomes_a_crowd() -> None:
    image, box = painted(60, 50, 16, 12)
    assert turned(image, [box], 30)[1][0]["iscrowd"] == 1


def test_cut_objects_become_crowds_or_are_dropped() -> None:
    image, cut = painted(18, 50, 20, 8)
    _, gone = painted(0, 50, 10, 5)
    (found,) = turned(image, [cut, gone], 0)[1]
    assert found["iscrowd"] == 0 and found["bbox"] == pytest.approx([0, 50, 18, 8])  # the square starts at x = 20
    (found,) = turned(image, [{**CAR, "bbox": [8, 50, 20, 8]}], 0)[1]
    assert found["iscrowd"] == 1 and found["bbox"][2] == 8


def test_nine_squares_keep_their_boxes() -> None:
    pieces = [(image, [box]) for image, box in (painted(10 * n, 10 * n, 20, 8) for n in range(9))]
    squares = [(image.crop((0, 0, 120, 120)), boxes) for image, boxes in pieces]
    whole, boxes = quilt(squares)
    assert whole.size == (360, 360) and len(boxes) == 9
    for number, box in enumerate(boxes):
        x, y, width, height = (int(edge) for edge in box["bbox"])
        assert (x // 120, y // 120) == (number % 3, number // 3)
        inside = np.asarray(whole)[y : y + height, x : x + width]
        assert (inside == 255).all() and inside.size


def test_only_images_of_the_source_with_the_class_are_turned(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number, (source, category) in enumerate([("roads", 1), ("roads", 2), ("other", 1)]):
        image, box = painted(60 + number, 50, 20, 8)
        image.save(tmp_path / "images" / f"{number}.png")
        labelled = ["car", "ship"] if number else ["car"]
        record = {"id": number, "file_name": f"{number}.png", "source": source, "labelled_categories": labelled}
        images.append(record)
        annotations.append({"id": number, "image_id": number, **box, "category_id": category})
    content = {
        "images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "ship"}],
    }  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(content))
    arguments = [str(tmp_path / "labels.json"), str(tmp_path / "out"), "--source", "roads", "--classes", "car"]
    main([*arguments, "--times", "18"])
    made = json.loads((tmp_path / "out" / "train.json").read_text())
    assert [one["source"] for one in made["images"]] == ["roads, turned"] * 2
    assert {box["category_id"] for box in made["annotations"]} == {1}
    assert all(one["labelled_categories"] == ["car"] for one in made["images"])
    for record in made["images"]:
        with Image.open(tmp_path / "out" / "images" / record["file_name"]) as chip:
            assert chip.size == (record["width"], record["height"])
    sides = {record["id"]: record["width"] for record in made["images"]}
    for box in made["annotations"]:
        x, y, width, height = box["bbox"]
        assert min(x, y) >= 0 and max(x + width, y + height) <= sides[box["image_id"]]
