"""Figures of a running training."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.steps import CONFIG, batch_of, shape_crops, state_of

from lcageo.config import Precision
from lcageo.data.dataset import CropBatches, CropDataset
from lcageo.detector.criterion import Losses
from lcageo.errors import TrainingError
from lcageo.training.figures import MAX_OVERFLOWS, Figures
from lcageo.training.log import METRICS_FILE, TrainingLog, read_metrics
from lcageo.training.loop import _step


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    return shape_crops(tmp_path_factory.mktemp("shapes"))


def losses_of(value: float) -> Losses:
    """Losses of a preset without centerness, as multiples of a number."""
    one = torch.tensor(1.0)
    return Losses(value * one, 2 * value * one, None, one, one)


def test_float16_that_keeps_overflowing_stops_the_run(crops: CropDataset, tmp_path: Path) -> None:
    state = state_of(replace(CONFIG, precision=Precision.FP16))
    losses, _ = _step(state, batch_of(crops, range(2)), 1e-3, geometric=False)
    figures = Figures(state, crops, CropBatches(2, 4), tmp_path / "checkpoint.pt")
    state.step = 1
    for _ in range(MAX_OVERFLOWS):
        figures.add(losses, torch.tensor(np.inf))
    figures.look(0.1, 0.5, None)
    figures.add(losses, torch.tensor(1.0))
    figures.add(losses, torch.tensor(np.nan))
    figures.look(0.1, 0.5, None)
    for _ in range(MAX_OVERFLOWS):
        figures.add(losses, torch.tensor(np.nan))
    with pytest.raises(TrainingError, match="the gradient's norm is nan after step 1; try --resume with a lower --lr"):
        figures.look(0.1, 0.5, None)


def test_figures_are_the_mean_since_the_last_look_and_are_logged(crops: CropDataset, tmp_path: Path) -> None:
    state = state_of(CONFIG)
    figures = Figures(state, crops, CropBatches(2, 4), tmp_path / "checkpoint.pt")
    with TrainingLog(tmp_path, tensorboard=False) as log:
        for step, value in enumerate((1.0, 2.0, 6.0), start=1):
            state.step = step
            figures.add(losses_of(value), torch.tensor(value / 2))
        seen = figures.look(0.1, 0.25, log)
        figures.add(losses_of(8.0), torch.tensor(1.0))
        again = figures.look(0.1, 0.5, log)
    assert (seen.step, seen.progress, seen.loss, seen.learning_rate) == (3, 0.25, 9.0, 0.1)
    assert again.loss == 24.0
    first, second = read_metrics(tmp_path / METRICS_FILE)
    assert [float(first[name]) for name in ("loss", "class_loss", "box_loss", "gradient_norm")] == [9.0, 3.0, 6.0, 1.5]
    assert first["centerness_loss"] == "" and float(second["loss"]) == 24.0


def test_speed_and_waiting_are_shares_of_the_time_since_the_last_look(
    crops: CropDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    state = state_of(CONFIG)
    figures = Figures(state, crops, CropBatches(2, 4), tmp_path / "checkpoint.pt")
    for _ in range(5):
        clock[0] += 2.0
        figures.waited(0.5)
        figures.add(losses_of(1.0), torch.tensor(1.0))
    seen = figures.look(0.1, 0.2, None)
    assert seen.images_per_second == pytest.approx(5 * CONFIG.batch / 10.0)
    assert seen.data_share == pytest.approx(0.25)
    assert seen.seconds_left == pytest.approx(40.0)  # a fifth took ten seconds


def test_a_loss_that_is_nan_names_the_step_the_images_and_the_last_checkpoint(
    crops: CropDataset, tmp_path: Path
) -> None:
    state = state_of(CONFIG)
    state.step = 2
    (tmp_path / "checkpoint.pt").touch()
    figures = Figures(state, crops, CropBatches(2, 4), tmp_path / "checkpoint.pt")
    figures.add(losses_of(float("nan")), torch.tensor(1.0))
    with pytest.raises(TrainingError, match=r"the loss is nan after step 2; .*last good .*checkpoint\.pt.*png"):
        figures.look(0.1, 0.5, None)
