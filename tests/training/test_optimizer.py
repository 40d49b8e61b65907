from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.optimizer import build_optimizers, set_learning_rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 32, 3), nn.BatchNorm2d(32), nn.Conv2d(32, 2, 1))


def groups(optimizers: list[torch.optim.Optimizer]) -> list[dict[str, Any]]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


OUTPUTS = {
    Preset.RETINANET: ("class_logits", "deltas"),
    Preset.FCOS: ("class_logits", "centerness", "log_distances"),
    Preset.LCA_BASELINE: ("class_logits", "log_distances"),
    Preset.LCA_BASELINE_4X4: ("class_logits", "log_distances"),
    Preset.LCA_H: ("class_logits", "log_distances", "probability.predict", "offsets.predict"),
    Preset.LCA_SA: ("class_logits", "log_distances"),
    Preset.LCA: ("class_logits", "log_distances", "probability.predict", "offsets.predict"),
}


@pytest.mark.parametrize("preset", Preset)
def test_muon_takes_the_weights_of_hidden_layers_and_adamw_the_rest(preset: Preset) -> None:
    model = build_network(NetworkConfig(preset, 40, "resnet18", 16, 16, norm=Norm.BN))
    adamw, muon = build_optimizers(model, TrainConfig(optimizer=Optimizer.MUON))
    assert isinstance(adamw, torch.optim.AdamW)
    taken = {id(p) for p in muon.param_groups[0]["params"]}
    left = {name for name, p in model.named_parameters() if id(p) not in taken and p.ndim > 1}
    assert left == {f"head.{name}.weight" for name in OUTPUTS[preset]}
    assert not any(id(p) in taken for p in model.parameters() if p.ndim < 2)


@pytest.mark.parametrize("kind", Optimizer)
def test_biases_and_norms_do_not_decay(kind: Optimizer) -> None:
    model = network()
    optimizers = build_optimizers(model, TrainConfig(optimizer=kind, weight_decay=0.1))
    decaying = {id(p) for group in groups(optimizers) if group["weight_decay"] == 0.1 for p in group["params"]}
    assert decaying == {id(model[0].weight), id(model[2].weight)}


@pytest.mark.parametrize("kind", Optimizer)
def test_frozen_parameters_are_left_out_and_all_others_are_in_once(kind: Optimizer) -> None:
    model = network()
    model[0].requires_grad_(False)
    held = [id(p) for group in groups(build_optimizers(model, TrainConfig(optimizer=kind))) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_sgd_steps_as_its_formula_says() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    (optimizer,) = build_optimizers(model, TrainConfig(optimizer=Optimizer.SGD, weight_decay=0.5))
    set_learning_rate([optimizer], 0.1)
    velocity, weight = 0.0, 2.0
    for _ in range(3):
        model.weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        velocity = 0.9 * velocity + 1.0 + 0.5 * weight
        weight -= 0.1 * velocity
        assert model.weight.item() == pytest.approx(weight)
