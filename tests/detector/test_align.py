import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.detector.align import align_boxes, aligned_score, sample_sides

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**31)
spreads = st.sampled_from([0.0, 0.3, 3.0, 50.0])  # none, within a cell, over cells, far beyond the border


def slow_sample(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A(B, O) written as the formula reads, one number at a time."""
    batch, _, height, width = boxes.shape
    result = np.zeros_like(boxes)
    for b, c, i, j in np.ndindex(batch, 4, height, width):
        row = min(max(i + offsets[b, 2 * c, i, j], 0), height - 1)
        column = min(max(j + offsets[b, 2 * c + 1, i, j], 0), width - 1)
        for r in range(height):
            for k in range(width):
                weight = max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - k))
                result[b, c, i, j] += weight * boxes[b, c, r, k]
    return result


@settings(max_examples=40)
@given(height=sizes, width=sizes, seed=seeds, spread=spreads)
def test_sampling_equals_the_slow_loop_even_beyond_the_border(height, width, seed, spread):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(0, 800, (2, 4, height, width))
    offsets = rng.normal(0, spread, (2, 8, height, width))
    fast = sample_sides(torch.from_numpy(boxes), torch.from_numpy(offsets)).numpy()
    np.testing.assert_allclose(fast, slow_sample(boxes, offsets), rtol=1e-12, atol=1e-9)


def test_offsets_are_row_then_column_for_left_upper_right_lower():
    boxes = torch.arange(4 * 3 * 5.0).reshape(1, 4, 3, 5)
    offsets = torch.zeros(1, 8, 3, 5)
    offsets[0, 2, 0, 0] = 2  # row of the upper side
    offsets[0, 5, 0, 0] = 3  # column of the right side
    sampled = sample_sides(boxes, offsets)[0, :, 0, 0]
    assert sampled.tolist() == [boxes[0, 0, 0, 0], boxes[0, 1, 2, 0], boxes[0, 2, 0, 3], boxes[0, 3, 0, 0]]


def test_zero_offsets_leave_boxes_exactly_as_they_are():
    boxes = torch.rand(1, 4, 6, 5).cumsum(1)
    assert torch.equal(align_boxes(boxes, torch.zeros(1, 8, 6, 5)), boxes)


@settings(max_examples=20)
@given(seed=seeds, spread=spreads)
def test_only_inverted_boxes_fall_back_to_the_unaligned_ones(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(1, 2, 4, 6, generator=generator) * 50
    boxes = torch.cat((corner, corner + 1 + torch.rand(1, 2, 4, 6, generator=generator) * 20), dim=1)
    offsets = torch.randn(1, 8, 4, 6, generator=generator) * spread
    sampled, aligned = sample_sides(boxes, offsets), align_boxes(boxes, offsets)
    inverted = (sampled[:, 0] >= sampled[:, 2]) | (sampled[:, 1] >= sampled[:, 3])
    assert torch.equal(aligned, torch.where(inverted[:, None], boxes, sampled))
    assert (aligned[:, 2:] > aligned[:, :2]).all()


def test_sampling_has_the_gradient_of_its_formula():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(1, 4, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    offsets = torch.randn(1, 8, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(sample_sides, (boxes, offsets))


def test_nan_offsets_give_nan_boxes_instead_of_an_out_of_range_read():
    sampled = sample_sides(torch.rand(1, 4, 3, 3), torch.full((1, 8, 3, 3), torch.nan))
    assert sampled.isnan().all()


def test_infinite_offsets_read_the_border():
    boxes = torch.arange(36.0).reshape(1, 4, 3, 3)
    sampled = sample_sides(boxes, torch.full((1, 8, 3, 3), torch.inf))
    assert torch.equal(sampled, boxes[..., -1:, -1:].expand(1, 4, 3, 3))


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_aligned_score_is_the_geometric_mean_of_the_probabilities(x, y):
    logits = torch.tensor([x, y], dtype=torch.float64).reshape(2, 1, 1, 1)
    expected = math.sqrt(1 / (1 + math.exp(-x)) / (1 + math.exp(-y)))
    assert aligned_score(logits[:1], logits[1:]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("x", [-1e30, -1000.0, -104.0, -60.0, 0.0, 60.0, 1000.0])
@pytest.mark.parametrize("y", [-1000.0, -3.0, 1000.0])
def test_aligned_score_has_the_exact_gradient_even_where_it_underflows(x, y, dtype):
    a = torch.full((1, 1, 1, 1), x, dtype=dtype, requires_grad=True)
    b = torch.full((1, 1, 1, 1), y, dtype=dtype, requires_grad=True)
    score = aligned_score(a, b)
    score.sum().backward()
    for logit in (a, b):
        exact = score.detach() * torch.sigmoid(-logit.detach()) / 2
        torch.testing.assert_close(logit.grad, exact, rtol=1e-5, atol=torch.finfo(dtype).tiny)


def test_aligned_score_passes_gradcheck_with_one_gate_for_all_classes():
    class_logits = torch.linspace(-9, 9, 12, dtype=torch.float64).reshape(1, 3, 2, 2).requires_grad_()
    gate_logits = torch.tensor([-6.0, -1, 0, 5], dtype=torch.float64).reshape(1, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(aligned_score, (class_logits, gate_logits))
