"""The map of what trains and what validates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.commands import Run
from support.scenes import write_scene

from lcageo.chips.split_map import TINT, TRAIN, VAL, draw_split
from lcageo.detections import Detections
from lcageo.palette import class_colour


def test_the_map_shows_what_trains_and_what_validates(run: Run, labels: Path, tmp_path: Path) -> None:
    # Black ground: what is not a box or a chip's outline has the side's tint alone.
    write_scene(tmp_path / "black.tif", np.zeros((3, 512, 512), np.uint8))
    made = run(
        *("chips", "black.tif", "--labels", labels, "--class", "a", "-o", "chips", "--size", 128, "--block", 64),
        *("--json", "--edge-nodata", "none"),
    )
    assert made.code == 0, made.err
    report = json.loads(made.out)
    picture = np.asarray(Image.open(tmp_path / "chips" / "split" / "black.png"))[:512, :512].reshape(-1, 3)
    shares = {}
    for side, colour in (("train", TRAIN), ("val", VAL)):
        shares[side] = (picture == (np.array(colour) * TINT).astype(np.uint8)).all(axis=1).mean()
    assert shares["train"] + shares["val"] > 0.8 and min(shares.values()) > 0.1
    counted = {side: sum(report["labels"][side].values()) for side in ("train", "val")}
    assert sum(counted.values()) >= 30 and counted["val"] < counted["train"]


SIDE = 1000


GREY = 100


def drawn(
    validates: NDArray[np.bool_] | None = None,
    labelled: NDArray[np.bool_] | None = None,
    chips: Any = (),
    labels: Detections | None = None,
) -> NDArray[np.uint8]:
    """The picture above the panel, (SIDE, SIDE, 3), of grey ground; by default all of it trains and is labelled."""
    everywhere = np.ones((SIDE, SIDE), np.bool_)
    picture = draw_split(
        np.full((3, SIDE, SIDE), GREY, np.uint8),
        ~everywhere if validates is None else validates,
        everywhere if labelled is None else labelled,
        chips,
        Detections.empty() if labels is None else labels,
        ("a", "b"),
        "title",
        None,
    )
    return np.asarray(picture)[:SIDE, :SIDE]


def tinted(colour: tuple[int, int, int]) -> list[int]:
    """Grey ground under a side's tint, channel by channel."""
    return [int(GREY * (1 - TINT) + channel * TINT) for channel in colour]


def test_the_ground_has_the_tint_of_its_side_and_its_own_colour_outside_the_labelled_area() -> None:
    validates, labelled = np.zeros((2, SIDE, SIDE), np.bool_)
    validates[:, 600:] = True
    labelled[200:] = True
    picture = drawn(validates, labelled)
    assert (picture[200:, :600] == tinted(TRAIN)).all() and (picture[200:, 600:] == tinted(VAL)).all()
    assert (picture[:200] == GREY).all()


def test_a_chip_is_outlined_on_its_outermost_pixels() -> None:
    picture = drawn(chips=[(np.array([100.0, 200.0, 300.0, 260.0]), False)])
    outlined = (picture == TRAIN).all(axis=-1)
    expected = np.zeros_like(outlined)
    expected[200:260, 100:300] = True
    expected[201:259, 101:299] = False
    assert (outlined == expected).all()


def test_both_chips_of_one_tile_stay_visible() -> None:
    bounds = np.array([100.0, 200.0, 300.0, 260.0])
    picture = drawn(chips=[(bounds, False), (bounds, True)])
    assert (picture[230, 100] == TRAIN).all() and (picture[230, 102] == VAL).all()
    assert (picture[230, 101] == tinted(TRAIN)).all()


@pytest.mark.parametrize("label", [0, 1])
def test_labels_are_drawn_above_chips_in_the_colour_of_their_class(label: int) -> None:
    box = Detections(np.array([[300.0, 300, 500, 400]]), np.ones(1, np.float32), np.array([label]))
    picture = drawn(chips=[(np.array([300.0, 300, 500, 400]), True)], labels=box)
    assert (picture[350, 300] == class_colour(label)).all()


def test_the_legend_has_the_classes_that_occur() -> None:
    def legend(*labels: int) -> set[tuple[int, ...]]:
        boxes = np.tile([[300.0, 300, 500, 400]], (len(labels), 1))
        picture = draw_split(
            np.zeros((3, SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.bool_), np.zeros((SIDE, SIDE), np.bool_), [],
            Detections(boxes, np.ones(len(labels), np.float32), np.array(labels, np.int64)), ("a", "b"), "title", 0.5,
        )  # fmt: skip
        assert picture.width == SIDE and picture.height > SIDE
        panel = np.asarray(picture)[SIDE:].reshape(-1, 3)
        return {class_colour(label) for label in (0, 1) if (panel == class_colour(label)).all(axis=1).any()}

    assert legend() == set()
    assert legend(1, 1) == {class_colour(1)}
    assert legend(0, 1) == {class_colour(0), class_colour(1)}
