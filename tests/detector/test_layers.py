from __future__ import annotations

import pytest
import torch
from torch import nn

from lcageo.detector.layers import FrozenBatchNorm2d, fold_batch_norm
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset


@pytest.mark.parametrize("norm", [Norm.BN, Norm.FROZEN_BN])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_a_folded_network_has_no_batch_norm_and_predicts_the_same(backbone: str, norm: Norm) -> None:
    torch.manual_seed(0)
    network = build_network(NetworkConfig(Preset.LCA, 3, backbone, 16, 32, norm=norm)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        before = network.predict(images)
    fold_batch_norm(network)
    with torch.inference_mode():
        after = network.predict(images)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert torch.allclose(before.scores, after.scores, atol=1e-5)
    assert torch.allclose(before.boxes_xyxy, after.boxes_xyxy, atol=1e-2)


def test_frozen_norm_equals_batch_norm_in_evaluation_mode_and_shares_its_state() -> None:
    plain, frozen = nn.BatchNorm2d(4), FrozenBatchNorm2d(4)
    for tensor in (plain.weight, plain.bias, plain.running_mean, plain.running_var):
        nn.init.uniform_(tensor, 0.5, 2)
    frozen.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(frozen.train()(x), plain.eval()(x))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
