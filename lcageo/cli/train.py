"""lcageo train: trains a model on labelled images and writes a model folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lcageo.cli import console, options, train_options
from lcageo.cli.progress import Bar
from lcageo.cli.train_options import DEFAULTS, Cache
from lcageo.errors import ModelError, UsageError
from lcageo.extras import require
from lcageo.network_config import NetworkConfig
from lcageo.plural import plural, rounded
from lcageo.training.config import (
    CHECKPOINT_FILE,
    FITTED,
    MAY_CHANGE,
    RECIPE_FILE,
    TrainConfig,
    read_recipe,
    settings_in,
)

if TYPE_CHECKING:
    from lcageo.runtime.catalog import ModelCard
    from lcageo.training.data import TrainingData
    from lcageo.training.figures import TrainProgress
    from lcageo.training.loop import RunOptions
    from lcageo.training.validation import Validation

_SETTINGS = {entry.name for entry in fields(TrainConfig)}
_NETWORK = [entry.name for entry in fields(NetworkConfig) if entry.name in _SETTINGS]


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
    iou_power: train_options.IouPower = None,
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
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Trains a detector on labelled images; `lcageo detect --model FOLDER` takes the result.

    Examples:

    - `lcageo train --data DIOR --preset lca --backbone resnet50 --imgsz 800 --epochs 12 --out runs/dior`
    - `lcageo train --data chips/train.json --val chips/val.json --from lca-s --imgsz 640 --minutes 30 --out runs/own2`
    """
    parsed = {
        "classes": options.split_names(classes),
        "scale": options.parse_pair(scale, "--scale"),
        "gsd_m": options.parse_pair(gsd_m, "--gsd"),
        "class_map": None if class_map is None else str(class_map),
        "compile": compile_ or None,
    }
    given = {name: value for name, value in context.params.items() if name in _SETTINGS} | parsed
    changes = {name: value for name, value in given.items() if value not in (None, (), [])}
    if "epochs" in changes and "minutes" in changes:
        raise UsageError("--epochs and --minutes cannot be combined; give one")
    config = _resumed(out, changes) if resume else _fresh(out, recipe, changes, overwrite)
    require("training", "train", "torch")
    free = set() if resume or recipe is not None else set(FITTED) - changes.keys()
    # Imports torch, which takes seconds: after the settings have been checked.
    from lcageo.training.loop import RunOptions

    run_options = RunOptions(device, workers, cache is Cache.RAM, tensorboard, checkpoint_minutes)
    _train(config, out, run_options, resume, strict, free, console.Console(quiet))


def _fresh(out: Path, recipe: Path | None, changes: dict[str, Any], overwrite: bool) -> TrainConfig:
    """The settings of a new run."""
    from lcageo.training.model_folder import holds_run

    if holds_run(out) and not overwrite:
        raise UsageError(f"'{out}' holds a run; resume it (--resume), replace it (--overwrite) or choose another --out")
    config = read_recipe(recipe) if recipe else DEFAULTS
    named = changes.keys() | (settings_in(recipe) if recipe else set())
    if "start_from" in changes:
        changes = _other_start(config) | changes
    config = config.changed(changes)
    if config.start_from is None:
        return config
    return _fine_tuned(config, config.start_from, changes, out, fits_tiles="imgsz" not in named)


def _other_start(config: TrainConfig) -> dict[str, Any]:
    """What --from changes in a recipe that starts from a pretrained backbone: not the stages that it freezes."""
    return {"pretrained": False, "backbone_weights": None, "freeze": config.frozen_stages}


def _fine_tuned(
    config: TrainConfig, start_from: str, changes: dict[str, Any], out: Path, fits_tiles: bool
) -> TrainConfig:
    """The settings with the network and, if `fits_tiles`, the tile size of the model to start from."""
    from lcageo.runtime.catalog import find_card

    card = find_card(start_from)
    if card.weights.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"'{out}' holds the model to start from (--from); choose another --out")
    if card.is_quantised:
        raise UsageError(f"model '{card.name}' is quantised and cannot be trained; start from the one it was made of")
    own = {name: getattr(card.own_network, name) for name in _NETWORK}
    for name in own.keys() & changes.keys():
        if getattr(config, name) != own[name]:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"model '{card.name}' has {name} = {own[name]}; to fine-tune it, leave out {option}")
    return config.changed({**own, "imgsz": card.tile_size} if fits_tiles else own)


def _resumed(out: Path, changes: dict[str, Any]) -> TrainConfig:
    """The settings of the run in `out` with the changes, of which only MAY_CHANGE are allowed."""
    from lcageo.training.model_folder import holds_model

    if not (out / RECIPE_FILE).exists():
        raise UsageError(f"'{out}' holds no run to resume; leave out --resume")
    if not (out / CHECKPOINT_FILE).exists() and holds_model(out):
        raise UsageError(
            f"'{out}' has a model but no {CHECKPOINT_FILE}, so it cannot be resumed; fine-tune the model (--from {out} "
            "and another --out), or start over (--overwrite)"
        )
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


def _train(
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
    from lcageo.training.outcome import class_map_hint, result_warnings, shared_data
    from lcageo.training.processes import Processes
    from lcageo.training.run_lock import alone_in

    processes = Processes.of_environment()
    first = processes.is_first
    if not first:  # of several processes only one prints
        say = console.Console(quiet=True)
    require_coco()
    if config.start_from:
        say.restriction(_start(config.start_from))
    if config.pretrained:
        pretrained_weights(config.backbone)  # raises if they are missing, before all images are checked
    if not curves_available():
        say.note('curves.png will not be drawn; it requires matplotlib: pip install "lcageo[train]"')
    with Bar(say, "checking images", "image") as bar:
        data = load_training_data(config, strict, bar.warn if first else lambda line: None, bar.at)
    images, classes = plural(len(data.train), "image"), plural(len(data.classes), "class")
    say.note(f"{images} to train on, {len(data.val):,} to validate on, {classes}")
    seen = seen_gsd_m(data.train.annotations, config)
    if config.gsd_m is None and (seen is not None or config.start_from is None) and not resume:
        low, high = seen or TrainConfig.DEFAULT_GSD_M
        reason = ", as its images do" if seen else "; use --gsd MIN,MAX to change this"
        say.note(
            f"the model card will state that the model works at {rounded(low)} to {rounded(high)} m per pixel{reason}"
        )
    if config.start_from and (hint := class_map_hint(data.classes, find_card(config.start_from))):
        say.note(hint)
    if config.start_from and not resume and (known := shared_data(config.data, find_card(config.start_from))):
        say.warn(
            f"the model to start from was trained on '{known}', too; if its chips were cut anew since, validation "
            "images may show ground that it has learned: their figures are then too good, so measure it elsewhere"
        )
    last: list[Validation] = []
    with ExitStack() as stack:
        if first:
            stack.enter_context(alone_in(out))
        if not resume and processes.world == 1:
            config = _fitted(config, data, run_options.device, free, say)
        bar = stack.enter_context(Bar(say, "training", "step"))

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


def _start(start_from: str) -> ModelCard:
    """The card of the model to start from, which a resumed run needs, too."""
    from lcageo.runtime.catalog import find_card

    try:
        return find_card(start_from)
    except ModelError as error:
        raise ModelError(f"the model that the run starts from (--from {start_from}): {error}") from error


def _fitted(config: TrainConfig, data: TrainingData, device: str, free: set[str], say: console.Console) -> TrainConfig:
    """The settings, fitted to --minutes; tells how many steps there will be."""
    from lcageo.runtime.torch_backend import torch_device
    from lcageo.training.model_folder import network_config
    from lcageo.training.timing import (
        MUCH_VALIDATION,
        few_steps_warning,
        fit_to_minutes,
        measured_speed,
        steps_per_epoch,
    )

    if config.minutes is None:
        for line in few_steps_warning(config.epochs * steps_per_epoch(len(data.train), config.batch)):
            say.warn(line)
        return config
    speed = measured_speed(config, network_config(config, len(data.classes)), torch_device(device))
    fit = fit_to_minutes(config, free, len(data.val), speed)
    say.note(fit.text())
    if fit.validation_share > MUCH_VALIDATION:
        say.warn("validation takes most of the time: give more --minutes, or fewer images to validate on (--val)")
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
