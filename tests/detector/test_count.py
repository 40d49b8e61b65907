import pytest
import torch
from torch import nn

from lcageo.detector.count import count_params, paper_flops, true_macs
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Preset

# LCA-DET.md, section 1: derived params (M), derived FLOPs (G), true multiply-accumulates (G), printed params, FLOPs.
TABLE_ONE = {
    Preset.RETINANET: (36.499, 133.075, 132.59, 36.5, 133.1),
    Preset.FCOS: (31.882, 123.561, 123.08, 31.9, 123.6),
    Preset.LCA_BASELINE: (31.225, 117.099, 116.59, 31.2, 117.1),
    Preset.LCA_H: (31.837, 113.454, 123.44, 31.8, 113.4),
    Preset.LCA_SA: (31.225, 117.099, 116.59, 31.2, 117.1),
    Preset.LCA: (31.837, 113.454, 123.44, 31.8, 113.4),
}


def counts(preset: Preset) -> tuple[float, float, float]:
    """Params (M), the paper's FLOPs (G) and true multiply-accumulates (G) at 800x800 and 20 classes."""
    with torch.device("meta"):
        network = build_network(NetworkConfig(preset, num_classes=20))
    network.backbone.freeze(1)
    return count_params(network) / 1e6, paper_flops(network, 800, 800) / 1e9, true_macs(network, 800, 800) / 1e9


@pytest.mark.parametrize("preset", TABLE_ONE)
def test_counts_agree_with_table_one(preset):
    params, flops, macs = counts(preset)
    derived_params, derived_flops, derived_macs, printed_params, printed_flops = TABLE_ONE[preset]
    assert params == pytest.approx(derived_params, abs=0.001)
    assert flops == pytest.approx(derived_flops, abs=0.001)
    assert macs == pytest.approx(derived_macs, abs=0.005)  # two decimals are given
    assert params == pytest.approx(printed_params, abs=0.06)
    assert flops == pytest.approx(printed_flops, abs=0.06)


def test_counts_of_the_usual_baseline_agree_with_the_derived_ones():
    params, flops, _ = counts(Preset.LCA_BASELINE_4X4)
    assert params == pytest.approx(31.93, abs=0.005)
    assert flops == pytest.approx(126.50, abs=0.005)


def test_the_frozen_stem_and_stage_hold_0_2253_million():
    with torch.device("meta"):
        network = build_network(NetworkConfig(Preset.LCA, num_classes=20))
    before = count_params(network)
    network.backbone.freeze(1)
    assert before - count_params(network) == 225_344


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_the_rule_by_hand_on_a_few_layers(activation):
    class Tiny(Network):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1),
                nn.GroupNorm(1, 4),
                activation(),
                nn.MaxPool2d(2),
                nn.GroupNorm(1, 4, affine=False),
            )

        def forward(self, images):
            x = self.layers(images)
            return x.flatten(2) @ x.flatten(2).mT  # counts for true_macs alone

    positions = 6 * 8
    conv = 27 * 4 * positions
    assert paper_flops(Tiny(), 6, 8) == conv + (1 + 2 + 1 + 1) * 4 * positions
    assert true_macs(Tiny(), 6, 8) == conv + 4 * 4 * positions // 4


def test_counting_restores_mode_and_hooks():
    network = build_network(NetworkConfig(Preset.LCA, 2, "resnet18", backbone_width=16, channels=8)).train()
    paper_flops(network, 64, 64)
    assert network.training and network.backbone.bn1.training
    assert not any(module._forward_hooks for module in network.modules())
