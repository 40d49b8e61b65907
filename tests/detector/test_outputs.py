"""What a network gives, in shapes."""

from __future__ import annotations

import pytest
import torch
from support.small_networks import CLASSES, GATED, tiny

from lcageo.network_config import Preset


def level_sides(height: int, width: int) -> list[tuple[int, int]]:
    return [(-(-height // 2**k), -(-width // 2**k)) for k in range(3, 8)]


@pytest.mark.parametrize("height, width", [(640, 640), (800, 800), (1333, 800)])
@pytest.mark.parametrize("preset", Preset)
@torch.inference_mode()
def test_outputs_and_predictions_have_the_shapes_they_document(preset, height, width):
    network, images = tiny(preset), torch.randn(1, 3, height, width)
    per_cell = 9 if preset is Preset.RETINANET else 1
    sides = level_sides(height, width)
    for output, side in zip(network(images), sides, strict=True):
        assert output.class_logits.shape == (1, per_cell * CLASSES, *side)
        assert output.regression.shape == (1, per_cell * 4, *side)
        assert (output.gate_logits is not None) == (preset in GATED)
        assert (output.offsets is not None) == (preset in {Preset.LCA, Preset.LCA_H})
    predictions = network.predict(images)
    assert predictions.level_sizes == tuple(h * w * per_cell for h, w in sides)
    assert predictions.scores.shape == (1, sum(predictions.level_sizes), CLASSES)
    assert predictions.boxes_xyxy.shape == (1, sum(predictions.level_sizes), 4)
    assert predictions.scores.min() >= 0 and predictions.scores.max() <= 1
    assert (predictions.boxes_xyxy >= 0).all()
    assert (predictions.boxes_xyxy <= torch.tensor([width, height, width, height])).all()
