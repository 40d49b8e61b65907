import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.slow_assign import slow_iou

from lcageo.detector.overlap import paired_giou, pairwise_iou

coordinates = st.integers(-20, 20)
boxes = st.lists(st.tuples(*[coordinates] * 4), max_size=5)  # inverted and empty ones too


def as_tensor(items: list) -> torch.Tensor:
    return torch.tensor(items, dtype=torch.float64).reshape(-1, 4)


def slow_giou(a: list[float], b: list[float]) -> float:
    """By counting: b is upright, an inverted a counts as an empty box."""
    area_a, area_b = (max(c[2] - c[0], 0) * max(c[3] - c[1], 0) for c in (a, b))
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = area_a + area_b - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union - (hull - union) / hull


@given(first=boxes, second=boxes)
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


def test_iou_and_giou_count_the_pixels_of_whole_numbered_boxes():
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
