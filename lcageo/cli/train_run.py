"""The run of `lcageo train`: what it tells before, while and after the model learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lcageo.cli import console
from lcageo.cli.progress import Bar
from lcageo.training.config import TrainConfig

if TYPE_CHECKING:
    from lcageo.training.data import TrainingData
    from lcageo.training.figures import TrainProgress
    from lcageo.training.loop import RunOptions
    from lcageo.training.validation import Validation


def run(
    config: TrainConfig,
    out: Path,
    run_options: RunOptions,
    resume: bool,
    strict: bool,
    free: set[str],
    say: console.Console,
) -> None:
    """Trains; `free`: the settings that may be fitted to --minutes."""
    from lcageo.detector.weights import pretrained_weights
    from lcageo.metrics.coco import require_coco
    from lcageo.runtime.catalog import find_card
    from lcageo.training.curves import curves_available
    from lcageo.training.data import load_training_data, seen_gsd_m
    from lcageo.training.loop import Listener, train
    from lcageo.training.outcome import class_map_hint, result_warnings
    from lcageo.training.processes import Processes

    processes = Processes.of_environment()
    first = processes.is_first
    if not first:  # of several processes only one prints
        say = console.Console(quiet=True)
    require_coco()
    if config.start_from:
        say.restriction(find_card(config.start_from))
    if config.pretrained:
        pretrained_weights(config.backbone)  # raises if they are missing, before all images are checked
    if not curves_available():
        say.note("curves.png will not be drawn; it requires matplotlib: pip install 'lcageo[train]'")
    with Bar(say, "checking images", "image") as bar:
        data = load_training_data(config, strict, bar.warn if first else lambda line: None, bar.at)
    say.note(f"{len(data.train):,} images to train on, {len(data.val):,} to validate on, {len(data.classes)} classes")
    seen = seen_gsd_m(data.train.annotations, config)
    if config.gsd_m is None and (seen is not None or config.start_from is None) and not resume:
        low, high = seen or TrainConfig.DEFAULT_GSD_M
        reason = ", as its images do" if seen else "; use --gsd MIN,MAX to change this"
        say.note(f"the model card will state that the model works at {low:.3g} to {high:.3g} m per pixel{reason}")
    if config.start_from and (hint := class_map_hint(data.classes, find_card(config.start_from))):
        say.note(hint)
    if not resume and processes.world == 1:
        config = _fitted(config, data, run_options.device, free, say)
    last: list[Validation] = []
    with Bar(say, "training", "step") as bar:

        def validated(validation: Validation) -> None:
            last.append(validation)
            _show_validation(bar, validation)

        listener = Listener(
            bar.note,
            lambda progress: _show_progress(bar, progress),
            validated,
        )
        card = train(config, data, out, run_options, resume, listener)
    if first:
        say.note(f"best at step {card.metrics['step']:,}: mAP50:95 {card.metrics.get('mAP50_95', 0):.3f}")
        for line in result_warnings(card, data.val, last[-1].evaluation if last else None):
            say.warn(line)
        console.data(str(out))


def _fitted(config: TrainConfig, data: TrainingData, device: str, free: set[str], say: console.Console) -> TrainConfig:
    """The settings, fitted to --minutes; tells how many steps there will be."""
    from lcageo.runtime.torch_backend import torch_device
    from lcageo.training.model_folder import network_config
    from lcageo.training.timing import few_steps_warning, fit_to_minutes, measured_speed, steps_per_epoch

    if config.minutes is None:
        for line in few_steps_warning(config.epochs * steps_per_epoch(len(data.train), config.batch)):
            say.warn(line)
        return config
    speed = measured_speed(config, network_config(config, len(data.classes)), torch_device(device))
    fit = fit_to_minutes(config, free, len(data.val), speed)
    say.note(fit.text())
    for line in few_steps_warning(fit.steps):
        say.warn(line)
    return fit.config


def _show_progress(bar: Bar, progress: TrainProgress) -> None:
    left = "" if progress.seconds_left == float("inf") else f", {progress.seconds_left / 60:.0f} min left"
    # A run of minutes ends by the clock: how many steps it will have is estimated from those so far.
    total = max(progress.step, round(progress.step / progress.progress)) if progress.progress > 0 else progress.step
    bar.at(
        progress.step,
        total,
        f"loss {progress.loss:.3f}, lr {progress.learning_rate:.2g}, {progress.images_per_second:.1f} images/s{left}",
    )


def _show_validation(bar: Bar, validation: Validation) -> None:
    evaluation = validation.evaluation
    best = ", the best so far" if validation.is_best else ""
    bar.note(
        f"step {validation.step:,} (epoch {validation.epoch:,}): mAP50 {evaluation.map50:.3f}, "
        f"mAP75 {evaluation.map75:.3f}, mAP50:95 {evaluation.map50_95:.3f}{best}"
    )
