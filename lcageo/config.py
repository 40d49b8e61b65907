"""Configuration classes: frozen, validated on creation. Defaults are defined here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypedDict, TypeVar

from lcageo.errors import ConfigError
from lcageo.layer_source import shown
from lcageo.network_config import OnnxConfig

Choice = TypeVar("Choice", bound=StrEnum)


DEFAULT_MODEL = "lca-s"
"""Name of the shipped model that is used unless another is named."""
PAGE_SIDE = 4096
"""Default length of the longer side of a report's picture in pixels: some MB."""


class Backend(StrEnum):
    """What runs a trained model."""

    AUTO = "auto"
    """torch on a GPU; on a CPU the fastest one that is installed and works."""
    OPENVINO = "openvino"
    ONNX = "onnx"
    """ONNX Runtime."""
    TORCH = "torch"
    COMPILED = "compiled"
    """torch, compiled for this machine: the first start takes minutes, then it is faster."""


class Precision(StrEnum):
    """Number format of convolutions; losses, scores and boxes are always float32."""

    AUTO = "auto"
    """The faster of float32 and bfloat16 on this device: measured before training, otherwise by the model card."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    """For GPUs without bfloat16; training scales its losses."""
    INT8 = "int8"
    """The precision of a quantised model's graph; not available for other models, nor in training."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Backend, precision and device that run a model. Results of two engines agree, but not to the last bit."""

    backend: Backend = Backend.AUTO
    precision: Precision = Precision.AUTO
    device: str = "auto"
    """Such as 'cpu' or 'cuda:0'. 'auto' here, and AUTO above, occur only in requests, not in what was chosen."""

    def __str__(self) -> str:
        return f"{self.backend} {self.precision} on {self.device}"


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """Which model to run, and how."""

    model: str | None = None
    """Name of a shipped model, path of a model card or an ONNX detector, or a model folder; None: the default model."""
    device: str = "auto"
    """'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'."""
    backend: Backend = Backend.AUTO
    precision: Precision = Precision.AUTO
    batch: int | None = None
    """Number of tiles per batch; None: depends on the backend and the device."""
    max_memory: int | None = None
    """Memory limit of the process in bytes; None: no limit."""
    cluster: str | None = None
    """Address of a Dask scheduler, or 'local:N' for N processes on this machine; None: this process."""
    about: OnnxConfig = field(default_factory=OnnxConfig)
    """What the user says about an ONNX detector of another program."""

    @property
    def engine(self) -> Engine:
        """The backend, precision and device requested."""
        return Engine(self.backend, self.precision, self.device)


class FormatName(StrEnum):
    """Formats of labelled sets, as `--format` names them."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"
    DOTA = "dota"
    CSV = "csv"
    DIOR = "dior"


class MergeMetric(StrEnum):
    """Measure of overlap by which boxes are merged."""

    IOU = "iou"
    """Intersection over union."""
    IOS = "ios"
    """Intersection over the smaller box."""


class Passes(StrEnum):
    """How often a scene is searched, each time at another resolution."""

    AUTO = "auto"
    """With models that are made for it, three, the third only around small objects that the first has found."""
    ONE = "1"
    """At one resolution only."""
    TWO = "2"
    """Also at half of it, for large objects."""
    THREE = "3"
    """Also at twice it, for small objects."""


class EdgeNodata(StrEnum):
    """Whether an edge of one value without a nodata tag counts as nodata."""

    AUTO = "auto"
    NONE = "none"


def choice(kind: type[Choice], value: str, name: str) -> Choice:
    """The enum member with a value.

    Raises:
        ConfigError: if there is none; names the setting and its choices.
    """
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"{name} {value!r} is not known; choose one of {', '.join(kind)}") from None


SCENE_SIDE_PX = 2000
"""A training or evaluation image with a longer side is a scene: used at its own resolution, in crops and tiles.

Any other is scaled to the model's tile as a whole, as detection benchmarks do (DIOR's images have 800 pixels,
NWPU VHR-10's 533 to 1,728).
"""

MAX_OVERLAP = 0.75
"""Share of a tile: above it, every pixel is processed more than 16 times."""
AUTO_GSD, NATIVE_GSD = "auto", "native"


class DetectOptions(TypedDict, total=False):
    """The settings of DetectConfig as keyword arguments, in plain types."""

    score: float | None
    keep: float | None
    classes: Sequence[str]
    max_per_tile: int
    overlap: str | None
    gsd: float | str
    passes: Passes | str
    iou: float | None
    merge_metric: MergeMetric | str
    agnostic: bool
    bands: Sequence[int]
    stretch: str
    edge_nodata: EdgeNodata | str
    crs: str | None
    aoi: str | os.PathLike[str] | None
    bbox: tuple[float, float, float, float] | None
    bbox_crs: str | None


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """Settings that decide what `detect` finds in a scene with a given model."""

    DEFAULT_SCORE: ClassVar[float] = 0.3
    """Minimum score of classes for which the model card has no threshold."""
    DEFAULT_OVERLAP: ClassVar[float] = 0.25
    """Share of a tile that overlaps its neighbour, if the model card does not state the largest object."""
    DEFAULT_IOU: ClassVar[float] = 0.6
    """Overlap above which two boxes are merged, if the model card does not state another."""

    score: float | None = None
    """Minimum score of an object, 0 to 1. None: the model card's thresholds, per class."""
    keep: float | None = None
    """Also write candidates that score at least this (below `score`), for `lcageo filter`. None: no candidates."""
    review: bool = False
    """Whether to also collect less certain candidates, to label next; the objects found stay the same."""
    classes: tuple[str, ...] = ()
    """Classes to detect; empty: all of the model's."""
    max_per_tile: int = 1000
    """Maximum number of objects per tile."""
    overlap: str | None = None
    """Pixels ('200') or per cent of the tile ('25%') shared by neighbouring tiles. None: from the model card."""
    gsd: float | str = AUTO_GSD
    """Metres per pixel to resample to, 'native', or 'auto': native unless outside the model's range."""
    passes: Passes = Passes.AUTO
    iou: float | None = None
    """Overlap above which two boxes are merged into one object. None: from the model card, see `merging_iou`."""
    merge_metric: MergeMetric = MergeMetric.IOU
    agnostic: bool = False
    """Whether boxes of different classes are merged, too."""
    bands: tuple[int, ...] = ()
    """1-based bands to use as red, green, blue; empty: by their colour interpretation."""
    stretch: str = "auto"
    """'auto', 'none' or 'MIN,MAX'."""
    edge_nodata: EdgeNodata = EdgeNodata.AUTO
    crs: str | None = None
    """CRS of scenes that have a transform but no CRS; None: those stay in pixels."""
    aoi: Path | None = None
    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str | None = None
    """CRS of `bbox`; None: the scene's."""

    @classmethod
    def of(cls, options: DetectOptions) -> DetectConfig:
        """The settings from plain values: lists for tuples, text for enums and paths.

        Raises:
            ConfigError: if an option is unknown or its value is not allowed; names the option.
        """
        unknown = set(options) - set(DetectOptions.__annotations__)
        if unknown:
            raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; see lcageo.DetectConfig")
        plain: dict[str, Any] = dict(options)
        if isinstance(options.get("classes"), str):
            raise ConfigError(f"classes {options['classes']!r} is a single string; give a list of names")
        defaults = cls()
        for name, value in options.items():
            default = getattr(defaults, name)
            if isinstance(value, list):
                plain[name] = tuple(value)
            elif name == "aoi" and value is not None:
                plain[name] = Path(str(value))
            elif isinstance(default, StrEnum):
                plain[name] = choice(type(default), str(value), name)
        return cls(**plain)

    def merging_iou(self, of_model: float | None = None) -> float:
        """Overlap above which boxes are merged: as requested, else the model's, else DEFAULT_IOU."""
        return next(iou for iou in (self.iou, of_model, self.DEFAULT_IOU) if iou is not None)

    def for_model(self, iou: float | None) -> DetectConfig:
        """The settings with the overlap that boxes of a model are merged above; `iou`: the model's own."""
        return replace(self, iou=self.merging_iou(iou))

    def parameters(self) -> dict[str, Any]:
        """All settings by name, ready for JSON."""
        return {name: shown(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise ConfigError(f"score {self.score} is outside 0 to 1")
        if self.keep is not None and not 0 <= self.keep <= 1:
            raise ConfigError(f"keep {self.keep} is outside 0 to 1")
        if self.keep is not None and self.score is not None and self.keep > self.score:
            raise ConfigError(
                f"keep {self.keep} is above score {self.score}; choose a lower one: it adds candidates that score less"
            )
        if self.iou is not None and not 0 <= self.iou <= 1:
            raise ConfigError(f"iou {self.iou} is outside 0 to 1")
        if self.max_per_tile < 1:
            raise ConfigError(f"max-per-tile {self.max_per_tile} is below 1")
        if isinstance(self.gsd, str) and self.gsd not in (AUTO_GSD, NATIVE_GSD):
            raise ConfigError(f"gsd '{self.gsd}' is not a number of metres per pixel, 'native' or 'auto'")
        if not isinstance(self.gsd, str) and not 0 < self.gsd < float("inf"):
            raise ConfigError(f"gsd {self.gsd} is not a positive number of metres per pixel")
        if self.aoi is not None and self.bbox is not None:
            raise ConfigError("aoi and bbox cannot be combined; give one")
        if self.bbox_crs is not None and self.bbox is None:
            raise ConfigError("bbox-crs requires bbox; give both")


BENCHMARK = DetectConfig(score=0.05, iou=0.6, max_per_tile=100)
"""The protocol of detection benchmarks, by which a model is evaluated.

Source: the test settings of LCA-Det, FCOS and RetinaNet (see `lcageo.network_config.CANDIDATES_PER_LEVEL`).
"""


def overlap_pixels(overlap: str, tile_size: int, what: str = "the model's tile") -> int:
    """Pixels of an overlap given as '200' or '25%'.

    Raises:
        ConfigError: if it is neither, negative, or leaves no step between tiles.
    """
    text = overlap.strip()
    try:
        pixels = round(float(text[:-1]) / 100 * tile_size) if text.endswith("%") else int(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"overlap '{overlap}' is neither pixels such as 200 nor a percentage such as 25%") from None
    if not 0 <= pixels <= tile_size * MAX_OVERLAP:
        raise ConfigError(f"overlap '{overlap}' is outside 0 to 75 % of {what} of {tile_size} pixels")
    return pixels
