"""The heads of the comparison systems."""

from __future__ import annotations

import pytest
import torch
from support.small_networks import CLASSES, GATED, tiny

from lcageo.detector.boxes import flatten_map
from lcageo.network_config import Norm, Preset

SCORED_BY_CLASS = sorted(set(Preset) - GATED)


@pytest.mark.parametrize("preset", [Preset.LCA, Preset.LCA_H, *SCORED_BY_CLASS])
@torch.inference_mode()
def test_scores_start_at_0_01(preset):
    network = tiny(preset, norm=Norm.GN, channels=64)
    scores = network.predict(torch.randn(2, 3, 128, 128)).scores
    assert scores.mean().item() == pytest.approx(0.01, abs=0.002)
    assert scores.min() > 0.004 and scores.max() < 0.025


@torch.inference_mode()
def test_fcos_scores_are_geometric_means_of_class_and_centerness():
    network, images = tiny(Preset.FCOS), torch.randn(1, 3, 64, 64)
    level = network(images)[0]
    expected = (level.class_logits.sigmoid() * level.gate_logits.sigmoid()).sqrt()
    torch.testing.assert_close(network.predict(images).scores[:, :64], flatten_map(expected, CLASSES))


def test_extreme_regressions_stay_finite():
    network = tiny(Preset.LCA)
    torch.nn.init.constant_(network.head.log_distances.bias, 1e4)
    torch.nn.init.constant_(network.head.offsets.predict.bias, 1e30)
    assert network.decode(network(torch.randn(1, 3, 64, 64))).boxes_xyxy.isfinite().all()
