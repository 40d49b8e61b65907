"""Fits a run to its minutes: how many steps there will be, and crops, batch and validations that leave enough of them.

A run of minutes ends by the clock, whatever was done until then. Full-size crops in batches of sixteen are four steps
in three minutes on a CPU, which teach nothing; the same minutes are hundreds of steps with smaller crops and batches.
"""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import torch

from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig
from lcageo.plural import plural
from lcageo.training.config import TrainConfig
from lcageo.training.precision import computing_in, fastest_precision

FEW_STEPS = 200
"""Steps below which a run hardly teaches anything, told before it starts."""
WANTED_STEPS = 400
"""Steps that crops and batches are made smaller for."""
VALIDATION_SHARE = 0.1
"""Share of the minutes that validations take at most."""
MUCH_VALIDATION = 0.5
"""Share of the minutes from which validations are told to take too much."""
BATCHES = (16, 8, 4, 2)
SMALLEST_CROP = 256
"""Pixels; a crop must show objects whole, and what is around them."""
TRIAL_PX = 256
OVERHEAD = 1.3
"""A step's losses, optimiser and average take about this much of its passes, a crop's preparation included."""
VALIDATION_START_S = 2.0
"""Seconds of a validation besides its images: writing the model and reading it again."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How long parts of a run take on a device."""

    crop_s: float
    """Seconds per megapixel of crops, forward and backward."""
    image_s: float
    """Seconds per megapixel of validation images, forward only."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A run's settings, and what they leave time for."""

    config: TrainConfig
    steps: int
    validation_share: float
    """Share of the run that its validations take."""

    def text(self) -> str:
        """What to tell before the run starts."""
        config = self.config
        validations = plural(config.validations, "validation")
        return (
            f"about {plural(self.steps, 'step')} of {config.batch} crops of {config.crop_size} x {config.crop_size} "
            f"pixels fit into {config.minutes:g} minutes, with {validations} ({self.validation_share:.0%} of the time)"
        )


def steps_per_epoch(images: int, batch: int) -> int:
    """Steps per epoch: as many crops as images, rounded to whole batches."""
    return max(1, round(images / batch))


def few_steps_warning(steps: int) -> list[str]:
    """A warning if a run has too few steps to learn from, else nothing."""
    if steps >= FEW_STEPS:
        return []
    return [
        f"{steps:,} steps are few: below about {FEW_STEPS} a model hardly learns; give more --minutes or --epochs, or "
        "a smaller --batch or --crop"
    ]


def fit_to_minutes(config: TrainConfig, free: Set[str], val_images: int, speed: Speed) -> Fit:
    """The settings with those that are free chosen so that enough steps fit, and how many that are.

    The first of the choices that leaves WANTED_STEPS is taken: batches become smaller before crops do, down to the
    smallest; if none does, the one with the most steps.

    Args:
        config: a run of minutes.
        free: names of the settings that may change, of `config.FITTED`.
        val_images: number of images that are validated on.
        speed: of the device.
    """
    assert config.minutes is not None, "only runs of minutes are fitted"
    seconds = 60 * config.minutes
    one_validation = VALIDATION_START_S + speed.image_s * val_images * config.imgsz**2 / 1e6
    if "validations" in free:
        fitting = int(VALIDATION_SHARE * seconds / one_validation)
        config = replace(config, validations=max(1, min(config.validations, fitting)))
    share = min(1.0, config.validations * one_validation / seconds)

    def seconds_of(one: TrainConfig) -> float:
        return OVERHEAD * speed.crop_s * one.batch * one.crop_size**2 / 1e6

    def steps_of(one: TrainConfig) -> int:
        return max(1, round(seconds * (1 - share) / seconds_of(one)))

    crops, batches = _crops(config, free), _batches(config, free)
    choices = [replace(config, crop=crop, batch=batch) for crop in crops for batch in batches]
    chosen = next((one for one in choices if steps_of(one) >= WANTED_STEPS), min(choices, key=seconds_of))
    return Fit(chosen, steps_of(chosen), share)


def _crops(config: TrainConfig, free: Set[str]) -> Sequence[int | None]:
    half = max(SMALLEST_CROP, config.imgsz // 2 // 32 * 32)
    return (config.crop, half) if "crop" in free and half < config.crop_size else (config.crop,)


def _batches(config: TrainConfig, free: Set[str]) -> Sequence[int]:
    if "batch" not in free or config.accumulate > 1:
        return (config.batch,)
    return (config.batch, *(size for size in BATCHES if size < config.batch))


def measured_speed(config: TrainConfig, network: NetworkConfig, device: torch.device) -> Speed:
    """Measures a network of a run on a device, in seconds, with the stages frozen that the run freezes.

    Args:
        config: the run.
        network: its network.
        device: where it runs.
    """
    model = build_network(network).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.frozen_stages is not None:
        model.backbone.freeze(config.frozen_stages)
    images = torch.zeros(1, 3, TRIAL_PX, TRIAL_PX, device=device).contiguous(memory_format=torch.channels_last)
    precision = fastest_precision(model, images) if config.precision == "auto" else config.precision

    def passes(learns: bool) -> float:
        started = time.perf_counter()
        with computing_in(precision, device), torch.set_grad_enabled(learns):
            outputs = model(images)
        if learns:
            torch.autograd.backward([output.class_logits.mean() + output.regression.mean() for output in outputs])
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    model.train()
    trained = [passes(learns=True) for _ in range(3)]
    model.eval()
    seen = [passes(learns=False) for _ in range(3)]
    megapixels = TRIAL_PX**2 / 1e6
    return Speed(min(trained[1:]) / megapixels, min(seen[1:]) / megapixels)  # the first run prepares kernels
