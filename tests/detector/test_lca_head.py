"""The head of LCA-Det."""

from __future__ import annotations

import pytest
import torch
from support.small_networks import CLASSES, tiny

from lcageo.detector.align import align_boxes
from lcageo.detector.boxes import decode_distances, flatten_map
from lcageo.network_config import Preset


@pytest.mark.parametrize("preset", [Preset.LCA, Preset.LCA_H])
def test_only_attention_and_offsets_start_ten_times_smaller(preset):
    head = tiny(preset, channels=128).head
    small = {"class_task.squeeze", "class_task.excite", "box_task.squeeze", "box_task.excite", "offsets.reduce"}
    for name, parameter in head.named_parameters():
        layer = name.removesuffix(".weight")
        if parameter.ndim > 2:
            std = 0.001 if layer in small | {"offsets.predict"} else 0.01
            assert parameter.std().item() == pytest.approx(std, rel=0.25), name  # the smallest layer has 96 values


@torch.inference_mode()
def test_lca_predicts_the_aligned_scores_and_boxes_of_its_raw_maps():
    network, images = tiny(Preset.LCA), torch.randn(1, 3, 128, 192)
    torch.nn.init.normal_(network.head.offsets.predict.weight, std=3)
    outputs, decoded = network(images), network.decode(network(images))
    first = outputs[0]
    scores = (first.class_logits.sigmoid() * first.gate_logits.sigmoid()).sqrt()
    boxes = align_boxes(decode_distances(first.regression, 8), first.offsets)
    size = decoded.level_sizes[0]
    torch.testing.assert_close(decoded.scores[:, :size], flatten_map(scores, CLASSES))
    torch.testing.assert_close(decoded.boxes_xyxy[:, :size], flatten_map(boxes, 4))
    assert not torch.equal(decoded.boxes_xyxy[:, :size], flatten_map(decode_distances(first.regression, 8), 4))
