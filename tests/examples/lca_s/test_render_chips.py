from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import render_chips
from demo_scene.canvas import SceneObject
from render_chips import CHIP_PX, boxes_in, main, windows

from lcageo.data.formats.coco import read_coco
from lcageo.data.images import image_size


def test_boxes_follow_the_chip_and_slivers_are_left_out() -> None:
    objects = [SceneObject("ship", (90, 100, 130, 120)), SceneObject("vehicle", (600, 300, 640, 310))]
    assert boxes_in(objects, 100, 90) == [("ship", (0, 10, 30, 30))]
    assert boxes_in(objects, 120, 90) == [("vehicle", (480, 210, 512, 220))]


def test_chips_are_in_the_scene_and_show_rare_classes_as_often_as_frequent_ones() -> None:
    many = [SceneObject("vehicle", (20, 20 + index, 30, 25 + index)) for index in range(500)]
    pixels = np.full((3, 2000, 2000), 60, np.uint8)
    pixels[:, :300, 1700:] = 0
    places = windows([*many, SceneObject("bridge", (1900, 1900, 1990, 1920))], pixels, 200, np.random.default_rng(0))
    assert len(places) == 200 and all(0 <= x <= 2000 - CHIP_PX and 0 <= y <= 2000 - CHIP_PX for x, y in places)
    assert sum(x > 1200 and y > 1200 for x, y in places) > 30
    assert all(pixels[:, y : y + CHIP_PX, x : x + CHIP_PX].mean() > 59 for x, y in places)


def test_the_set_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_chips, "SCENES", ((0.3, 900), (0.6, 900)))
    main([str(tmp_path), "--chips", "7", "--scenes", "2"])
    labelled = read_coco(tmp_path / "train.json", strict=True)
    assert len(labelled) == 7 and not labelled.problems
    vehicle = labelled.classes.index("vehicle")
    assert [vehicle in one.labelled_classes for one in labelled.annotations] == [True] * 4 + [False] * 3
    assert {image_size(one.image) for one in labelled.annotations} == {(CHIP_PX, CHIP_PX)}
