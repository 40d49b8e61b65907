from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.makers import boxes_in_pixels, painted

from lcageo.data.augment import AugmentConfig, Crop, cropped, mosaic, resized, symmetric, window_start
from lcageo.errors import ConfigError

WIDTHS, HEIGHTS = st.integers(30, 60), st.integers(20, 50)
GREY = (7, 8, 9)


@st.composite
def crops(draw: Callable[..., int], width: int | None = None, height: int | None = None) -> Crop:
    """A painted crop with one rectangle in each of its quarters, so that none hides another."""
    width, height = width or draw(WIDTHS), height or draw(HEIGHTS)
    boxes = []
    for left in (0, width // 2):
        for top in (0, height // 2):
            x1, y1 = left + draw(st.integers(0, 4)), top + draw(st.integers(0, 3))
            boxes.append(
                (x1, y1, x1 + draw(st.integers(1, width // 2 - 5)), y1 + draw(st.integers(1, height // 2 - 4)))
            )
    return painted(width, height, boxes)


def assert_boxes_lie_where_the_pixels_are(crop: Crop, count: int = 4) -> None:
    found = boxes_in_pixels(crop.image, count)
    assert dict(zip(crop.labels.tolist(), crop.boxes_xyxy.tolist(), strict=True)) == found


@given(crops(), st.integers(0, 7))
def test_boxes_follow_every_turn_and_flip(crop: Crop, which: int) -> None:
    turned = symmetric(crop, which)
    assert len(turned.labels) == 4
    assert_boxes_lie_where_the_pixels_are(turned)


def test_the_eight_symmetries_differ_and_the_first_changes_nothing() -> None:
    crop = painted(3, 3, [(0, 0, 2, 1)])
    pictures = [symmetric(crop, which).image.tobytes() for which in range(8)]
    assert len(set(pictures)) == 8 and pictures[0] == crop.image.tobytes()
    assert np.array_equal(symmetric(crop, 1).image, np.rot90(crop.image))


@given(crops(), st.integers(-30, 60), st.integers(-30, 50), st.integers(1, 90), st.integers(1, 90))
def test_boxes_follow_crops_inside_and_beyond_the_image(crop: Crop, x0: int, y0: int, width: int, height: int) -> None:
    cut = cropped(crop, x0, y0, width, height, 0, GREY)
    assert cut.size == (width, height)
    assert_boxes_lie_where_the_pixels_are(cut)
    padded = np.full((400, 400, 3), GREY, np.uint8)
    padded[100 : 100 + crop.size[1], 100 : 100 + crop.size[0]] = crop.image
    assert (cut.image == padded[100 + y0 : 100 + y0 + height, 100 + x0 : 100 + x0 + width]).all()


@given(crops(), st.integers(-20, 50), st.integers(-20, 40), st.floats(0.01, 1))
def test_a_crop_keeps_just_the_objects_with_enough_pixels_in_it(crop: Crop, x0: int, y0: int, share: float) -> None:
    cut = cropped(crop, x0, y0, 25, 25, share, GREY)
    for label in range(4):
        seen, whole = ((image[:, :, 0] == 100 + label).sum() for image in (cut.image, crop.image))
        if abs(seen - share * whole) > 1e-6:
            assert (label in cut.labels) == (seen > share * whole)


@given(crops(), st.integers(10, 150), st.integers(10, 150))
def test_boxes_follow_sizes_to_a_pixel(crop: Crop, width: int, height: int) -> None:
    other = resized(crop, width, height)
    assert other.size == (width, height)
    for label, box in zip(other.labels.tolist(), other.boxes_xyxy, strict=True):
        alone = painted(*crop.size, [(0, 0, 0, 0)] * label + [tuple(crop.boxes_xyxy[label].astype(int))])
        weight = resized(alone, width, height).image[:, :, 0] / (100.0 + label)
        # Moments of what was painted, as an independent account: area and centre.
        area = (box[2] - box[0]) * (box[3] - box[1])
        if area > 30 and min(box[2] - box[0], box[3] - box[1]) > 3:
            assert weight.sum() == pytest.approx(area, rel=0.15)
            rows, columns = np.indices(weight.shape) + 0.5
            assert (columns * weight).sum() / weight.sum() == pytest.approx((box[0] + box[2]) / 2, abs=0.5)
            assert (rows * weight).sum() / weight.sum() == pytest.approx((box[1] + box[3]) / 2, abs=0.5)


@given(st.integers(5, 60), st.integers(5, 60), st.integers(5, 60), st.integers(5, 60))
def test_boxes_follow_into_a_mosaic(left: int, right: int, top: int, bottom: int) -> None:
    sizes = [(left, top), (right, top), (left, bottom), (right, bottom)]
    parts = []
    for index, size in enumerate(sizes):
        crop = painted(*size, [(0, 0, 0, 0)] * index + [(1, 2, 4, 5)])
        parts.append(Crop(crop.image, crop.boxes_xyxy[index:], crop.labels[index:], crop.difficult[index:]))
    whole = mosaic(parts)
    assert whole.size == (left + right, top + bottom)
    assert_boxes_lie_where_the_pixels_are(whole)


@given(st.integers(1, 200), st.integers(1, 300), st.integers(0, 2**32), st.data())
def test_a_window_holds_its_object_as_far_as_it_can_and_stays_in_the_image(
    extent: int, window: int, seed: int, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, extent - 1))
    high = data.draw(st.integers(low + 1, extent))
    start = window_start(np.random.default_rng(seed), (low, high), extent, window)
    held = min(high, start + window) - max(low, start)
    assert held == min(high - low, window)
    within_image = min(extent, start + window) - max(0, start)
    assert within_image == min(extent, window)


def test_windows_reach_every_position_that_holds_the_object() -> None:
    rng = np.random.default_rng(0)
    assert {window_start(rng, (10.2, 14.7), 100, 8) for _ in range(200)} == {7, 8, 9, 10}
    assert {window_start(rng, None, 10, 8) for _ in range(200)} == {0, 1, 2}
    assert {window_start(rng, None, 8, 10) for _ in range(200)} == {-2, -1, 0}
    assert window_start(rng, (3.5, 6.6), 10, 3) == 3  # no whole number lies from 3.5 to 3.6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop_size": 0}, "crop_size = 0"),
        ({"scale_range": (2.0, 1.0)}, "scale_range"),
        ({"mosaic_share": 1.5}, "mosaic_share = 1.5"),
        ({"haze": float("nan")}, "haze = nan"),
        ({"fill": (0, 0, 256)}, "fill"),
        ({"long_side": 3}, "long_side"),
        ({"max_image_side": 0}, "max_image_side"),
    ],
)
def test_settings_outside_what_is_allowed_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=f"augmentation setting {words}"):
        AugmentConfig(**changes)  # type: ignore[arg-type]


def test_what_is_to_be_ignored_is_so_in_every_part_of_it() -> None:
    crop = Crop(
        np.zeros((100, 100, 3), np.uint8),
        np.array([[0, 0, 80, 80], [0, 0, 80, 80], [90, 90, 95, 95]], np.float32),
        np.array([0, 1, 0]),
        np.array([True, False, True]),
    )
    part = cropped(crop, 70, 70, 20, 20, 0.3, (0, 0, 0))
    assert part.boxes_xyxy.tolist() == [[0, 0, 10, 10]] and part.difficult.tolist() == [True]
