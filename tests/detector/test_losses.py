import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcageo.detector.losses import (
    SMOOTH_L1_BETA,
    aligned_scores,
    centerness_loss,
    delta_loss,
    focal_loss,
    giou_loss,
    plain_scores,
    quality_focal_loss,
)

logits = st.floats(-20, 20)
EXTREMES = [-1e30, -1000.0, -104.0, -88.0, -17.0, 0.0, 17.0, 88.0, 104.0, 1000.0, 1e30]


def numbers(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_focal(s: float, target: float) -> float:
    return -0.25 * (1 - s) ** 2 * math.log(s) if target else -0.75 * s**2 * math.log(1 - s)


def slow_quality_focal(s: float, t: float) -> float:
    return (t - s) ** 2 * -(t * math.log(s) + (1 - t) * math.log(1 - s))


def slow_smooth_l1(difference: float) -> float:
    size = abs(difference)
    return size**2 / 2 / SMOOTH_L1_BETA if size < SMOOTH_L1_BETA else size - SMOOTH_L1_BETA / 2


@given(x=logits, target=st.sampled_from([0.0, 1.0]))
def test_focal_loss_of_logits_equals_its_formula(x, target):
    found = focal_loss(plain_scores(numbers(x)), numbers(target)).item()
    assert found == pytest.approx(slow_focal(sigmoid(x), target), rel=1e-6, abs=1e-12)


@given(x=logits, y=logits, target=st.sampled_from([0.0, 1.0]))
def test_focal_loss_of_aligned_scores_equals_its_formula(x, y, target):
    found = focal_loss(aligned_scores(numbers(x), numbers(y)), numbers(target)).item()
    assert found == pytest.approx(slow_focal(math.sqrt(sigmoid(x) * sigmoid(y)), target), rel=1e-6, abs=1e-12)


@given(x=logits, t=st.floats(0, 1))
def test_quality_focal_loss_of_logits_equals_its_formula(x, t):
    found = quality_focal_loss(plain_scores(numbers(x)), numbers(t)).item()
    assert found == pytest.approx(slow_quality_focal(sigmoid(x), t), rel=1e-6, abs=1e-12)


@given(x=logits, y=logits, t=st.floats(0, 1))
def test_quality_focal_loss_of_aligned_scores_equals_its_formula(x, y, t):
    found = quality_focal_loss(aligned_scores(numbers(x), numbers(y)), numbers(t)).item()
    expected = slow_quality_focal(math.sqrt(sigmoid(x) * sigmoid(y)), t)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(x=st.floats(-200, 200), y=st.floats(-200, 200))
def test_the_aligned_complement_is_exact_where_scores_near_zero_or_one(x, y):
    log_complement = aligned_scores(numbers(x), numbers(y)).log_complement.item()
    log_score = -(math.log1p(math.exp(-x)) + math.log1p(math.exp(-y))) / 2
    assert log_complement == pytest.approx(math.log(-math.expm1(log_score)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss, targets", [(focal_loss, (0.0, 1.0)), (quality_focal_loss, (0.0, 0.3, 1.0))])
def test_extreme_logits_give_finite_losses_and_gradients(loss, targets, dtype):
    cases = torch.tensor(list(itertools.product(EXTREMES, EXTREMES, targets)), dtype=dtype)
    x, y = cases[:, 0].clone().requires_grad_(), cases[:, 1].clone().requires_grad_()
    for scores in (plain_scores(x), aligned_scores(x, y)):
        values = loss(scores, cases[:, 2])
        gradients = torch.autograd.grad(values.sum(), (x, y), allow_unused=True)
        assert values.isfinite().all() and (values >= 0).all()
        assert all(g.isfinite().all() for g in gradients if g is not None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_of_certain_mistakes_does_not_vanish(dtype):
    x, y = torch.tensor([-1000.0, 1000.0], dtype=dtype, requires_grad=True), torch.tensor([1000.0] * 2, dtype=dtype)
    (gradient,) = torch.autograd.grad(focal_loss(aligned_scores(x, y), numbers(1, 0, dtype=dtype)).sum(), x)
    # -0.25 log S* falls by 0.125 per unit of x; -0.75 log(1 - S*) = 0.75 x if both are large, half of it due to x.
    assert gradient.tolist() == pytest.approx([-0.125, 0.375])


@pytest.mark.parametrize("loss", [focal_loss, quality_focal_loss])
def test_class_losses_have_the_gradient_of_their_formula(loss):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(5, 3, dtype=torch.float64, generator=generator) * 4).requires_grad_()
    y = (torch.randn(5, 1, dtype=torch.float64, generator=generator) * 4).requires_grad_()
    targets = torch.rand(5, 3, dtype=torch.float64, generator=generator).round(decimals=0 if loss is focal_loss else 3)
    assert torch.autograd.gradcheck(lambda a: loss(plain_scores(a), targets), (x,))
    assert torch.autograd.gradcheck(lambda a, b: loss(aligned_scores(a, b), targets), (x, y))


@pytest.mark.parametrize(
    "inverted",
    [(30.0, 10, 10, 30), (10.0, 30, 30, 10), (30.0, 30, 10, 10), (900.0, 900, 10, 10), (-5.0, 4, -90, 2)],
)
def test_inverted_boxes_have_a_loss_of_1_to_2_with_finite_gradients(inverted):
    box = torch.tensor([inverted], requires_grad=True)
    loss = giou_loss(box, torch.tensor([[5.0, 5, 40, 45]]))
    loss.sum().backward()
    assert 1 <= loss.item() <= 2
    assert box.grad.isfinite().all()


def test_giou_loss_is_zero_for_the_target_itself():
    box = torch.tensor([[5.0, 5, 40, 45]])
    assert giou_loss(box, box).tolist() == [0]


@given(values=st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=4, max_size=4))
def test_delta_loss_equals_its_formula(values):
    deltas, targets = (numbers(*side)[None] for side in zip(*values, strict=True))
    assert delta_loss(deltas, targets).item() == pytest.approx(sum(slow_smooth_l1(a - b) for a, b in values))


@given(x=logits, t=st.floats(0, 1))
def test_centerness_loss_equals_its_formula(x, t):
    expected = -(t * math.log(sigmoid(x)) + (1 - t) * math.log(1 - sigmoid(x)))
    assert centerness_loss(numbers(x), numbers(t)).item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_losses_of_bfloat16_are_those_of_float32_even_under_autocast():
    x, y = torch.linspace(-30, 30, 12).bfloat16(), torch.linspace(20, -20, 12).bfloat16()
    boxes = torch.arange(48.0).reshape(12, 4).bfloat16()
    targets, boxes_xyxy = torch.linspace(0, 1, 12), torch.tensor([[1.0, 2, 30, 50]]).expand(12, 4)

    def losses(x, y, boxes):
        return (
            focal_loss(plain_scores(x), targets.round()),
            quality_focal_loss(aligned_scores(x, y), targets),
            giou_loss(boxes, boxes_xyxy),
            delta_loss(boxes, boxes_xyxy),
            centerness_loss(x, targets),
        )

    with torch.autocast("cpu", torch.bfloat16):
        half = losses(x, y, boxes)
    for found, expected in zip(half, losses(x.float(), y.float(), boxes.float()), strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
