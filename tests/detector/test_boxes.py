import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.slow_assign import slow_iou

from lcageo.detector.boxes import (
    anchors,
    cell_centres,
    clip_boxes,
    decode_deltas,
    decode_distances,
    flatten_map,
    paired_giou,
    pairwise_iou,
)
from lcageo.network_config import STRIDES

sizes = st.integers(1, 6)
strides = st.sampled_from(STRIDES)
coordinates = st.integers(-20, 20)
any_boxes = st.lists(st.tuples(*[coordinates] * 4), max_size=5)  # inverted and empty ones too


@given(height=sizes, width=sizes, stride=strides)
def test_cell_i_j_represents_the_middle_of_its_square(height, width, stride):
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


def test_deltas_enlarge_anchors_at_most_62_5_times():
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


def as_tensor(items: list) -> torch.Tensor:
    return torch.tensor(items, dtype=torch.float64).reshape(-1, 4)


def slow_giou(a: list[float], b: list[float]) -> float:
    """By counting: b is upright, an inverted a counts as an empty box."""
    area_a, area_b = (max(c[2] - c[0], 0) * max(c[3] - c[1], 0) for c in (a, b))
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = area_a + area_b - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union - (hull - union) / hull


@given(first=any_boxes, second=any_boxes)
def test_iou_equals_the_slow_loop(first, second):
    found = pairwise_iou(as_tensor(first), as_tensor(second))
    assert found.shape == (len(first), len(second))
    for i, j in np.ndindex(found.shape):
        assert found[i, j].item() == pytest.approx(slow_iou(first[i], second[j]), rel=1e-12)


@given(first=st.tuples(*[coordinates] * 4), corner=st.tuples(coordinates, coordinates), size=st.integers(1, 20))
def test_giou_equals_the_slow_formula_and_stays_in_bounds(first, corner, size):
    second = (*corner, corner[0] + size, corner[1] + size)
    found = paired_giou(as_tensor([first]), as_tensor([second])).item()
    assert found == pytest.approx(slow_giou(first, second), rel=1e-12, abs=1e-12)
    assert -1 <= found <= 1


def test_iou_and_giou_count_the_pixels_of_integer_boxes():
    a, b = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    a[2:12, 3:20], b[5:25, 10:28] = True, True  # rows, columns
    first, second = as_tensor([(3, 2, 20, 12)]), as_tensor([(10, 5, 28, 25)])
    iou, hull = (a & b).sum() / (a | b).sum(), (25 - 2) * (28 - 3)
    assert pairwise_iou(first, second).item() == pytest.approx(iou)
    assert paired_giou(first, second).item() == pytest.approx(iou - (hull - (a | b).sum()) / hull)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_giou_has_the_gradient_of_its_formula(seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, 6, 2, dtype=torch.float64, generator=generator) * 4
    ends = corners + 1 + torch.rand(2, 6, 2, dtype=torch.float64, generator=generator) * 5
    first, second = torch.cat((corners, ends), dim=2)
    assert torch.autograd.gradcheck(paired_giou, (first.requires_grad_(), second.requires_grad_()))


def test_empty_boxes_overlap_nothing_and_stay_finite():
    empty = torch.zeros(1, 4, requires_grad=True)
    assert pairwise_iou(empty, empty).item() == 0
    giou = paired_giou(empty, torch.zeros(1, 4))
    giou.sum().backward()
    assert giou.isfinite().all() and empty.grad.isfinite().all()


def test_half_precision_is_widened():
    box = torch.tensor([[801.0, 3, 805, 9]])
    assert pairwise_iou(box.bfloat16(), box.bfloat16()).dtype == torch.float32
    assert paired_giou(box.bfloat16(), box.bfloat16()).dtype == torch.float32
