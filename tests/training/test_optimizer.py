from __future__ import annotations

import pytest
import torch
from torch import nn

from lcageo.train_config import Optimizer, TrainConfig
from lcageo.training.optimizer import build_optimizer, set_learning_rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


@pytest.mark.parametrize("kind", Optimizer)
def test_biases_and_norms_do_not_decay(kind: Optimizer) -> None:
    model = network()
    optimizer = build_optimizer(model, TrainConfig(optimizer=kind, weight_decay=0.1))
    decaying = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.1 for p in group["params"]}
    assert decaying == {id(model[0].weight), id(model[2].weight)}


def test_frozen_parameters_are_left_out_and_all_others_are_in_once() -> None:
    model = network()
    model[0].requires_grad_(False)
    optimizer = build_optimizer(model, TrainConfig())
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_sgd_steps_as_its_formula_says() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    optimizer = build_optimizer(model, TrainConfig(optimizer=Optimizer.SGD, weight_decay=0.5))
    set_learning_rate(optimizer, 0.1)
    velocity, weight = 0.0, 2.0
    for _ in range(3):
        model.weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        velocity = 0.9 * velocity + 1.0 + 0.5 * weight
        weight -= 0.1 * velocity
        assert model.weight.item() == pytest.approx(weight)
