"""Presets: which parts each system is built from."""

from __future__ import annotations

import pytest
import torch

from lcageo.detector.layers import FrozenBatchNorm2d
from lcageo.detector.network import Network
from lcageo.detector.presets import RECIPES, build_network
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3


def tiny(preset: Preset, norm: Norm | None = None, **settings: int) -> Network:
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            preset, CLASSES, "resnet18", backbone_width=16, channels=settings.pop("channels", 16), norm=norm, **settings
        )
    ).eval()


def test_every_preset_has_a_recipe():
    assert set(RECIPES) == set(Preset)


@pytest.mark.parametrize("preset", Preset)
def test_head_convs_and_channels_are_settings(preset):
    network = tiny(preset, channels=24, head_convs=2)
    tower = network.head.tower if preset in {Preset.LCA, Preset.LCA_H} else network.head.box_branch.convs
    assert len(tower) == 2 and tower[0][0].out_channels == 24


def test_group_norm_has_32_groups_at_the_papers_width():
    with torch.device("meta"):
        network = build_network(NetworkConfig(Preset.LCA, CLASSES))
    assert network.head.tower[0][1].num_groups == 32
    assert len(network.head.tower) == 6


def test_presets_with_equal_rows_build_equal_networks():
    for one, other in ((Preset.LCA_H, Preset.LCA), (Preset.LCA_BASELINE, Preset.LCA_SA)):
        first, second = tiny(one).state_dict(), tiny(other).state_dict()
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    names = {preset: frozenset(tiny(preset).state_dict()) for preset in Preset}
    assert len(set(names.values())) == len(Preset) - 2


@pytest.mark.parametrize("preset", Preset)
def test_a_recipe_decides_the_norm_unless_the_configuration_does(preset):
    frozen = preset is Preset.FCOS
    assert any(isinstance(one, FrozenBatchNorm2d) for one in tiny(preset).backbone.modules()) == frozen
    assert not any(isinstance(one, FrozenBatchNorm2d) for one in tiny(preset, norm=Norm.GN).backbone.modules())
