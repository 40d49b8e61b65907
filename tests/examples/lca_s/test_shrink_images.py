"""Reduced objects are where the chip's pixels show them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shrink_images import CHIP_PX, CROWD_PX, LENGTHS_PX, ROW_PX, main, packed, sources

from lcageo.data.formats.coco import read_coco


def labelled_file(folder: Path, boxes: list[tuple[int, int, int, int]], classes: tuple[str, ...] = ("car",)) -> Path:
    """A COCO file with one black image of 400 x 300 pixels in which the boxes are white."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = 255
    folder.mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "a.png")
    content = {
        "images": [{"id": 0, "file_name": str(folder / "a.png"), "width": 400, "height": 300}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes)],
        "annotations": [
            {"id": n, "image_id": 0, "category_id": 0, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0}
            for n, box in enumerate(boxes)
        ],
    }
    content["images"][0]["labelled_categories"] = list(classes)
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


@pytest.mark.parametrize("seed", range(5))
def test_boxes_follow_the_reduced_pixels(tmp_path: Path, seed: int) -> None:
    labelled = read_coco(labelled_file(tmp_path / "a", [(40, 30, 80, 40), (200, 160, 70, 60)]))
    ((_, known),) = sources(labelled, 0).items()
    chip, boxes = packed(known * 200, np.random.default_rng(seed))
    assert chip.size == (CHIP_PX, CHIP_PX) and len(boxes) > 50
    bright = np.asarray(chip.convert("L")) > 140  # the fill is 127
    covered = np.zeros_like(bright)
    for box in boxes:
        x1, y1, x2, y2 = (round(edge) for edge in np.add(box["bbox"], [0, 0, *box["bbox"][:2]]).tolist())
        covered[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = True
        if box["iscrowd"] == 0 and min(box["bbox"][2:]) > 4:
            assert bright[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].mean() > 0.9
    assert not (bright & ~covered).any(), "every object is in a box"


def test_objects_have_the_lengths_that_are_asked_for(tmp_path: Path) -> None:
    labelled = read_coco(labelled_file(tmp_path / "a", [(40, 30, 80, 40)]))
    _, boxes = packed(sources(labelled, 0)[(0,)] * 300, np.random.default_rng(0))
    whole = [max(box["bbox"][2:]) for box in boxes if not box["iscrowd"]]
    low, high = LENGTHS_PX
    assert low * 0.9 <= min(whole) <= low * 1.2 and high * 0.8 <= max(whole) <= high * 1.1


def test_objects_that_become_too_small_or_are_cut_are_crowds(tmp_path: Path) -> None:
    tiny = read_coco(labelled_file(tmp_path / "a", [(40, 30, 100, 60), (200, 30, 100, 60), (300, 200, 6, 6)]))
    _, boxes = packed(sources(tiny, 0)[(0,)] * 300, np.random.default_rng(0))
    assert all(box["iscrowd"] for box in boxes if max(box["bbox"][2:]) < CROWD_PX)
    assert any(max(box["bbox"][2:]) < CROWD_PX for box in boxes)
    assert all(box["bbox"][1] % ROW_PX + box["bbox"][3] <= ROW_PX + 1e-6 for box in boxes), "rows are cut"


def test_images_of_small_objects_are_left_alone(tmp_path: Path) -> None:
    assert not sources(read_coco(labelled_file(tmp_path / "a", [(40, 30, 20, 10)])), 0)


def test_the_command_merges_classes_and_keeps_what_is_annotated(tmp_path: Path) -> None:
    cars = labelled_file(tmp_path / "a", [(40, 30, 80, 40)])
    vehicles = labelled_file(tmp_path / "b", [(40, 30, 80, 40)], ("vehicle", "ship"))
    (tmp_path / "map.toml").write_text('[classes]\nvehicle = ["vehicle", "car"]\n')
    given = [str(cars), str(vehicles), "--class-map", str(tmp_path / "map.toml"), "--class", "vehicle"]
    main([*given, "--chips", "6", "--out", str(tmp_path / "out")])
    made = read_coco(tmp_path / "out/train.json", strict=True)
    assert len(made) == 6 and set(made.classes) == {"vehicle", "ship"}
    annotated = {tuple(made.classes[label] for label in one.labelled_classes) for one in made.annotations}
    assert annotated == {("vehicle",), ("vehicle", "ship")}
