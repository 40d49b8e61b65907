from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from narrow_model import GROUP, narrowed, sets_of
from torch import Tensor

from lcageo.detector.presets import build_network
from lcageo.errors import UsageError
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import ModelCard, find_card

WIDE, NARROW = 32, 24


def wide_model(folder: Path, preset: Preset = Preset.LCA) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and random weights of a model with WIDE channels."""
    torch.manual_seed(3)
    config = NetworkConfig(preset, 10, "efficientnet_lite0", channels=WIDE, head_convs=3)
    weights = {name: tensor.clone() for name, tensor in build_network(config).state_dict().items()}
    for name, tensor in weights.items():
        if not name.startswith("backbone.") and tensor.is_floating_point():
            tensor.add_(torch.randn(tensor.shape) * 0.05)
    return replace(find_card("lca-s"), network=config, weights=folder / "wide.safetensors"), weights


def silence(weights: dict[str, Tensor]) -> None:
    """Takes everything from a group of channels in each set, so that a network does as well without it."""
    group, hidden = slice(8, 16), slice(0, None, 4)
    for name, tensor in weights.items():
        if name in ("head.class_task.weight", "head.box_task.weight"):  # (made, features, used)
            tensor[group] = 0.0
            tensor[:, :, group] = 0.0
            continue
        for axis, channels in enumerate(sets_of(name)):
            if channels is None or tensor.ndim <= axis:
                continue
            is_hidden = "squeezed" in channels or channels in ("probability", "offsets")
            for start in range(0, tensor.shape[axis], WIDE) if channels == "stack" else [0]:
                tensor.transpose(0, axis)[start:][hidden if is_hidden else group] = 0.0


def outputs(config: NetworkConfig, weights: dict[str, Tensor]) -> list[Tensor]:
    network = build_network(config).eval()
    network.load_state_dict(weights)
    with torch.no_grad():
        levels = network(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    return [value for level in levels for value in level if isinstance(value, Tensor)]


def test_channels_that_carry_nothing_go_and_change_nothing(tmp_path: Path) -> None:
    card, weights = wide_model(tmp_path)
    silence(weights)
    safetensors.torch.save_file(weights, card.weights)
    narrow, fewer = narrowed(card, NARROW)
    assert narrow.own_network == replace(card.own_network, channels=NARROW)
    assert all(torch.equal(weights[name], fewer[name]) for name in weights if name.startswith("backbone."))
    before, after = outputs(card.own_network, weights), outputs(narrow.own_network, fewer)
    # Normalisation is over groups, and pooling over positions: no value depends on a group that is gone.
    assert len(before) == len(after) > 0 and any(one.abs().max() > 0.1 for one in before)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


def test_what_carries_something_is_kept_whole_groups_at_a_time(tmp_path: Path) -> None:
    card, weights = wide_model(tmp_path)
    weights["head.tower.0.1.weight"][:GROUP] = 9.0
    safetensors.torch.save_file(weights, card.weights)
    _, fewer = narrowed(card, GROUP)
    assert torch.equal(fewer["head.tower.0.1.weight"], weights["head.tower.0.1.weight"][:GROUP])


@pytest.mark.parametrize(("preset", "channels"), [(Preset.FCOS, 24), (Preset.LCA, 20), (Preset.LCA, 40)])
def test_other_models_and_numbers_are_refused(tmp_path: Path, preset: Preset, channels: int) -> None:
    card, weights = wide_model(tmp_path, preset)
    safetensors.torch.save_file(weights, card.weights)
    with pytest.raises(UsageError, match="is not an lca model of more than"):
        narrowed(card, channels)
