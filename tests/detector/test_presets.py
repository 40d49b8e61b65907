"""What each system of Table I is made of."""

from __future__ import annotations

import pytest
import torch
from support.small_networks import CLASSES, tiny

from lcageo.detector.presets import RECIPES, build_network
from lcageo.network_config import NetworkConfig, Preset


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
