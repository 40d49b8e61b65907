"""What fits into the minutes of a run."""

from __future__ import annotations

import pytest
import torch

from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.training.config import FITTED, TrainConfig
from lcageo.training.timing import (
    FEW_STEPS,
    MUCH_VALIDATION,
    OVERHEAD,
    VALIDATION_SHARE,
    WANTED_STEPS,
    Speed,
    few_steps_warning,
    fit_to_minutes,
    measured_speed,
)

SLOW, FAST = Speed(2.5, 0.7), Speed(0.01, 0.003)
"""About two CPU cores with lca-s, and a GPU."""


@pytest.mark.parametrize("minutes", [1.0, 3.0, 10.0, 60.0])
@pytest.mark.parametrize("val_images", [3, 40, 2000])
@pytest.mark.parametrize("speed", [SLOW, FAST])
def test_the_parts_of_a_run_add_up_to_its_minutes(minutes: float, val_images: int, speed: Speed) -> None:
    config = TrainConfig(minutes=minutes, imgsz=640)
    fit = fit_to_minutes(config, FITTED, val_images, speed)
    one, chosen = 2.0 + speed.image_s * val_images * 0.64**2, fit.config
    step_s = OVERHEAD * speed.crop_s * chosen.batch * (chosen.crop_size / 1000) ** 2
    if chosen.validations * one < 60 * minutes:
        assert chosen.validations * one + fit.steps * step_s == pytest.approx(60 * minutes, abs=step_s)
    assert fit.validation_share <= VALIDATION_SHARE or chosen.validations == 1
    assert 1 <= chosen.validations <= config.validations


def test_three_minutes_on_a_cpu_become_hundreds_of_steps() -> None:
    config = TrainConfig(minutes=3.0, imgsz=640)
    as_it_was = fit_to_minutes(config, frozenset(), 30, SLOW)
    assert as_it_was.config == config and as_it_was.steps < 10 and few_steps_warning(as_it_was.steps)
    fit = fit_to_minutes(config, FITTED, 30, SLOW)
    assert fit.steps >= FEW_STEPS and not few_steps_warning(fit.steps)
    assert (fit.config.crop_size, fit.config.batch) == (320, 2) and fit.config.imgsz == 640
    assert fit.text().startswith(f"about {fit.steps:,} steps of 2 crops of 320 x 320 pixels fit into 3 minutes, with ")


def test_nothing_is_changed_where_enough_steps_fit_or_the_user_decided() -> None:
    config = TrainConfig(minutes=60.0, imgsz=640)
    roomy = fit_to_minutes(config, FITTED, 30, FAST)
    assert roomy.config == config and roomy.steps > WANTED_STEPS
    given = fit_to_minutes(TrainConfig(minutes=3.0, imgsz=640, batch=8), FITTED - {"batch"}, 30, SLOW)
    assert given.config.batch == 8 and given.config.crop_size == 320
    parts = fit_to_minutes(TrainConfig(minutes=3.0, batch=16, accumulate=16), FITTED, 30, SLOW)
    assert parts.config.batch == 16  # a smaller one would not have sixteen parts


def test_batches_become_smaller_before_crops_do() -> None:
    fit = fit_to_minutes(TrainConfig(minutes=30.0, imgsz=640), FITTED, 10, SLOW)
    assert (fit.config.crop_size, fit.config.batch) == (640, 2) and fit.steps >= WANTED_STEPS


def test_a_network_is_measured() -> None:
    network = NetworkConfig(Preset.LCA, 1, "resnet18", 16, 16, 1, Norm.GN)
    speed = measured_speed(TrainConfig(minutes=1.0), network, torch.device("cpu"))
    assert 0 < speed.image_s < speed.crop_s


@pytest.mark.parametrize("val_images", [800, 1200, 100_000])
def test_where_validation_fills_the_minutes_steps_are_the_smallest(val_images: int) -> None:
    config = TrainConfig(minutes=5, imgsz=640)
    fit = fit_to_minutes(config, {"batch", "crop", "validations"}, val_images, Speed(crop_s=1.2, image_s=0.75))
    assert (fit.config.batch, fit.config.crop_size, fit.config.validations) == (2, 320, 1)
    assert fit.validation_share > MUCH_VALIDATION
