"""lcageo train: trains a model on labelled images and writes a model folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import typer

from lcageo.cli import console, options, train_options
from lcageo.cli.train_options import DEFAULTS, Cache
from lcageo.errors import UsageError
from lcageo.extras import require
from lcageo.network_config import NetworkConfig
from lcageo.training.config import FITTED, RECIPE_FILE, TrainConfig, read_recipe

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
    images: train_options.Images = None,
    data_format: options.Format = None,
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
    free = set() if resume or recipe is not None else set(FITTED) - changes.keys()
    from lcageo.training.loop import (
        RunOptions,
    )  # imports torch, which takes seconds: after the settings have been checked

    run_options = RunOptions(device, workers, cache is Cache.RAM, tensorboard, checkpoint_minutes)
    from lcageo.cli.train_run import run

    run(config, out, run_options, resume, strict, free, console.Console(quiet))


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
    own = {name: getattr(card.own_network, name) for name in _NETWORK}
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
