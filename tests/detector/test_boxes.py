import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.config import STRIDES
from lcageo.detector.boxes import (
    anchors,
    cell_centres,
    clip_boxes,
    decode_deltas,
    decode_distances,
    flatten_map,
)

sizes = st.integers(1, 6)
strides = st.sampled_from(STRIDES)


@given(height=sizes, width=sizes, stride=strides)
def test_cell_i_j_stands_for_the_middle_of_its_square(height, width, stride):
    centres = cell_centres(torch.zeros(1, 1, height, width), stride)
    assert centres.shape == (2, height, width)
    for i, j in np.ndindex(height, width):
        assert centres[:, i, j].tolist() == [(j + 0.5) * stride, (i + 0.5) * stride]


def test_an_image_of_800_pixels_has_13343_cells():
    sides = [math.ceil(800 / stride) for stride in STRIDES]
    assert sides == [100, 50, 25, 13, 7]
    assert sum(cell_centres(torch.zeros(n, n), 8)[0].numel() for n in sides) == 13343


@given(height=sizes, width=sizes, stride=strides)
def test_anchors_have_nine_shapes_around_each_centre(height, width, stride):
    boxes = anchors(torch.zeros(height, width), stride).double().reshape(height, width, 9, 4)
    for i, j, a in np.ndindex(height, width, 9):
        x1, y1, x2, y2 = boxes[i, j, a].tolist()
        area, ratio = (4 * stride * 2 ** (a % 3 / 3)) ** 2, (0.5, 1, 2)[a // 3]
        assert (x1 + x2) / 2 == pytest.approx((j + 0.5) * stride, abs=1e-3)
        assert (y1 + y2) / 2 == pytest.approx((i + 0.5) * stride, abs=1e-3)
        assert (x2 - x1) * (y2 - y1) == pytest.approx(area, rel=1e-5)
        assert (y2 - y1) / (x2 - x1) == pytest.approx(ratio, rel=1e-5)


def test_zero_deltas_give_the_anchors():
    boxes = anchors(torch.zeros(3, 4), 16)
    torch.testing.assert_close(decode_deltas(boxes, torch.zeros(2, 108, 4)), boxes.expand(2, -1, -1))


def test_deltas_move_by_anchor_sizes_and_grow_by_exp():
    anchor = torch.tensor([[10.0, 20, 30, 60]])  # 20 x 40 around (20, 40)
    box = decode_deltas(anchor, torch.tensor([[0.5, -0.25, math.log(2), math.log(0.5)]]))
    torch.testing.assert_close(box, torch.tensor([[10.0, 20, 50, 40]]))  # 40 x 20 around (30, 30)


def test_deltas_grow_anchors_by_62_5_at_most():
    box = decode_deltas(torch.tensor([[0.0, 0, 1, 1]]), torch.full((1, 4), 1e6) * torch.tensor([0, 0, 1, 1]))
    assert (box[0, 2] - box[0, 0]).item() == pytest.approx(62.5)


def test_distances_are_strides_to_left_upper_right_lower():
    distances = torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1, 1).expand(1, 4, 2, 3)
    boxes = decode_distances(distances, 8)
    assert boxes[0, :, 1, 2].tolist() == [20 - 8, 12 - 16, 20 + 24, 12 + 32]


@settings(max_examples=30)
@given(height=sizes, width=sizes, per_cell=st.integers(1, 3), depth=st.integers(1, 4))
def test_flattening_goes_by_row_column_then_box(height, width, per_cell, depth):
    level = torch.arange(2 * per_cell * depth * height * width).reshape(2, per_cell * depth, height, width)
    flat = flatten_map(level, depth)
    for b, i, j, a, d in np.ndindex(2, height, width, per_cell, depth):
        assert flat[b, (i * width + j) * per_cell + a, d] == level[b, a * depth + d, i, j]


def test_clipping_cuts_x_at_the_width_and_y_at_the_height():
    boxes = torch.tensor([[-5.0, -6, 200, 100], [10, 10, 20, 20], [150, 70, 180, 90]])
    assert clip_boxes(boxes, height=50, width=100).tolist() == [[0, 0, 100, 50], [10, 10, 20, 20], [100, 50, 100, 50]]
