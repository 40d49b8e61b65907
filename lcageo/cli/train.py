"""lcageo train: labelled images in, a model folder out."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.progress import Bar
from lcageo.config import Precision
from lcageo.errors import UsageError
from lcageo.network_config import BACKBONES, NetworkConfig, Norm, Preset
from lcageo.training.config import RECIPE_FILE, Optimizer, Schedule, TrainConfig, read_recipe

if TYPE_CHECKING:
    from lcageo.training.figures import TrainProgress
    from lcageo.training.loop import RunOptions
    from lcageo.training.validation import Validation

DEFAULTS = TrainConfig()
_SETTINGS = {entry.name for entry in fields(TrainConfig)}
_NETWORK = [entry.name for entry in fields(NetworkConfig) if entry.name in _SETTINGS]
MAY_CHANGE = ("epochs", "minutes", "validations", "lr", "clip", "precision")
"""Settings that a resumed run may have anew: how far it goes, how often it looks, and what mends one that diverged."""


class Cache(StrEnum):
    """Where decoded images are kept."""

    NONE = "none"
    RAM = "ram"


def _text(name: str, text: str) -> str:
    """An option's help with the default that the configuration has for it."""
    return f"{text} Default: {getattr(DEFAULTS, name)}."


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The run's folder; becomes a model folder.")],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="COCO file (.json) or DIOR folder to train on. May be repeated."),
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="The same to validate on. Default: DIOR's split, else a tenth held out."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="train|trainval", help="Of DIOR folders; after trainval, test validates.")
    ] = None,
    classes: Annotated[str, typer.Option(metavar="NAME,...", help="Classes to learn. Default: all.")] = "",
    class_map: Annotated[
        str | None, typer.Option(metavar="TOML", help='Names to put together: [classes] vehicle = ["car", "lorry"].')
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse broken records instead of skipping them.")] = False,
    recipe: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Settings from a file, such as a run's recipe.toml.")
    ] = None,
    start_from: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Model to fine-tune: a name, card or folder.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its own settings.")
    ] = False,
    preset: Annotated[Preset | None, typer.Option(help=_text("preset", "The detector."))] = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="|".join(BACKBONES), help=_text("backbone", "The backbone."))
    ] = None,
    backbone_width: Annotated[
        int | None,
        typer.Option(help=_text("backbone_width", "Channels of its first stage (ResNets).")),
    ] = None,
    channels: Annotated[int | None, typer.Option(help=_text("channels", "Channels of neck and head."))] = None,
    head_convs: Annotated[int | None, typer.Option(help="3x3 convolutions in the head. Default: the preset's.")] = None,
    norm: Annotated[Norm | None, typer.Option(help="Normalisation of the backbone. Default: the preset's.")] = None,
    backbone_weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="Pretrained checkpoint of the backbone (ResNets: torchvision's).")
    ] = None,
    freeze: Annotated[
        int | None,
        typer.Option(
            help="Freeze the stem (0) and that many stages. Default: nothing; with --backbone-weights, ResNets 1."
        ),
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(help=_text("imgsz", "Longer side of images, and the model's tile."))
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the training crops. Default: imgsz.")] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="MIN,MAX", help="Range of the crops' enlargement. Default: 0.6,1.6.")
    ] = None,
    mosaic: Annotated[float | None, typer.Option(help=_text("mosaic", "Share of crops made of four images."))] = None,
    turns: Annotated[
        bool | None, typer.Option("--turns/--no-turns", help="Turn and mirror crops. Default: --turns.")
    ] = None,
    colour: Annotated[
        float | None, typer.Option(help=_text("colour", "Strength of colour and haze changes, 0 for none."))
    ] = None,
    class_balance: Annotated[
        float | None, typer.Option(help=_text("class_balance", "0 every image once an epoch, 1 all classes alike."))
    ] = None,
    epochs: Annotated[int | None, typer.Option(help=_text("epochs", "Length of the run."))] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the run by the clock, instead of --epochs.")] = None,
    batch: Annotated[int | None, typer.Option(help=_text("batch", "Crops a step."))] = None,
    accumulate: Annotated[
        int | None, typer.Option(help=_text("accumulate", "Parts in which a batch is computed, to save memory."))
    ] = None,
    optimizer: Annotated[Optimizer | None, typer.Option(help=_text("optimizer", "What makes the steps."))] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Greatest learning rate. Default: 0.0015 (adamw), 0.01 (sgd) at batch 16; a third with --from."
        ),
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Default: 0.05 (adamw), 0.0001 (sgd).")] = None,
    schedule: Annotated[Schedule | None, typer.Option(help=_text("schedule", "How the learning rate falls."))] = None,
    warmup: Annotated[int | None, typer.Option(help=_text("warmup", "Steps in which it rises."))] = None,
    clip: Annotated[float | None, typer.Option(help=_text("clip", "Greatest gradient norm, 0 for any."))] = None,
    ema: Annotated[float | None, typer.Option(help=_text("ema", "Averaging of the weights, 0 for none."))] = None,
    geometric_warmup: Annotated[
        float | None, typer.Option(help=_text("geometric_warmup", "First share of the run with geometric assignment."))
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Numbers to compute in; auto measures. Default: auto.")
    ] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the network (slow to start).")] = False,
    seed: Annotated[int | None, typer.Option(help=_text("seed", "Of all chance."))] = None,
    validations: Annotated[int | None, typer.Option(help=_text("validations", "How often to validate."))] = None,
    gsd_m: Annotated[
        str | None,
        typer.Option(
            "--gsd",
            metavar="MIN,MAX",
            help="Metres per pixel the model is for. Default: the images' (chips say it), else --from's, else 0.1,2.",
        ),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, for the card.")] = None,
    restriction: Annotated[
        str | None,
        typer.Option(
            metavar="USE", help="Only use that the licence allows, as 'research use only'. Default: that of --from."
        ),
    ] = None,
    device: options.Device = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that make crops. Default: by the cores.")
    ] = None,
    cache: Annotated[Cache, typer.Option(help="Where to keep decoded images.")] = Cache.NONE,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write for TensorBoard.")] = False,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Time between checkpoints.")] = 5.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a run.")] = False,
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
    named = {name: value for name, value in context.params.items() if name in _SETTINGS} | parsed
    changes = {name: value for name, value in named.items() if value not in (None, (), [])}
    config = _resumed(out, changes) if resume else _fresh(out, recipe, changes, overwrite)
    from lcageo.training.loop import RunOptions  # torch takes seconds: after the settings are known to be good

    how = RunOptions(device, workers, cache is Cache.RAM, tensorboard, checkpoint_minutes)
    _run(config, out, how, resume, strict, console.Console(quiet))


def _fresh(out: Path, recipe: Path | None, changes: dict[str, Any], overwrite: bool) -> TrainConfig:
    """The settings of a new run, for a folder that holds none."""
    from lcageo.training.model_folder import holds_run

    if holds_run(out) and not overwrite:
        raise UsageError(
            f"'{out}' holds a run; go on with it (--resume), replace it (--overwrite) or name another --out"
        )
    if "epochs" in changes and "minutes" in changes:
        raise UsageError("--epochs and --minutes exclude each other; give one")
    config = (read_recipe(recipe) if recipe else DEFAULTS).changed(changes)
    return config if config.start_from is None else _fine_tuned(config, config.start_from, changes, out)


def _fine_tuned(config: TrainConfig, start_from: str, changes: dict[str, Any], out: Path) -> TrainConfig:
    """The settings with the network of the model to start from and, unless another is asked for, its tile."""
    from lcageo.runtime.catalog import find_card

    card = find_card(start_from)
    if card.weights.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"'{out}' holds the model to start from (--from); name another --out")
    own = {name: getattr(card.network, name) for name in _NETWORK}
    for name in own.keys() & changes.keys():
        if getattr(config, name) != own[name]:
            raise UsageError(f"model '{card.name}' has {name} = {own[name]}; leave out {name} to fine-tune it (--from)")
    return config.changed(own if "imgsz" in changes else {**own, "imgsz": card.tile_size})


def _resumed(out: Path, changes: dict[str, Any]) -> TrainConfig:
    """The settings of the run in `out`, which may be lengthened but not changed."""
    if not (out / RECIPE_FILE).exists():
        raise UsageError(f"'{out}' holds no run to go on with; leave out --resume")
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


def _run(config: TrainConfig, out: Path, how: RunOptions, resume: bool, strict: bool, say: console.Console) -> None:
    from lcageo.metrics.coco import require_coco
    from lcageo.runtime.catalog import find_card
    from lcageo.training.curves import curves_available
    from lcageo.training.data import load_training_data, seen_gsd_m
    from lcageo.training.loop import Listener, train
    from lcageo.training.processes import Processes

    first = Processes.of_environment().is_first
    if not first:  # of several processes one speaks
        say = console.Console(quiet=True)
    require_coco()
    if config.start_from:
        say.restriction(find_card(config.start_from))
    if not curves_available():
        say.note("curves.png will not be drawn: it requires matplotlib: pip install 'lcageo[train]'")
    with Bar(say, "checking images", "image") as bar:
        data = load_training_data(config, strict, bar.warn if first else lambda line: None, bar.at)
    say.note(f"{len(data.train):,} images to train on, {len(data.val):,} to validate on, {len(data.classes)} classes")
    seen = seen_gsd_m(data.train.annotations, config.imgsz)
    if config.gsd_m is None and (seen is not None or config.start_from is None) and not resume:
        low, high = seen or TrainConfig.DEFAULT_GSD_M
        better = ", as its images" if seen else "; --gsd MIN,MAX says better"
        say.note(f"the model's card will say that it works at {low:.3g} to {high:.3g} m per pixel{better}")
    with Bar(say, "training", "%") as bar:
        listener = Listener(bar.note, lambda report: _show(bar, report), lambda validation: _tell(bar, validation))
        card = train(config, data, out, how, resume, listener)
    if first:
        say.note(f"best at step {card.metrics['step']:,}: mAP50:95 {card.metrics.get('mAP50_95', 0):.3f}")
        console.data(str(out))


def _show(bar: Bar, report: TrainProgress) -> None:
    left = "" if report.seconds_left == float("inf") else f", {report.seconds_left / 60:.0f} min left"
    bar.at(
        round(100 * report.progress, 1),
        100,
        f"step {report.step:,}, loss {report.loss:.3f}, lr {report.learning_rate:.2g}, "
        f"{report.images_per_second:.1f} images/s{left}",
    )


def _tell(bar: Bar, validation: Validation) -> None:
    found = validation.evaluation
    best = ", the best so far" if validation.is_best else ""
    bar.note(
        f"step {validation.step:,} (epoch {validation.epoch:,}): mAP50 {found.map50:.3f}, mAP75 {found.map75:.3f}, "
        f"mAP50:95 {found.map50_95:.3f}{best}"
    )
