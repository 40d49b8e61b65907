"""Heads: towers and decoding against formulas written out for single cells."""

import math

import pytest
import torch

from lcageo.detector.boxes import ANCHORS_PER_CELL, anchors
from lcageo.detector.heads import MAX_LOG_DISTANCE, BaselineHead, Branch, FcosHead, RetinaHead, scaled_exp
from lcageo.detector.outputs import LevelOutput

HEADS = [
    RetinaHead(16, 3, 2),
    FcosHead(16, 3, 2),
    BaselineHead(16, 3, 2, fused=True),
    BaselineHead(16, 3, 2, fused=False),
]


def levels(*sides: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 16, side, side + 1, generator=generator) for side in sides]


@pytest.mark.parametrize("fused", [False, True])
@torch.inference_mode()
def test_a_tower_applies_its_convolutions_in_turn_and_may_fuse_all_of_them(fused):
    branch, (x,) = Branch(16, 2, norm=True, fused=fused), levels(5)
    first = branch.convs[0](x)
    second = branch.convs[1](first)
    even = torch.nn.GroupNorm(2, 16, affine=False)(x)
    expected = branch.fuse(torch.cat([even, first, second], dim=1)) if fused else second
    torch.testing.assert_close(branch(x), expected)
    assert branch(x).shape == x.shape


@torch.inference_mode()
def test_a_fused_tower_weighs_its_features_like_its_input_however_large_that_is():
    branch, (x,) = Branch(16, 2, norm=True, fused=True), levels(5)
    torch.testing.assert_close(branch(20 * x), branch(x), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
@torch.inference_mode()
def test_levels_share_their_weights_and_do_not_see_each_other(head):
    maps = levels(8, 6, 4, 2, 1)
    outputs, swapped = head(maps), head([maps[1], *maps[1:]])
    assert len(outputs) == 5
    torch.testing.assert_close(swapped[0].class_logits, outputs[1].class_logits)
    torch.testing.assert_close(swapped[0].regression, outputs[1].regression)  # scales are equal at first


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_predictors_are_the_layers_whose_outputs_are_predictions(head):
    per_cell = ANCHORS_PER_CELL if isinstance(head, RetinaHead) else 1
    expected = [3 * per_cell, *([1] if isinstance(head, FcosHead) else []), 4 * per_cell]
    assert [layer.out_channels for layer in head.predictors] == expected


@pytest.mark.parametrize("head", [FcosHead(16, 3, 1), BaselineHead(16, 3, 1, fused=True)])
def test_distances_in_strides_become_a_box_around_the_centre_of_the_cell(head):
    distances = torch.zeros(1, 4, 2, 3)
    distances[0, :, 1, 2] = torch.tensor([0.5, 1.0, 2.0, 0.25])
    _, boxes = head.decode(LevelOutput(torch.zeros(1, 3, 2, 3), distances, torch.zeros(1, 1, 2, 3)), 16)
    x, y = 2.5 * 16, 1.5 * 16
    assert boxes[0, 5].tolist() == [x - 8, y - 16, x + 32, y + 4]
    assert boxes[0, 0].tolist() == [8, 8, 8, 8]


def test_scores_of_fcos_are_geometric_means_of_class_and_centerness():
    logits, gate = torch.tensor([1.0, -2.0, 0.5]), 0.7
    output = LevelOutput(logits.reshape(1, 3, 1, 1), torch.ones(1, 4, 1, 1), torch.full((1, 1, 1, 1), gate))
    scores, _ = FcosHead(16, 3, 1).decode(output, 8)

    assert scores[0, 0].tolist() == pytest.approx(
        [math.sqrt(1 / (1 + math.exp(-x)) / (1 + math.exp(-gate))) for x in logits.tolist()]
    )


def test_deltas_of_zero_give_the_anchors_and_scores_follow_them_cell_by_cell():
    logits = torch.randn(2, ANCHORS_PER_CELL * 3, 2, 3, generator=torch.Generator().manual_seed(1))
    deltas = torch.zeros(2, ANCHORS_PER_CELL * 4, 2, 3)
    scores, boxes = RetinaHead(16, 3, 1).decode(LevelOutput(logits, deltas), 32)
    torch.testing.assert_close(boxes, anchors(deltas, 32).expand(2, -1, -1))
    for row, column, anchor, label in ((0, 0, 0, 0), (1, 2, 8, 2), (0, 1, 4, 1)):
        expected = logits[1, anchor * 3 + label, row, column].sigmoid()
        assert scores[1, (row * 3 + column) * ANCHORS_PER_CELL + anchor, label] == expected


def test_distances_are_scaled_after_exp_and_bounded():
    given = torch.tensor([0.0, math.log(3), 1e4, -1e4], dtype=torch.bfloat16)
    found = scaled_exp(given, torch.tensor(2.0))
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx([2, 6, 2 * math.exp(MAX_LOG_DISTANCE), 0], rel=5e-3)
