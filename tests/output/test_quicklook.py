from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcageo.data.dior import DIOR_CLASSES
from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.output.quicklook import class_colour, draw_quicklook, round_length, save_quicklook

IMAGE = np.full((3, 200, 300), 90, np.uint8)
FOUND = Detections(
    np.array([[20, 30, 60, 80], [100, 100, 150, 120]], np.float64), np.array([0.9, 0.5], np.float32), np.array([0, 1])
)


def test_each_of_dior_s_classes_has_a_colour_of_its_own() -> None:
    colours = [class_colour(label) for label in range(len(DIOR_CLASSES))]
    apart = [max(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in combinations(colours, 2)]
    assert min(apart) >= 25


def test_boxes_are_drawn_in_their_class_colours_where_they_are() -> None:
    picture = np.asarray(draw_quicklook(IMAGE, [FOUND], {"a": 1, "b": 1}, ("a", "b"), "title", 0.5))
    assert tuple(picture[30, 40]) == class_colour(0) and tuple(picture[100, 120]) == class_colour(1)
    assert tuple(picture[55, 40]) == (90, 90, 90)
    assert picture.shape[0] > 200 and picture.shape[1] == 300


def test_a_narrow_scene_has_room_for_its_title() -> None:
    assert draw_quicklook(IMAGE[:, :, :5], [], {}, ("a",), "a long title", None).size[0] > 80


def test_the_legend_names_only_classes_that_occur_and_wraps() -> None:
    narrow = draw_quicklook(
        IMAGE[:, :, :120],
        [FOUND],
        {"first class": 1, "second class": 1},
        ("first class", "second class", "third"),
        "t",
        None,
    )
    wide = draw_quicklook(IMAGE, [FOUND], {"a": 1, "b": 1}, ("a", "b", "c"), "t", None)
    assert narrow.size[1] > wide.size[1]
    panel = np.asarray(wide)[200:].reshape(-1, 3).tolist()
    assert list(class_colour(0)) in panel and list(class_colour(1)) in panel and list(class_colour(2)) not in panel


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    metres_per_pixel = 0.5
    picture = np.asarray(draw_quicklook(IMAGE, [], {}, ("a",), "", metres_per_pixel)).astype(int)
    row = picture[200:, 16:].min(axis=2)
    bar = max(int((line > 200).cumprod().sum()) for line in row)
    assert bar == pytest.approx(round_length(300 / 4 * metres_per_pixel) / metres_per_pixel, abs=3)


@pytest.mark.parametrize(("metres", "length"), [(37.5, 20), (50, 50), (99, 50), (0.3, 0.2), (1000, 1000), (4999, 2000)])
def test_lengths_are_round(metres: float, length: float) -> None:
    assert round_length(metres) == pytest.approx(length)


def test_it_is_a_png_and_an_error_if_it_cannot_be_written(tmp_path: Path) -> None:
    picture = draw_quicklook(IMAGE, [FOUND], {"a": 1, "b": 1}, ("a", "b"), "title", 0.5)
    save_quicklook(picture, tmp_path / "q.png")
    with Image.open(tmp_path / "q.png") as read:
        assert read.size == picture.size
    with pytest.raises(OutputError, match="cannot be written"):
        save_quicklook(picture, tmp_path / "none" / "q.png")
