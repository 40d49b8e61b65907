"""Layers that backbone, neck and heads share: normalisation, the head's convolution block, initial values."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from lcageo.config import Norm

PRIOR_LOGIT = -math.log((1 - 0.01) / 0.01)
"""Bias (-4.595) that makes a sigmoid start at 0.01, so that the many empty places do not swamp the first steps.

Source: Lin et al., "Focal Loss for Dense Object Detection", section 4.1.
"""

_CHANNELS_PER_GROUP = 8
"""32 groups at 256 channels, and any width that is a multiple of 8 divides evenly.

Source: Wu and He, "Group Normalization", table 3: a fixed number of channels a group is about as good as 32 groups.
"""


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by stored statistics, with fixed weights, whatever mode the network is in.

    It keeps BatchNorm2d's state, so that weights move freely between the settings `bn` and `frozen_bn`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with eight channels a group; channels must be a multiple of 8."""
    return nn.GroupNorm(channels // _CHANNELS_PER_GROUP, channels)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The normalisation layer that a setting names."""
    if norm is Norm.GN:
        return group_norm(channels)
    return FrozenBatchNorm2d(channels) if norm is Norm.FROZEN_BN else nn.BatchNorm2d(channels)


def conv_gn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution without bias (GroupNorm brings its own), GroupNorm, ReLU; keeps height and width."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, group_norm(out_channels), nn.ReLU(inplace=True))


def conv_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution with bias, ReLU; keeps height and width."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True))


def init_normal(module: nn.Module, std: float = 0.01) -> None:
    """Fills every convolution inside `module` from N(0, std), its bias with 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_prior(conv: nn.Conv2d) -> None:
    """Sets the bias of a predictor of logits so that its sigmoid starts at 0.01."""
    assert conv.bias is not None, "a predictor of logits has a bias"
    nn.init.constant_(conv.bias, PRIOR_LOGIT)


def widen(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay.

    Convolutions may run in bfloat16 under autocast; probabilities and pixel coordinates may not: its 8 bits of
    precision are 4 pixels at 800.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
