"""lcageo train: trains a model on labelled images and writes a model folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lcageo.cli import console, options, train_options
from lcageo.cli.progress import Bar
from lcageo.cli.train_options import DEFAULTS, Cache
from lcageo.errors import UsageError
from lcageo.extras import require
from lcageo.network_config import NetworkConfig
from lcageo.training.config import RECIPE_FILE, TrainConfig, read_recipe

if TYPE_CHECKING:
    from lcageo.training.figures import TrainProgress
    from lcageo.training.loop import RunOptions
    from lcageo.training.validation import Validation

_SETTINGS = {entry.name for entry in fields(TrainConfig)}
_NETWORK = [entry.name for entry in fields(NetworkConfig) if entry.name in _SETTINGS]
MAY_CHANGE = ("epochs", "minutes", "validations", "lr", "clip", "precision")
"""Settings that may change on --resume: the run's length, how often it validates, and what fixes a diverged run."""


def train(
    context: typer.Context,
    out: train_options.Out,
    data: train_options.Data = None,
    val: train_options.Val = None,
    split: train_options.Split = None,
    classes: train_options.Classes = "",
    class_map: options.ClassMap = None,
    strict: options.Strict = False,
    recipe: train_options.Recipe = None,
    start_from: train_options.StartFrom = None,
    resume: train_options.Resume = False,
    preset: train_options.PresetChoice = None,
    backbone: train_options.Backbone = None,
    backbone_width: train_options.BackboneWidth = None,
    channels: train_options.Channels = None,
    head_convs: train_options.HeadConvs = None,
    norm: train_options.NormChoice = None,
    backbone_weights: train_options.BackboneWeights = None,
    pretrained: train_options.Pretrained = None,
    freeze: train_options.Freeze = None,
    imgsz: train_options.Imgsz = None,
    native: train_options.Native = None,
    crop: train_options.Crop = None,
    scale: train_options.Scale = None,
    mosaic: train_options.Mosaic = None,
    turns: train_options.Turns = None,
    colour: train_options.Colour = None,
    background: train_options.Background = None,
    class_balance: train_options.ClassBalance = None,
    epochs: train_options.Epochs = None,
    minutes: train_options.Minutes = None,
    batch: train_options.Batch = None,
    accumulate: train_options.Accumulate = None,
    optimizer: train_options.OptimizerChoice = None,
    lr: train_options.Lr = None,
    backbone_lr: train_options.BackboneLr = None,
    weight_decay: train_options.WeightDecay = None,
    schedule: train_options.ScheduleChoice = None,
    warmup: train_options.Warmup = None,
    clip: train_options.Clip = None,
    ema: train_options.Ema = None,
    geometric_warmup: train_options.GeometricWarmup = None,
    precision: train_options.PrecisionChoice = None,
    compile_: train_options.Compile = False,
    seed: train_options.Seed = None,
    validations: train_options.Validations = None,
    gsd_m: train_options.GsdM = None,
    licence: train_options.Licence = None,
    restriction: train_options.Restriction = None,
    device: options.Device = "auto",
    workers: train_options.Workers = None,
    cache: train_options.CacheChoice = Cache.NONE,
    tensorboard: train_options.Tensorboard = False,
    checkpoint_minutes: train_options.CheckpointMinutes = 5.0,
    overwrite: train_options.Overwrite = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Trains a detector on labelled images; `lcageo detect --model FOLDER` takes the result.

    Examples:

        lcageo train --data DIOR --preset lca --backbone resnet50 --imgsz 800 --epochs 12 --out runs/dior
        lcageo train --data chips/train.json --val chips/val.json --from lca-s --imgsz 640 --minutes 30 --out runs/own2
    """
    parsed = {
        "classes": options.split_names(classes),
        "scale": options.parse_pair(scale, "--scale"),
        "gsd_m": options.parse_pair(gsd_m, "--gsd"),
        "compile": compile_ or None,
    }
    given = {name: value for name, value in context.params.items() if name in _SETTINGS} | parsed
    changes = {name: value for name, value in given.items() if value not in (None, (), [])}
    config = _resumed(out, changes) if resume else _fresh(out, recipe, changes, overwrite)
    require("training", "train", "torch")
    from lcageo.training.loop import (
        RunOptions,
    )  # imports torch, which takes seconds: after the settings have been checked

    run_options = RunOptions(device, workers, cache is Cache.RAM, tensorboard, checkpoint_minutes)
    _run(config, out, run_options, resume, strict, console.Console(quiet))


def _fresh(out: Path, recipe: Path | None, changes: dict[str, Any], overwrite: bool) -> TrainConfig:
    """The settings of a new run."""
    from lcageo.training.model_folder import holds_run

    if holds_run(out) and not overwrite:
        raise UsageError(f"'{out}' holds a run; resume it (--resume), replace it (--overwrite) or choose another --out")
    if "epochs" in changes and "minutes" in changes:
        raise UsageError("--epochs and --minutes cannot be combined; give one")
    config = (read_recipe(recipe) if recipe else DEFAULTS).changed(changes)
    return config if config.start_from is None else _fine_tuned(config, config.start_from, changes, out)


def _fine_tuned(config: TrainConfig, start_from: str, changes: dict[str, Any], out: Path) -> TrainConfig:
    """The settings with the network and, unless --imgsz is given, the tile size of the model to start from."""
    from lcageo.runtime.catalog import find_card

    card = find_card(start_from)
    if card.weights.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"'{out}' holds the model to start from (--from); choose another --out")
    own = {name: getattr(card.network, name) for name in _NETWORK}
    for name in own.keys() & changes.keys():
        if getattr(config, name) != own[name]:
            raise UsageError(f"model '{card.name}' has {name} = {own[name]}; leave out {name} to fine-tune it (--from)")
    return config.changed(own if "imgsz" in changes else {**own, "imgsz": card.tile_size})


def _resumed(out: Path, changes: dict[str, Any]) -> TrainConfig:
    """The settings of the run in `out` with the changes, of which only MAY_CHANGE are allowed."""
    if not (out / RECIPE_FILE).exists():
        raise UsageError(f"'{out}' holds no run to resume; leave out --resume")
    before = read_recipe(out / RECIPE_FILE)
    after = before.changed(changes)
    for name in changes:
        if name not in MAY_CHANGE and getattr(before, name) != getattr(after, name):
            had = "its default" if getattr(before, name) is None else repr(getattr(before, name))
            raise UsageError(
                f"the run in '{out}' has {name} = {had}, not {getattr(after, name)!r}; only {', '.join(MAY_CHANGE)} "
                "may change on --resume"
            )
    return after


def _run(
    config: TrainConfig, out: Path, run_options: RunOptions, resume: bool, strict: bool, say: console.Console
) -> None:
    from lcageo.detector.weights import pretrained_weights
    from lcageo.metrics.coco import require_coco
    from lcageo.runtime.catalog import find_card
    from lcageo.training.curves import curves_available
    from lcageo.training.data import load_training_data, seen_gsd_m
    from lcageo.training.loop import Listener, train
    from lcageo.training.processes import Processes

    first = Processes.of_environment().is_first
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
    with Bar(say, "training", "%") as bar:
        listener = Listener(
            bar.note,
            lambda progress: _show_progress(bar, progress),
            lambda validation: _show_validation(bar, validation),
        )
        card = train(config, data, out, run_options, resume, listener)
    if first:
        say.note(f"best at step {card.metrics['step']:,}: mAP50:95 {card.metrics.get('mAP50_95', 0):.3f}")
        console.data(str(out))


def _show_progress(bar: Bar, progress: TrainProgress) -> None:
    left = "" if progress.seconds_left == float("inf") else f", {progress.seconds_left / 60:.0f} min left"
    bar.at(
        round(100 * progress.progress, 1),
        100,
        f"step {progress.step:,}, loss {progress.loss:.3f}, lr {progress.learning_rate:.2g}, "
        f"{progress.images_per_second:.1f} images/s{left}",
    )


def _show_validation(bar: Bar, validation: Validation) -> None:
    evaluation = validation.evaluation
    best = ", the best so far" if validation.is_best else ""
    bar.note(
        f"step {validation.step:,} (epoch {validation.epoch:,}): mAP50 {evaluation.map50:.3f}, "
        f"mAP75 {evaluation.map75:.3f}, mAP50:95 {evaluation.map50_95:.3f}{best}"
    )
