from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.palette import class_colour
from lcageo.pictures.quicklook import INK, MARGIN, MARKS, draw_quicklook, round_length, save_quicklook

IMAGE = np.full((3, 200, 300), 90, np.uint8)
FOUND = Detections(
    np.array([[20, 30, 60, 80], [100, 100, 150, 120]], np.float64), np.array([0.9, 0.5], np.float32), np.array([0, 1])
)


def drawn(
    image: np.ndarray, found: Detections, classes: tuple[str, ...], metres: float | None = None, **more: Any
) -> np.ndarray:
    """The quicklook of an image, (H, W, 3), with the counts of its detections."""
    counts = {name: int((found.labels == label).sum()) for label, name in enumerate(classes)}
    return np.asarray(draw_quicklook(image, [found], counts, classes, "t", metres, **more))


def test_boxes_are_drawn_in_their_class_colours_where_they_are() -> None:
    large = np.full((3, 1000, 1200), 90, np.uint8)
    picture = drawn(large, FOUND, ("a", "b"))
    assert tuple(picture[30, 40]) == class_colour(0) and tuple(picture[100, 145]) == class_colour(1)
    assert tuple(picture[55, 40]) == (90, 90, 90)
    assert picture.shape[0] > 1000 and picture.shape[1] == 1200


def test_a_small_scene_is_enlarged_and_its_boxes_with_it() -> None:
    image = np.random.default_rng(0).integers(0, 80, (3, 200, 300), dtype=np.uint8)
    picture = drawn(image, FOUND, ("a", "b"))
    assert picture.shape[1] == 900 and (picture[:600:3, :900:3][150:] == np.moveaxis(image, 0, -1)[150:]).all()
    assert tuple(picture[90, 120]) == class_colour(0) and tuple(picture[110, 120]) != class_colour(0)


def test_objects_of_a_pixel_and_those_at_the_border_are_seen() -> None:
    boxes = np.array([[500.2, 500.1, 500.9, 500.8], [1100, 900, 1200, 1000]])
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
    picture = drawn(np.full((3, 1000, 1200), 90, np.uint8), found, ("a", "b"))
    assert 9 <= (picture[497:507, 497:507] == class_colour(0)).all(axis=-1).sum() <= 36
    assert (picture[910:990, 1199] == class_colour(1)).all() and (picture[999, 1110:1190] == class_colour(1)).all()


def test_a_narrow_scene_has_room_for_its_title() -> None:
    assert draw_quicklook(IMAGE[:, :, :5], [], {}, ("a",), "a long title", None).size[0] > 80


def test_the_legend_names_only_classes_that_occur_and_wraps() -> None:
    counts = {"first class": 1, "second class": 1}
    classes = ("first class", "second class", "third")
    tall, wide = np.full((3, 1000, 120), 90, np.uint8), np.full((3, 1000, 1200), 90, np.uint8)
    narrow, broad = (draw_quicklook(image, [FOUND], counts, classes, "t", None) for image in (tall, wide))
    assert narrow.size[1] > broad.size[1]
    panel = np.asarray(broad)[1000:].reshape(-1, 3).tolist()
    assert list(class_colour(0)) in panel and list(class_colour(1)) in panel and list(class_colour(2)) not in panel


@pytest.mark.parametrize("side", [60, 300, 1100])
def test_the_scale_bar_is_as_long_as_it_says(side: int) -> None:
    metres_per_pixel = 0.5
    picture = drawn(np.full((3, side, side), 90, np.uint8), FOUND.selected(slice(0)), ("a",), metres_per_pixel)
    shown = picture.shape[1] // side  # pixels of the picture for one of the image
    row = picture[side * shown :, 16:].min(axis=2).astype(int)
    bar = max(int((line > 200).cumprod().sum()) for line in row)
    assert bar == pytest.approx(round_length(side / 4 * metres_per_pixel) / metres_per_pixel * shown, abs=3)


@pytest.mark.parametrize("turn", range(0, 360, 45))
def test_the_arrow_points_north_with_the_letter_at_its_tip(turn: int) -> None:
    north = (float(np.cos(np.radians(turn))), float(np.sin(np.radians(turn))))
    large = np.full((3, 1000, 1000), 90, np.uint8)
    panel = drawn(large, FOUND.selected(slice(0)), ("a",), None, north=north)[-MARKS - 2 * MARGIN : -MARGIN]
    without = drawn(large, FOUND.selected(slice(0)), ("a",))[-MARKS - 2 * MARGIN : -MARGIN]
    rows, columns = np.nonzero((panel != without).any(axis=-1))
    along = (columns - (MARGIN + MARKS // 2)) * north[0] + (rows - (MARGIN + MARKS // 2)) * north[1]
    across = (rows - (MARGIN + MARKS // 2)) * north[0] - (columns - (MARGIN + MARKS // 2)) * north[1]
    assert along.max() > 20 and along.min() == pytest.approx(-MARKS / 4, abs=2), (
        "the letter is on one side, the tail on the other"
    )
    assert abs(across.max() + across.min()) <= 3
    tip, tail = (np.ptp(across[(along > at - 2) & (along < at + 2)]) for at in (0.7 * MARKS / 4, -0.9 * MARKS / 4))
    assert tip < tail / 2, "the arrowhead is pointed"
    assert np.hypot(along, across).max() <= MARKS / 2


def test_few_objects_are_named_and_many_are_not() -> None:
    large = np.full((3, 1000, 1200), 90, np.uint8)
    assert (drawn(large, FOUND, ("a", "b"))[10:28, 20:60] == INK).all(axis=-1).any()
    side = np.linspace(100, 900, 21)
    corners = np.array([(x, y) for x in side for y in side])
    many = Detections(np.hstack([corners, corners + 8]), np.full(441, 0.5, np.float32), np.zeros(441, np.int64))
    assert not (drawn(large, many, ("a", "b"))[:1000] == INK).all(axis=-1).any()


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
