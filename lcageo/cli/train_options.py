"""Options of `lcageo train`: an entry for each setting, with the default of the configuration class in its help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import options
from lcageo.config import Precision
from lcageo.network_config import BACKBONES, Norm, Preset
from lcageo.training.config import Optimizer, Schedule, TrainConfig

# Groups of --help.
START, NETWORK, IMAGES = "Start and stop", "Network", "Images and augmentation"
LENGTH, OPTIMISATION = "Length", "Optimisation"
DEFAULTS = TrainConfig()


class Cache(StrEnum):
    """Where decoded images are kept."""

    NONE = "none"
    RAM = "ram"


def _text(name: str, text: str) -> str:
    """An option's help with its default in the configuration."""
    return f"{text} Default: {getattr(DEFAULTS, name)}."


Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Folder of the run, which becomes a model folder.",
        rich_help_panel=options.RESULT,
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help=f"{options.DATA_HELP} May be repeated.",
        rich_help_panel=options.DATA,
    ),
]
Val = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="Data to validate on. Default: the set's own split, else a tenth of --data.",
        rich_help_panel=options.DATA,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="train|trainval",
        help="Split of the data sets to train on; with trainval, the test split is used for validation.",
        rich_help_panel=options.DATA,
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of the images, if the data set has them elsewhere.",
        rich_help_panel=options.DATA,
    ),
]
Classes = Annotated[
    str, typer.Option(metavar="NAME,...", help="Classes to learn. Default: all.", rich_help_panel=options.DATA)
]
Recipe = Annotated[
    Path | None,
    typer.Option(metavar="TOML", help="File of settings, such as a run's recipe.toml.", rich_help_panel=START),
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODEL",
        help="Model to fine-tune: name, card or folder; replaces the initial weights of a recipe.",
        rich_help_panel=START,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume the run in --out with its own settings.", rich_help_panel=START)
]
PresetChoice = Annotated[
    Preset | None, typer.Option(help=_text("preset", "Detector architecture."), rich_help_panel=NETWORK)
]
Backbone = Annotated[
    str | None,
    typer.Option(metavar="|".join(BACKBONES), help=_text("backbone", "Backbone."), rich_help_panel=NETWORK),
]
BackboneWidth = Annotated[
    int | None,
    typer.Option(
        help=_text("backbone_width", "Channels of the backbone's first stage (ResNets)."), rich_help_panel=NETWORK
    ),
]
Channels = Annotated[
    int | None, typer.Option(help=_text("channels", "Channels of neck and head."), rich_help_panel=NETWORK)
]
HeadConvs = Annotated[
    int | None,
    typer.Option(help="Number of 3x3 convolutions in the head. Default: the preset's.", rich_help_panel=NETWORK),
]
NormChoice = Annotated[
    Norm | None, typer.Option(help="Normalisation of the backbone. Default: the preset's.", rich_help_panel=NETWORK)
]
BackboneWeights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Pretrained checkpoint of the backbone; those of ResNets are torchvision's, such as "
        f"{BACKBONES['resnet50'].checkpoint}. For EfficientNet-Lite, use --pretrained.",
        rich_help_panel=NETWORK,
    ),
]
Pretrained = Annotated[
    bool | None,
    typer.Option(
        "--pretrained/--no-pretrained",
        help="Start from the ImageNet weights that an installed package has of the backbone (EfficientNet-Lite). "
        "Default: --no-pretrained.",
        rich_help_panel=NETWORK,
    ),
]
Freeze = Annotated[
    int | None,
    typer.Option(
        help="Stages to freeze after the stem; 0: only the stem. Default: none; with pretrained weights 1 for "
        "ResNets, 2 for EfficientNet-Lite.",
        rich_help_panel=NETWORK,
    ),
]
Imgsz = Annotated[
    int | None,
    typer.Option(
        help=_text("imgsz", "Longer side of the images in pixels; also the model's tile size."),
        rich_help_panel=IMAGES,
    ),
]
Native = Annotated[
    bool | None,
    typer.Option(
        "--native/--no-native",
        help="Keep the images' own resolution; --imgsz is then only the model's tile size, to which larger images "
        "are reduced for validation. Default: --no-native.",
        rich_help_panel=IMAGES,
    ),
]
Crop = Annotated[
    int | None, typer.Option(help="Side of the training crops in pixels. Default: --imgsz.", rich_help_panel=IMAGES)
]
Scale = Annotated[
    str | None,
    typer.Option(
        metavar="MIN,MAX", help="Range of the random scaling of crops. Default: 0.6,1.6.", rich_help_panel=IMAGES
    ),
]
Mosaic = Annotated[
    float | None,
    typer.Option(help=_text("mosaic", "Share of crops composed of four images."), rich_help_panel=IMAGES),
]
Turns = Annotated[
    bool | None,
    typer.Option(
        "--turns/--no-turns",
        help="Rotate crops by 90 degrees and mirror them, randomly. Default: --turns.",
        rich_help_panel=IMAGES,
    ),
]
Colour = Annotated[
    float | None,
    typer.Option(help=_text("colour", "Strength of colour and haze augmentation, 0 for none."), rich_help_panel=IMAGES),
]
Background = Annotated[
    float | None,
    typer.Option(
        help=_text("background", "Maximum share of crops from images without objects."), rich_help_panel=IMAGES
    ),
]
ClassBalance = Annotated[
    float | None,
    typer.Option(
        help=_text("class_balance", "Sampling, from 0 (each image once per epoch) to 1 (all classes equally often)."),
        rich_help_panel=IMAGES,
    ),
]
Epochs = Annotated[
    int | None, typer.Option(help=_text("epochs", "Length of the run in epochs."), rich_help_panel=LENGTH)
]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Length of the run in minutes, instead of --epochs; crop, batch and validations are fitted to it, "
        "unless they or a --recipe are given.",
        rich_help_panel=LENGTH,
    ),
]
Batch = Annotated[
    int | None, typer.Option(help=_text("batch", "Number of crops per step."), rich_help_panel=OPTIMISATION)
]
Accumulate = Annotated[
    int | None,
    typer.Option(
        help=_text("accumulate", "Number of parts a batch is split into, to save memory."),
        rich_help_panel=OPTIMISATION,
    ),
]
OptimizerChoice = Annotated[
    Optimizer | None, typer.Option(help=_text("optimizer", "Optimiser."), rich_help_panel=OPTIMISATION)
]
Lr = Annotated[
    float | None,
    typer.Option(
        help="Maximum learning rate. Default: 0.0015 (adamw, muon) or 0.01 (sgd) at batch 16; a third of it with "
        "--from.",
        rich_help_panel=OPTIMISATION,
    ),
]
BackboneLr = Annotated[
    float | None,
    typer.Option(
        help=_text("backbone_lr", "Learning rate of the backbone as a share of the others'."),
        rich_help_panel=OPTIMISATION,
    ),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(help="Weight decay. Default: 0.05 (adamw, muon), 0.0001 (sgd).", rich_help_panel=OPTIMISATION),
]
ScheduleChoice = Annotated[
    Schedule | None, typer.Option(help=_text("schedule", "Learning rate schedule."), rich_help_panel=OPTIMISATION)
]
Warmup = Annotated[
    int | None,
    typer.Option(help=_text("warmup", "Number of warm-up steps of the learning rate."), rich_help_panel=OPTIMISATION),
]
Clip = Annotated[
    float | None,
    typer.Option(help=_text("clip", "Maximum gradient norm, 0 for no clipping."), rich_help_panel=OPTIMISATION),
]
Ema = Annotated[
    float | None,
    typer.Option(
        help=_text("ema", "Decay of the moving average of the weights, 0 for none."), rich_help_panel=OPTIMISATION
    ),
]
GeometricWarmup = Annotated[
    float | None,
    typer.Option(
        help=_text("geometric_warmup", "Share of the run, at its start, with geometric assignment."),
        rich_help_panel=OPTIMISATION,
    ),
]
IouPower = Annotated[
    float | None,
    typer.Option(
        help="Beta of the alignment metric, score x IoU^beta, by which lca and lca-sa assign objects. Default: 6.",
        rich_help_panel=OPTIMISATION,
    ),
]
PrecisionChoice = Annotated[
    Precision | None,
    typer.Option(help="Precision; auto measures which is fastest. Default: auto.", rich_help_panel=options.SPEED),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the network (starts slowly).", rich_help_panel=options.SPEED)
]
Seed = Annotated[int | None, typer.Option(help=_text("seed", "Random seed."), rich_help_panel=OPTIMISATION)]
Validations = Annotated[
    int | None,
    typer.Option(help=_text("validations", "Number of validations during the run."), rich_help_panel=LENGTH),
]
GsdM = Annotated[
    str | None,
    typer.Option(
        "--gsd",
        metavar="MIN,MAX",
        help="Resolutions that the model is for, metres per pixel. Default: those of the training images if they are "
        "known (chips have them), else those of --from, else 0.1,2.",
        rich_help_panel=options.RESULT,
    ),
]
Licence = Annotated[
    str | None, typer.Option(help="Licence of the weights, for the model card.", rich_help_panel=options.RESULT)
]
Restriction = Annotated[
    str | None,
    typer.Option(
        metavar="USE",
        help="Restriction of use by the licence, such as 'research use only'. Default: that of --from.",
        rich_help_panel=options.RESULT,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Number of processes that prepare crops. Default: depends on the CPU cores.",
        rich_help_panel=options.DATA,
    ),
]
CacheChoice = Annotated[Cache, typer.Option(help="Where to keep decoded images.", rich_help_panel=options.DATA)]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.", rich_help_panel=options.RESULT)
]
CheckpointMinutes = Annotated[float, typer.Option(min=0, help="Minutes between checkpoints.", rich_help_panel=START)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Start over in a folder that holds a run.", rich_help_panel=options.RESULT),
]
