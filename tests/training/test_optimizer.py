from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.training.config import Optimizer, Schedule, TrainConfig
from lcageo.training.optimizer import Ema, build_optimizers, learning_rate_factor, set_learning_rate


class Parts(nn.Module):
    """A network as optimisers know it: a backbone, and the rest."""

    def __init__(self, backbone: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        self.backbone, self.rest = backbone, rest


def network() -> Any:
    torch.manual_seed(0)
    return Parts(nn.Sequential(nn.Conv2d(4, 32, 3), nn.BatchNorm2d(32)), nn.Conv2d(32, 2, 1))


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
    assert decaying == {id(model.backbone[0].weight), id(model.rest.weight)}


@pytest.mark.parametrize("backbone_lr", [1.0, 0.5])
@pytest.mark.parametrize("frozen", [1, 2])
@pytest.mark.parametrize("kind", Optimizer)
def test_frozen_parameters_are_left_out_and_all_others_are_in_once(
    kind: Optimizer, frozen: int, backbone_lr: float
) -> None:
    model, config = network(), TrainConfig(optimizer=kind, backbone_lr=backbone_lr)
    for layer in model.backbone[:frozen]:
        layer.requires_grad_(False)
    optimizers = build_optimizers(model, config)
    held = [id(p) for group in groups(optimizers) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    for optimizer in optimizers:  # also with a backbone that is frozen as a whole
        optimizer.step()


@pytest.mark.parametrize("kind", Optimizer)
def test_the_backbone_has_its_share_of_every_learning_rate(kind: Optimizer) -> None:
    model = network()
    optimizers = build_optimizers(model, TrainConfig(optimizer=kind, backbone_lr=0.25, weight_decay=0.1))
    of_backbone = {id(p) for p in model.backbone.parameters()}
    for lr in (0.4, 0.2):
        set_learning_rate(optimizers, lr)
        for group in groups(optimizers):
            for parameter in group["params"]:
                assert group["lr"] == pytest.approx(lr / 4 if id(parameter) in of_backbone else lr)
                assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0)
    assert {id(p) for group in groups(optimizers) for p in group["params"]} == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("kind", Optimizer)
def test_a_share_of_one_leaves_the_groups_as_they_always_were(kind: Optimizer) -> None:
    optimizers = build_optimizers(network(), TrainConfig(optimizer=kind))
    assert [len(optimizer.param_groups) for optimizer in optimizers] == ([2, 1] if kind is Optimizer.MUON else [2])
    assert not any("lr_share" in group for group in groups(optimizers))


def test_a_step_changes_the_backbone_by_its_share() -> None:
    model = network()
    optimizers = build_optimizers(model, TrainConfig(optimizer=Optimizer.SGD, backbone_lr=0.5, weight_decay=0.0))
    set_learning_rate(optimizers, 0.1)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers[0].step()
    for name, parameter in model.named_parameters():
        expected = torch.full_like(parameter, 0.05 if name.startswith("backbone") else 0.1)
        torch.testing.assert_close(before[name] - parameter.detach(), expected)


def test_sgd_steps_as_its_formula_says() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    parts: Any = Parts(nn.Identity(), model)
    (optimizer,) = build_optimizers(parts, TrainConfig(optimizer=Optimizer.SGD, weight_decay=0.5))
    set_learning_rate([optimizer], 0.1)
    velocity, weight = 0.0, 2.0
    for _ in range(3):
        model.weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        velocity = 0.9 * velocity + 1.0 + 0.5 * weight
        weight -= 0.1 * velocity
        assert model.weight.item() == pytest.approx(weight)


def test_the_average_follows_its_recurrence_and_counters_are_copied() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(0.0)
    ema, mean = Ema(model, 0.9), 0.0
    for step in range(1, 200):
        with torch.no_grad():
            model[0].weight.fill_(float(step))
            model[1].num_batches_tracked.fill_(step)
        ema.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * step
    assert ema.weights["0.weight"].item() == pytest.approx(mean, rel=1e-5)
    assert ema.weights["1.num_batches_tracked"].item() == 199


def test_without_averaging_the_last_weights_count() -> None:
    model = nn.Linear(2, 2)
    ema = Ema(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1.0)
    ema.update(model, 1)
    assert torch.equal(ema.weights["weight"], model.weight)


def test_it_continues_from_saved_weights() -> None:
    model = nn.Linear(2, 2)
    ema, other = Ema(model, 0.99), Ema(nn.Linear(2, 2), 0.99)
    other.load(ema.weights)
    assert all(torch.equal(other.weights[name], ema.weights[name]) for name in ema.weights)
    with torch.no_grad():
        model.weight.add_(1.0)
    assert not torch.equal(ema.weights["weight"], model.weight)  # it holds copies


def test_warmup_rises_evenly_to_the_full_rate() -> None:
    factors = [learning_rate_factor(Schedule.STEP, 4, step, step / 1000) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1]


def test_warmup_takes_no_more_than_a_tenth_of_a_short_run() -> None:
    assert learning_rate_factor(Schedule.STEP, 300, 10, 0.1) == 1


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (7, 1), (8, 0.1), (10, 0.1), (11, 0.01)])
def test_steps_fall_at_the_ninth_and_twelfth_epoch(epoch: int, factor: float) -> None:
    assert learning_rate_factor(Schedule.STEP, 0, epoch * 100, epoch / 12) == pytest.approx(factor)


def test_cosine_ends_at_a_hundredth_and_is_halfway_in_the_middle() -> None:
    at = [learning_rate_factor(Schedule.COSINE, 0, 0, progress) for progress in (0.0, 0.5, 1.0)]
    assert at == pytest.approx([1, 0.505, 0.01])


@given(st.sampled_from(list(Schedule)), st.integers(0, 500), st.integers(0, 10**6), st.floats(0, 1))
def test_the_rate_depends_on_the_position_and_never_leaves_its_range(
    schedule: Schedule, warmup: int, step: int, progress: float
) -> None:
    factor = learning_rate_factor(schedule, warmup, step, progress)
    assert 0 < factor <= 1 and math.isfinite(factor)
