from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

from lcageo.errors import ConfigError
from lcageo.network_config import BACKBONES, DEFAULT_WIDTH, STRIDES, NetworkConfig, Norm, Preset


@pytest.mark.parametrize(
    "settings", [{"num_classes": 0}, {"backbone": "vgg"}, {"backbone_width": 7}, {"channels": 4}, {"head_convs": 0}]
)
def test_network_config_names_the_setting(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NetworkConfig(**{"preset": Preset.LCA, "num_classes": 2, **settings})


@pytest.mark.parametrize("settings", [{"backbone_width": 32}, {"norm": Norm.GN}])
def test_a_family_with_one_width_or_norm_refuses_others(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "plain", replace(BACKBONES["resnet50"], widths=None, norms=(Norm.BN,)))
    assert NetworkConfig(Preset.LCA, 2, "plain").backbone == "plain"
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NetworkConfig(Preset.LCA, 2, "plain", **settings)


def test_whole_numbers_only() -> None:
    with pytest.raises(ConfigError, match="must be whole numbers"):
        NetworkConfig(Preset.LCA, num_classes=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_where_its_entry_says_and_takes_what_presets_use(name: str) -> None:
    family = BACKBONES[name]
    module, _, builder = family.home.partition(":")
    assert callable(getattr(import_module(module), builder))
    assert {Norm.BN, Norm.FROZEN_BN} <= set(family.norms) and family.has_width(DEFAULT_WIDTH)
    assert 0 <= family.stages_frozen <= family.stages and min(family.std) > 0


def test_each_level_is_half_as_fine_as_the_one_below() -> None:
    assert [coarse / fine for fine, coarse in pairwise(STRIDES)] == [2] * 4
