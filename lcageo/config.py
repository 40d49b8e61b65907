"""Settings that travel between the layers: frozen, checked on creation. Defaults live here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypedDict, TypeVar

from lcageo.errors import ConfigError

Choice = TypeVar("Choice", bound=StrEnum)


PAGE_SIDE = 4096
"""Pixels of the longer side of a report's picture, unless it is asked for otherwise: some MB."""


class Backend(StrEnum):
    """What runs a trained model."""

    AUTO = "auto"
    """On a GPU torch; on a CPU the fastest that is installed and works."""
    OPENVINO = "openvino"
    ONNX = "onnx"
    """ONNX Runtime."""
    TORCH = "torch"
    COMPILED = "compiled"
    """torch, compiled for this machine: some minutes at the first start, faster then."""


class Precision(StrEnum):
    """Numbers in which convolutions are computed; losses, scores and boxes are always float32."""

    AUTO = "auto"
    """The fastest of float32 and bfloat16 on this device: measured before a training, by the model's card otherwise."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    """For GPUs without bfloat16; a training scales its losses."""
    INT8 = "int8"
    """What the graph of a quantised model is made of; no other model has it, and none is trained in it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a model, in which numbers, and where. Results of two engines agree, but not to the last bit."""

    backend: Backend = Backend.AUTO
    precision: Precision = Precision.AUTO
    device: str = "auto"
    """Such as 'cpu' or 'cuda:0'. 'auto', and AUTO above, only in what a user asks for."""

    def __str__(self) -> str:
        return f"{self.backend} {self.precision} on {self.device}"


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """What is to run a model."""

    model: str | None = None
    """Name of a shipped model, path of a model card, or a model folder; None: the default model."""
    device: str = "auto"
    """'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'."""
    backend: Backend = Backend.AUTO
    precision: Precision = Precision.AUTO
    batch: int | None = None
    """Tiles run at a time; None: as suits the backend and the device."""
    max_memory: int | None = None
    """Bytes that the process may take; None: no limit."""
    cluster: str | None = None
    """Address of a Dask scheduler, or 'local:N' for N processes of this machine; None: this process."""

    @property
    def engine(self) -> Engine:
        """The backend, precision and device that were asked for."""
        return Engine(self.backend, self.precision, self.device)


class MergeMetric(StrEnum):
    """How much two boxes are the same object."""

    IOU = "iou"
    """Intersection over union."""
    IOS = "ios"
    """Intersection over the smaller box."""


class EdgeNodata(StrEnum):
    """Whether a black or white edge that no tag marks counts as nodata."""

    AUTO = "auto"
    NONE = "none"


def choice(kind: type[Choice], value: str, name: str) -> Choice:
    """The member of an enum that has a value.

    Raises:
        ConfigError: naming the setting and its choices.
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
"""Share of a tile: beyond it, every pixel is run more than 16 times."""
AUTO_GSD, NATIVE_GSD = "auto", "native"


class DetectOptions(TypedDict, total=False):
    """The settings of DetectConfig as keyword arguments, in plain types."""

    score: float | None
    keep: float | None
    classes: Sequence[str]
    max_per_tile: int
    overlap: str | None
    gsd: float | str
    iou: float
    merge_metric: MergeMetric | str
    agnostic: bool
    bands: Sequence[int]
    stretch: str
    edge_nodata: EdgeNodata | str
    aoi: str | os.PathLike[str] | None
    bbox: tuple[float, float, float, float] | None
    bbox_crs: str | None


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """Everything that decides what `detect` finds in a scene, given a model."""

    DEFAULT_SCORE: ClassVar[float] = 0.3
    """Minimum score of classes for which the model card names none."""
    DEFAULT_OVERLAP: ClassVar[float] = 0.25
    """Share of a tile that neighbours have in common, where the model card names no largest object."""

    score: float | None = None
    """Least score of an object, 0 to 1. None: the model card's, per class."""
    keep: float | None = None
    """Least score of what is written, where that is less: candidates, from which `lcageo filter` chooses. None: as
    `score`."""
    review: bool = False
    """Whether less certain candidates are looked for as well, to be labelled next; what is found stays the same."""
    classes: tuple[str, ...] = ()
    """Classes to look for; empty: all of the model's."""
    max_per_tile: int = 1000
    """Best objects kept of one tile."""
    overlap: str | None = None
    """Pixels ('200') or per cent of the tile ('25%') shared by neighbouring tiles. None: from the model card."""
    gsd: float | str = AUTO_GSD
    """Metres per pixel to resample to, 'native', or 'auto': native unless outside the model's range."""
    iou: float = 0.6
    """Overlap above which two boxes are one object."""
    merge_metric: MergeMetric = MergeMetric.IOU
    agnostic: bool = False
    """Whether boxes of different classes can be one object."""
    bands: tuple[int, ...] = ()
    """1-based bands to use as red, green, blue; empty: by their colour interpretation."""
    stretch: str = "auto"
    """'auto', 'none' or 'MIN,MAX'."""
    edge_nodata: EdgeNodata = EdgeNodata.AUTO
    aoi: Path | None = None
    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str | None = None
    """CRS of `bbox`; None: the scene's."""

    @classmethod
    def of(cls, options: DetectOptions) -> DetectConfig:
        """The settings that plain values ask for: lists for tuples, text for choices and paths.

        Raises:
            ConfigError: naming the option that is not known or not allowed.
        """
        unknown = set(options) - set(DetectOptions.__annotations__)
        if unknown:
            raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; see lcageo.DetectConfig")
        plain: dict[str, Any] = dict(options)
        if isinstance(options.get("classes"), str):
            raise ConfigError(f"classes {options['classes']!r} is a single text; give a list of names")
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

    def parameters(self) -> dict[str, Any]:
        """All settings by name, JSON-ready."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.score is not None and not 0 <= self.score <= 1:
            raise ConfigError(f"score {self.score} is outside 0 to 1")
        if self.keep is not None and not 0 <= self.keep <= 1:
            raise ConfigError(f"keep {self.keep} is outside 0 to 1")
        if self.keep is not None and self.score is not None and self.keep > self.score:
            raise ConfigError(f"keep {self.keep} is above score {self.score}; it also keeps what scores less")
        if not 0 <= self.iou <= 1:
            raise ConfigError(f"iou {self.iou} is outside 0 to 1")
        if self.max_per_tile < 1:
            raise ConfigError(f"max-per-tile {self.max_per_tile} is below 1")
        if isinstance(self.gsd, str) and self.gsd not in (AUTO_GSD, NATIVE_GSD):
            raise ConfigError(f"gsd '{self.gsd}' is not a number of metres per pixel, 'native' or 'auto'")
        if not isinstance(self.gsd, str) and not 0 < self.gsd < float("inf"):
            raise ConfigError(f"gsd {self.gsd} is not a positive number of metres per pixel")
        if self.aoi is not None and self.bbox is not None:
            raise ConfigError("aoi and bbox exclude each other; give one")
        if self.bbox_crs is not None and self.bbox is None:
            raise ConfigError("bbox-crs says nothing without bbox; give both")


BENCHMARK = DetectConfig(score=0.05, iou=0.6, max_per_tile=100)
"""The protocol of detection benchmarks, in which a model is evaluated.

Source: the test settings of LCA-Det, FCOS and RetinaNet (see `lcageo.network_config.CANDIDATES_PER_LEVEL`).
"""


@dataclass(frozen=True, slots=True)
class ChipConfig:
    """Everything that decides which chips are made of scenes and their labels."""

    class_field: str | None = None
    """The labels' attribute with their classes; None: `class`, `label`, `name` or `category`."""
    class_name: str | None = None
    """The class of all labels, where no attribute tells it."""
    point_size_m: float | None = None
    """Side of the box around a label that is a point, metres on the ground."""
    size: int = 640
    """Side of a chip, pixels: about the default model's tile. A training at this size neither enlarges nor reduces
    chips."""
    overlap: str = "25%"
    """Pixels ('200') or per cent of the chip ('25%') shared by neighbouring chips."""
    gsd_m: float | None = None
    """Metres per pixel to resample to; None: each scene's own."""
    min_visible: float = 0.4
    """An object of which less than this share of its box shows in a chip is to be ignored there."""
    negatives: float = 0.2
    """Greatest share of chips without any object, of train and val each."""
    val: float = 0.2
    """Share of the labels that validate, block by block; 0: none."""
    block_m: float | None = None
    """Side of the blocks that belong to train or val as a whole, metres. None: four chips, or less where the labels
    lie closer together."""
    bands: tuple[int, ...] = ()
    """As in DetectConfig; so are stretch, edge_nodata and aoi."""
    stretch: str = "auto"
    edge_nodata: EdgeNodata = EdgeNodata.AUTO
    aoi: Path | None = None
    """Polygons inside which everything is labelled; nothing else is shown. None: the scenes are labelled whole."""
    seed: int = 0

    def parameters(self) -> dict[str, Any]:
        """All settings by name, JSON-ready."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.class_field is not None and self.class_name is not None:
            raise ConfigError("class-field and class exclude each other; give one")
        if not 32 <= self.size <= SCENE_SIDE_PX:
            raise ConfigError(f"size {self.size} is outside 32 to {SCENE_SIDE_PX:,} pixels")
        overlap_pixels(self.overlap, self.size, "the chip")
        lengths = {"point-size": self.point_size_m, "gsd": self.gsd_m, "block": self.block_m}
        for name, metres in lengths.items():
            if metres is not None and not 0 < metres < float("inf"):
                raise ConfigError(f"{name} {metres} is not a positive number of metres")
        if not 0 < self.min_visible <= 1:
            raise ConfigError(f"min-visible {self.min_visible} is not above 0 and at most 1")
        for name, share in {"negatives": self.negatives, "val": self.val}.items():
            if not 0 <= share < 1:
                raise ConfigError(f"{name} {share} is not a share from 0 to below 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} is below 0")


def overlap_pixels(overlap: str, tile_size: int, what: str = "the model's tile") -> int:
    """Pixels of an overlap given as '200' or '25%'.

    Raises:
        ConfigError: if it is neither, negative, or leaves no step between tiles.
    """
    text = overlap.strip()
    try:
        pixels = round(float(text[:-1]) / 100 * tile_size) if text.endswith("%") else int(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"overlap '{overlap}' is neither pixels like 200 nor per cent like 25%") from None
    if not 0 <= pixels <= tile_size * MAX_OVERLAP:
        raise ConfigError(f"overlap '{overlap}' is outside 0 to 75 % of {what} of {tile_size} pixels")
    return pixels
