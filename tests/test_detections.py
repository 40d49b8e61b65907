from __future__ import annotations

import numpy as np
import pytest

from lcageo.detections import Detections


def two() -> Detections:
    boxes = np.array([[0, 0, 2, 4], [1, 1, 5, 6]], np.float32)
    return Detections(boxes, np.array([0.5, 0.9], np.float32), np.array([0, 3]))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="do not describe the same objects"):
        Detections(np.zeros((2, 4)), np.zeros(1, np.float32), np.zeros(2, np.int64))


def test_boxes_must_be_floating_point() -> None:
    with pytest.raises(ValueError, match="floating point"):
        Detections(np.zeros((1, 4), np.int64), np.zeros(1, np.float32), np.zeros(1, np.int64))  # type: ignore[arg-type]


def test_empty_joins_to_empty() -> None:
    assert len(Detections.joined([])) == len(Detections.joined([Detections.empty()])) == 0


def test_joined_keeps_order() -> None:
    joined = Detections.joined([two(), Detections.empty(), two()])
    assert joined.labels.tolist() == [0, 3, 0, 3]


def test_selected_by_mask_and_by_position_agree() -> None:
    by_mask = two().selected(np.array([False, True]))
    by_position = two().selected(np.array([1]))
    assert by_mask.boxes_xyxy.tolist() == by_position.boxes_xyxy.tolist() == [[1, 1, 5, 6]]


def test_scaling_is_before_shifting_and_leaves_the_original() -> None:
    original = two()
    moved = original.scaled_and_shifted((2.0, 2.0), 10.0, 100.0)
    assert moved.boxes_xyxy.tolist() == [[10, 100, 14, 108], [12, 102, 20, 112]]
    assert moved.boxes_xyxy.dtype == np.float64
    assert original.boxes_xyxy.tolist() == two().boxes_xyxy.tolist()
