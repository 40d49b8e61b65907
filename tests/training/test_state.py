"""A run's state: what is saved comes back, and goes on exactly as if it had not been saved."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.steps import CONFIG, batch_of, shape_crops, state_of

from lcageo.config import Precision
from lcageo.data.dataset import CropDataset
from lcageo.detector.presets import build_network
from lcageo.network_config import Preset
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.loop import _step
from lcageo.training.processes import Processes
from lcageo.training.state import TrainState


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    return shape_crops(tmp_path_factory.mktemp("shapes"))


def resumed(config: TrainConfig, saved: dict[str, Any]) -> TrainState:
    """A state of a new network, with what was saved."""
    network = build_network(config.network(2))
    state = TrainState.begin(
        config, Processes(), torch.device("cpu"), network, Preset.LCA, (0.0,) * 3, (1.0,) * 3, 2, {}, saved
    )
    state.network.train()
    return state


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint gives back, read without running code."""
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("backbone_lr", [1.0, 0.5])
@pytest.mark.parametrize("optimizer", Optimizer)
def test_a_resumed_state_takes_the_same_next_step(optimizer: Optimizer, backbone_lr: float, crops: CropDataset) -> None:
    config = replace(CONFIG, optimizer=optimizer, ema=0.9, backbone_lr=backbone_lr)
    state = state_of(config)
    _step(state, batch_of(crops, range(2)), 0.01, geometric=False)
    state.ema.update(state.network, 1)
    state.step, state.best, state.owes_validation = 1, 0.25, True
    other = resumed(config, through_a_file(state.saved()))
    assert (other.step, other.best, other.owes_validation) == (1, 0.25, True)
    assert other.elapsed >= state.seconds
    for one in (state, other):
        one.mean, one.std = state.mean, state.std
        _step(one, batch_of(crops, range(2, 4)), 0.01, geometric=False)
        one.ema.update(one.network, 2)
    for name, tensor in state.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
        assert torch.equal(state.ema.weights[name], other.ema.weights[name]), name


def test_random_numbers_continue_where_they_were(crops: CropDataset) -> None:
    state = state_of(CONFIG)
    saved = through_a_file(state.saved())
    expected = torch.rand(5)
    resumed(CONFIG, saved)
    assert torch.equal(torch.rand(5), expected)


def test_progress_is_counted_in_steps_or_in_time() -> None:
    state = state_of(replace(CONFIG, epochs=4))  # two steps each
    for step, epoch, progress in ((0, 0, 0.0), (1, 0, 0.125), (5, 2, 0.625), (8, 4, 1.0), (9, 4, 1.0)):
        state.step = step
        assert (state.epoch, state.progress()) == (epoch, progress)
    state.config = replace(CONFIG, minutes=2.0)
    for seconds, progress in ((30.0, 0.25), (500.0, 1.0)):
        state.seconds, state.step = seconds, 0
        assert state.progress() == pytest.approx(progress, abs=0.05)


def test_the_precision_of_a_run_stays_when_it_is_resumed(tmp_path: Path) -> None:
    state = state_of(replace(CONFIG, precision=Precision.BF16))
    assert state.precision is Precision.BF16 and not state.scaler.is_enabled()
    saved = through_a_file(state.saved())
    assert resumed(replace(CONFIG, precision=Precision.AUTO), saved).precision is Precision.BF16
    assert resumed(replace(CONFIG, precision=Precision.FP32), saved).precision is Precision.FP32
    changed = resumed(replace(CONFIG, precision=Precision.FP16), saved)  # its loss scale was not saved
    assert changed.precision is Precision.FP16 and changed.scaler.is_enabled()
