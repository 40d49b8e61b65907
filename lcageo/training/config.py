"""How a model is trained: every setting that decides its weights, checked, and kept as TOML beside the model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from lcageo.config import FormatName, Precision
from lcageo.errors import ConfigError
from lcageo.network_config import BACKBONES, DEFAULT_WIDTH, NetworkConfig, Norm, Preset
from lcageo.toml import toml_text

RECIPE_FILE = "recipe.toml"
"""File name of the settings, in a run's folder."""
CHECKPOINT_FILE = "checkpoint.pt"
"""File name of the checkpoint, in a run's folder."""
FITTED = frozenset({"crop", "batch", "validations"})
"""Settings that are fitted to a run's minutes unless they are given; see training.timing."""


class Optimizer(StrEnum):
    """Optimisers that can be chosen."""

    ADAMW = "adamw"
    SGD = "sgd"
    MUON = "muon"
    """AdamW, but Muon for large weights: steps are slower, but fewer are needed."""


class Schedule(StrEnum):
    """How the learning rate falls after its warm-up."""

    COSINE = "cosine"
    STEP = "step"
    """To a tenth after 8/12 and again after 11/12 of the run, as in the paper's 12 epochs."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a training run. Paths are kept as given; those of a recipe are relative to the working directory."""

    DEFAULT_GSD_M: ClassVar[tuple[float, float]] = (0.1, 2.0)
    """Metres per pixel that a model is for, where neither settings nor images nor the model to start from say."""

    data: tuple[str, ...] = ()
    """Data sets to train on, in any format that data.sets knows."""
    val: tuple[str, ...] = ()
    """Data sets to choose the best model by; empty: see training.data."""
    split: str = "train"
    """Split to train on of data sets with several: train (then val validates) or trainval (then test does)."""
    images: str | None = None
    """Folder of the images; None: where the data sets have them."""
    data_format: FormatName | None = None
    """Format of the data sets; None: each is recognised."""
    classes: tuple[str, ...] = ()
    """Classes to learn, in order; empty: all of the data's."""
    class_map: str | None = None
    """TOML file that maps several class names to one."""

    preset: Preset = Preset.LCA
    backbone: str = "resnet50"
    backbone_width: int = DEFAULT_WIDTH
    channels: int = 256
    head_convs: int | None = None
    norm: Norm | None = None
    backbone_weights: str | None = None
    """Pretrained checkpoint of the same backbone; ResNets take torchvision's and keep its batch norm statistics."""
    pretrained: bool = False
    """Whether the backbone starts from the checkpoint in its installed package and keeps its batch norm statistics."""
    freeze: int | None = None
    """Stages that are frozen with the stem; 0: only the stem. None: nothing, or with pretrained weights what the
    backbone's family freezes (ResNets: 1, EfficientNet-Lite: 2)."""
    start_from: str | None = None
    """Model to fine-tune; its network replaces the settings above."""

    imgsz: int = 800
    """Longer side that an image is scaled to, and side of the model's tile, pixels."""
    native: bool = False
    """Whether images keep their own resolution at scale 1, as tiles of a scene do; `imgsz` is then only the tile, to
    which larger images are reduced for validation. Smaller ones are not enlarged."""
    crop: int | None = None
    """Side of the training crops, pixels; None: imgsz."""
    scale: tuple[float, float] = (0.6, 1.6)
    """Crops are enlarged by a factor drawn from this range."""
    mosaic: float = 0.5
    """Share of crops composed of four images."""
    turns: bool = True
    """Whether crops are rotated and mirrored; overhead imagery has no fixed orientation."""
    colour: float = 1.0
    """Strength of the changes of colour and haze, 0 for none."""
    background: float = 0.1
    """Maximum share of crops from images without objects."""
    class_balance: float = 0.5
    """0 draws every image once per epoch, 1 all classes equally; between, rare classes and sparse images more often."""

    epochs: int = 12
    minutes: float | None = None
    """Length of the run in minutes, validation included; replaces epochs."""
    batch: int = 16
    """Crops per step, of all processes together."""
    accumulate: int = 1
    """Parts in which a batch is computed, to save memory. Each part normalises its own loss."""
    optimizer: Optimizer = Optimizer.ADAMW
    lr: float | None = None
    """Peak learning rate. None: 0.0015 (AdamW, Muon) or 0.01 (SGD) at batch 16, a third of that for fine-tuning."""
    backbone_lr: float = 1.0
    """Learning rate of the backbone, as a share of that of neck and head."""
    weight_decay: float | None = None
    """None: 0.05 (AdamW, Muon) or 0.0001 (SGD); never on biases and norms."""
    schedule: Schedule = Schedule.COSINE
    warmup: int = 300
    """Steps over which the learning rate rises, at most a tenth of the run."""
    clip: float = 10.0
    """Maximum norm of the gradient; 0: no clipping."""
    ema: float = 0.9995
    """Share of the averaged weights kept at each step; 0: the last weights are used."""
    geometric_warmup: float = 0.0
    """First share of the run in which lca and lca-sa assign objects by geometry."""
    iou_power: float | None = None
    """Beta of the alignment metric, score x IoU^beta, by which lca and lca-sa assign objects; None: 6, as TOOD."""

    precision: Precision = Precision.AUTO
    compile: bool = False
    seed: int = 0
    validations: int = 10
    """Number of validations, evenly over the run."""
    gsd_m: tuple[float, float] | None = None
    """Minimum and maximum metres per pixel of the scenes that the model is meant for. None: those of the images, else
    of the fine-tuned model, else 0.1 to 2."""
    licence: str = "that of the training data"
    """Licence of the weights, for the model's card."""
    restriction: str = ""
    """The only use that it allows, for the card; a model that is fine-tuned also keeps the restriction of its start."""

    def __post_init__(self) -> None:
        family = BACKBONES.get(self.backbone)
        stages = 0 if family is None else family.stages
        packed = [name for name, one in BACKBONES.items() if one.pretrained is not None]
        conflicts = (self.backbone_weights, self.start_from, self.norm is Norm.GN, self.backbone not in packed)
        allowed = {
            "backbone": (family is not None, f"one of {', '.join(BACKBONES)}"),
            "backbone_width": (
                family is None or self.start_from is not None or family.has_width(self.backbone_width),
                "" if family is None else f"{family.widths_text} ({self.backbone})",
            ),
            "split": (self.split in ("train", "trainval"), "train or trainval"),
            # A model to start from may have another backbone, which checks this itself.
            "freeze": (
                self.freeze is None or 0 <= self.freeze <= stages or (self.start_from is not None and self.freeze >= 0),
                f"0 to {stages} for {self.backbone}",
            ),
            "backbone_weights": (
                self.backbone_weights is None or self.start_from is None,
                "left out where a model is fine-tuned, which has its own",
            ),
            "pretrained": (
                not (self.pretrained and any(conflicts)),
                "false with backbone_weights, with a model to fine-tune, with norm gn, and with backbones other than "
                f"{', '.join(packed)}; ResNets take a checkpoint by backbone_weights, such as "
                f"{BACKBONES['resnet50'].checkpoint}",
            ),
            "precision": (self.precision is not Precision.INT8, "auto, fp32, bf16 or fp16"),
            "seed": (self.seed >= 0, "0 or more"),
            "imgsz": (64 <= self.imgsz <= 4096 and self.imgsz % 32 == 0, "64 to 4096, a multiple of 32"),
            "crop": (
                self.crop is None or (128 <= self.crop <= 4096 and self.crop % 32 == 0),
                "128 to 4096, a multiple of 32",
            ),
            "scale": (
                len(self.scale) == 2 and 0.05 <= self.scale[0] <= self.scale[1] <= 20,
                "two numbers from 0.05 to 20, the smaller first",
            ),
            "mosaic": (0 <= self.mosaic <= 1, "0 to 1"),
            "colour": (0 <= self.colour <= 2, "0 to 2"),
            "background": (0 <= self.background <= 1, "0 to 1"),
            "class_balance": (0 <= self.class_balance <= 1, "0 to 1"),
            "epochs": (self.epochs >= 1, "1 or more"),
            "minutes": (self.minutes is None or self.minutes > 0, "more than 0"),
            "batch": (self.batch >= 1, "1 or more"),
            "accumulate": (
                1 <= self.accumulate <= self.batch and self.batch % self.accumulate == 0,
                f"a divisor of batch, {self.batch}",
            ),
            "lr": (self.lr is None or 0 < self.lr < 10, "between 0 and 10"),
            "backbone_lr": (0 < self.backbone_lr <= 1, "above 0, up to 1"),
            "weight_decay": (self.weight_decay is None or 0 <= self.weight_decay < 1, "0 or more, below 1"),
            "warmup": (self.warmup >= 0, "0 or more"),
            "clip": (self.clip >= 0, "0 or more"),
            "ema": (0 <= self.ema < 1, "0 or more, below 1"),
            "geometric_warmup": (0 <= self.geometric_warmup <= 1, "0 to 1"),
            "iou_power": (self.iou_power is None or 0 < self.iou_power <= 16, "above 0, up to 16"),
            "validations": (self.validations >= 1, "1 or more"),
            "gsd_m": (
                self.gsd_m is None or (len(self.gsd_m) == 2 and 0 < self.gsd_m[0] <= self.gsd_m[1]),
                "two numbers above 0, the smaller first",
            ),
        }
        for name, (holds, what) in allowed.items():
            if not holds:
                raise ConfigError(f"training setting {name} = {getattr(self, name)!r} must be {what}")

    @property
    def crop_size(self) -> int:
        """Side of the training crops, pixels."""
        return self.crop or self.imgsz

    @property
    def frozen_stages(self) -> int | None:
        """Stages that are frozen with the stem; None: not even the stem."""
        if self.freeze is None and (self.pretrained or self.backbone_weights is not None):
            return BACKBONES[self.backbone].stages_frozen
        return self.freeze

    @property
    def peak_lr(self) -> float:
        """Peak learning rate, for this batch size.

        Source:
            Goyal et al., "Accurate, Large Minibatch SGD", section 2.1 (SGD: in proportion); Malladi et al., "On the
            SDEs and Scaling Rules for Adaptive Gradient Algorithms" (Adam: by the square root).
        """
        if self.lr is not None:
            return self.lr
        times = self.batch / 16
        lr = 0.01 * times if self.optimizer is Optimizer.SGD else 0.0015 * times**0.5
        return lr / 3 if self.start_from else lr

    @property
    def decay(self) -> float:
        """Weight decay."""
        if self.weight_decay is not None:
            return self.weight_decay
        return 1e-4 if self.optimizer is Optimizer.SGD else 0.05

    def network(self, num_classes: int) -> NetworkConfig:
        """The network to train from scratch."""
        return NetworkConfig(
            self.preset, num_classes, self.backbone, self.backbone_width, self.channels, self.head_convs, self.norm
        )

    def changed(self, changes: Mapping[str, Any]) -> TrainConfig:
        """The same run with other settings, as strings, numbers and lists (from TOML or the command line).

        `epochs` without `minutes` replaces the existing `minutes`.

        Raises:
            ConfigError: naming a setting that does not exist, or a value that is not allowed.
        """
        unknown = sorted(set(changes) - {entry.name for entry in fields(TrainConfig)})
        if unknown:
            raise ConfigError(f"there is no training setting {', '.join(map(repr, unknown))}")
        if "epochs" in changes and "minutes" not in changes:
            changes = {**changes, "minutes": None}
        try:
            return replace(self, **{name: _typed(name, value) for name, value in changes.items()})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a training setting has a value of the wrong type: {error}") from error


_ENUMS: dict[str, type[StrEnum]] = {
    "preset": Preset,
    "norm": Norm,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "precision": Precision,
    "data_format": FormatName,
}


_KINDS: dict[str, str] = {entry.name: str(entry.type) for entry in fields(TrainConfig)}
"""Types of the settings, as they are written above."""


def _typed(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _ENUMS:
        return _ENUMS[name](value)
    kind = _KINDS[name]
    if "tuple" in kind and isinstance(value, str):
        raise TypeError(f"{name} = {value!r} is a text, not a list of them; put it in [ ]")
    if kind == "bool" and not isinstance(value, bool):
        raise TypeError(f"{name} = {value!r} is neither true nor false")
    if kind.split(" ")[0] == "int" and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"{name} = {value!r} is not a whole number")
    return tuple(value) if isinstance(value, list) else value


def read_recipe(path: Path) -> TrainConfig:
    """A training run from TOML; settings that it does not name have their defaults.

    Raises:
        ConfigError: if the file cannot be read, or a setting is unknown or not allowed.
    """
    try:
        return TrainConfig().changed(_content(path))
    except ConfigError as error:
        raise ConfigError(f"recipe '{path}': {error}") from error


def settings_in(path: Path) -> set[str]:
    """The settings that a recipe names; errors as in `read_recipe`."""
    return set(_content(path))


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"it is not TOML: {error}") from error


MAY_CHANGE = ("epochs", "minutes", "validations", "lr", "clip", "precision")
"""Settings that may change on --resume: how long it is, how often it validates, what fixes a diverged one."""
NOT_LEARNED = ("data", "val", "images", "data_format", "class_map", "backbone_weights", "start_from", "compile",
               "gsd_m", "licence", "restriction")  # fmt: skip
"""Settings that the weights of a run that has started do not depend on, as files that may have been moved since."""


def recipe_entries(config: TrainConfig) -> dict[str, Any]:
    """All settings that are set, as TOML and JSON can hold them."""
    return {
        name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, StrEnum) else value
        for name, value in asdict(config).items()
        if value is not None
    }


def write_recipe(config: TrainConfig, path: Path) -> None:
    """Writes what `read_recipe` reads back equal."""
    part = path.with_name(path.name + ".part")
    part.write_text(toml_text(recipe_entries(config)), encoding="utf-8")
    part.replace(path)  # complete or not at all, as a resumed run trusts it
