"""lcageo train: trains a model on labelled images and writes a model folder."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.config import Precision
from lcageo.errors import UsageError
from lcageo.network_config import BACKBONES, NetworkConfig, Norm, Preset
from lcageo.training.config import FITTED, RECIPE_FILE, Optimizer, Schedule, TrainConfig, read_recipe

DEFAULTS = TrainConfig()
_SETTINGS = {entry.name for entry in fields(TrainConfig)}
_NETWORK = [entry.name for entry in fields(NetworkConfig) if entry.name in _SETTINGS]
MAY_CHANGE = ("epochs", "minutes", "validations", "lr", "clip", "precision")
"""Settings that may change on --resume: the run's length, how often it validates, and what fixes a diverged run."""


class Cache(StrEnum):
    """Where decoded images are kept."""

    NONE = "none"
    RAM = "ram"


def _text(name: str, text: str) -> str:
    """An option's help with its default in the configuration."""
    return f"{text} Default: {getattr(DEFAULTS, name)}."


def train(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder of the run, which becomes a model folder.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help=f"{options.DATA_HELP} May be repeated."),
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Data to validate on. Default: the set's own split, else a tenth of --data."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="train|trainval", help="Split of the data sets to train on; with trainval, test validates."
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of the images, if the data set has them elsewhere.")
    ] = None,
    data_format: options.Format = None,
    classes: Annotated[str, typer.Option(metavar="NAME,...", help="Classes to learn. Default: all.")] = "",
    class_map: Annotated[
        str | None, typer.Option(metavar="TOML", help='Class names to merge: [classes] vehicle = ["car", "lorry"].')
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on broken records instead of skipping them.")] = False,
    recipe: Annotated[
        Path | None, typer.Option(metavar="TOML", help="File of settings, such as a run's recipe.toml.")
    ] = None,
    start_from: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Model to fine-tune: name, card or folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out with its own settings.")] = False,
    preset: Annotated[Preset | None, typer.Option(help=_text("preset", "Detector architecture."))] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="|".join(BACKBONES), help=_text("backbone", "Backbone."))
    ] = None,
    backbone_width: Annotated[
        int | None,
        typer.Option(help=_text("backbone_width", "Channels of the backbone's first stage (ResNets).")),
    ] = None,
    channels: Annotated[int | None, typer.Option(help=_text("channels", "Channels of neck and head."))] = None,
    head_convs: Annotated[
        int | None, typer.Option(help="Number of 3x3 convolutions in the head. Default: the preset's.")
    ] = None,
    norm: Annotated[Norm | None, typer.Option(help="Normalisation of the backbone. Default: the preset's.")] = None,
    backbone_weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Pretrained checkpoint of the backbone; those of ResNets are torchvision's, such as "
            f"{BACKBONES['resnet50'].checkpoint}. For EfficientNet-Lite, use --pretrained.",
        ),
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="Start from the ImageNet weights that an installed package has of the backbone (EfficientNet-Lite). "
            "Default: --no-pretrained.",
        ),
    ] = None,
    freeze: Annotated[
        int | None,
        typer.Option(
            help="Stages to freeze after the stem; 0: only the stem. Default: none; with pretrained weights 1 for "
            "ResNets, 2 for EfficientNet-Lite."
        ),
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(help=_text("imgsz", "Longer side of the images in pixels; also the model's tile size.")),
    ] = None,
    native: Annotated[
        bool | None,
        typer.Option(
            "--native/--no-native",
            help="Keep the images' own resolution; --imgsz is then only the model's tile size, to which larger images "
            "are reduced for validation. Default: --no-native.",
        ),
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the training crops in pixels. Default: --imgsz.")] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="MIN,MAX", help="Range of the random scaling of crops. Default: 0.6,1.6.")
    ] = None,
    mosaic: Annotated[
        float | None, typer.Option(help=_text("mosaic", "Share of crops composed of four images."))
    ] = None,
    turns: Annotated[
        bool | None,
        typer.Option(
            "--turns/--no-turns", help="Rotate crops by 90 degrees and mirror them, randomly. Default: --turns."
        ),
    ] = None,
    colour: Annotated[
        float | None, typer.Option(help=_text("colour", "Strength of colour and haze augmentation, 0 for none."))
    ] = None,
    background: Annotated[
        float | None, typer.Option(help=_text("background", "Maximum share of crops from images without objects."))
    ] = None,
    class_balance: Annotated[
        float | None,
        typer.Option(
            help=_text(
                "class_balance", "Sampling, from 0 (each image once per epoch) to 1 (all classes equally often)."
            )
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help=_text("epochs", "Length of the run in epochs."))] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Length of the run in minutes, instead of --epochs; crop, batch and validations are fitted to it, "
            "unless they or a --recipe are given."
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help=_text("batch", "Number of crops per step."))] = None,
    accumulate: Annotated[
        int | None, typer.Option(help=_text("accumulate", "Number of parts a batch is split into, to save memory."))
    ] = None,
    optimizer: Annotated[Optimizer | None, typer.Option(help=_text("optimizer", "Optimiser."))] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Maximum learning rate. Default: 0.0015 (adamw) or 0.01 (sgd) at batch 16; a third of it with --from."
        ),
    ] = None,
    backbone_lr: Annotated[
        float | None,
        typer.Option(help=_text("backbone_lr", "Learning rate of the backbone as a share of the others'.")),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay. Default: 0.05 (adamw), 0.0001 (sgd).")
    ] = None,
    schedule: Annotated[Schedule | None, typer.Option(help=_text("schedule", "Learning rate schedule."))] = None,
    warmup: Annotated[
        int | None, typer.Option(help=_text("warmup", "Number of warm-up steps of the learning rate."))
    ] = None,
    clip: Annotated[float | None, typer.Option(help=_text("clip", "Maximum gradient norm, 0 for no clipping."))] = None,
    ema: Annotated[
        float | None, typer.Option(help=_text("ema", "Decay of the moving average of the weights, 0 for none."))
    ] = None,
    geometric_warmup: Annotated[
        float | None,
        typer.Option(help=_text("geometric_warmup", "Share of the run, at its start, with geometric assignment.")),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Precision; auto measures which is fastest. Default: auto.")
    ] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the network (starts slowly).")] = False,
    seed: Annotated[int | None, typer.Option(help=_text("seed", "Random seed."))] = None,
    validations: Annotated[
        int | None, typer.Option(help=_text("validations", "Number of validations during the run."))
    ] = None,
    gsd_m: Annotated[
        str | None,
        typer.Option(
            "--gsd",
            metavar="MIN,MAX",
            help="Metres per pixel the model is for. Default: the images' (chips have it), else --from's, else 0.1,2.",
        ),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights, for the model card.")] = None,
    restriction: Annotated[
        str | None,
        typer.Option(
            metavar="USE",
            help="Restriction of use by the licence, such as 'research use only'. Default: that of --from.",
        ),
    ] = None,
    device: options.Device = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Number of processes that prepare crops. Default: depends on the CPU cores."),
    ] = None,
    cache: Annotated[Cache, typer.Option(help="Where to keep decoded images.")] = Cache.NONE,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")] = False,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Minutes between checkpoints.")] = 5.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over in a folder that holds a run.")] = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Trains a detector on labelled images; `lcageo detect --model FOLDER` takes the result.

    Example: lcageo train --data DIOR --preset lca --imgsz 800 --epochs 12 --out runs/a
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
