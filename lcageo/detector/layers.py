"""Layers that backbone, neck and heads share: normalisation and its folding, convolution blocks, initial values."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lcageo.network_config import Norm

PRIOR_LOGIT = -math.log((1 - 0.01) / 0.01)
"""Bias (-4.595) that makes a sigmoid start at 0.01, so that the many empty places do not dominate the first steps.

Source: Lin et al., "Focal Loss for Dense Object Detection", section 4.1.
"""

CHANNELS_PER_GROUP = 8
"""32 groups at 256 channels, and any width that is a multiple of 8 divides evenly.

Source: Wu and He, "Group Normalization", table 3: a fixed number of channels per group is about as good as 32 groups.
"""


_EPS = 1e-5
"""Added to the variance before the square root; torch's default."""


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with stored statistics and fixed weights, whatever mode the network is in.

    Its state is that of BatchNorm2d, so that weights fit both settings, `bn` and `frozen_bn`.
    """

    def __init__(self, channels: int, eps: float = _EPS) -> None:
        super().__init__(channels, eps)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode."""
        return super().train(False)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with eight channels per group; channels must be a multiple of 8."""
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


def norm_layer(norm: Norm, channels: int, eps: float = _EPS) -> nn.Module:
    """The normalisation layer that a setting names; batch norms take the `eps` that a checkpoint was trained with."""
    if norm is Norm.GN:
        return group_norm(channels)
    return FrozenBatchNorm2d(channels, eps) if norm is Norm.FROZEN_BN else nn.BatchNorm2d(channels, eps)


def fold_batch_norm(network: nn.Module) -> None:
    """Folds, in place, every batch normalisation that directly follows a convolution; for evaluation only.

    In this package a convolution and the normalisation of its result are neighbours among a module's children.

    Args:
        network: in evaluation mode.
    """
    for module in network.modules():
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())


def conv_gn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """Convolution without bias (GroupNorm has its own), GroupNorm, ReLU; keeps height and width."""
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
    """Sets the bias of a layer that predicts logits so that their sigmoid starts at 0.01."""
    assert conv.bias is not None, "a layer that predicts logits has a bias"
    nn.init.constant_(conv.bias, PRIOR_LOGIT)


def widen(values: Tensor) -> Tensor:
    """Converts half precision to float32; float32 and float64 stay.

    Convolutions may run in bfloat16 under autocast, but not probabilities and pixel coordinates: 8 bits of precision
    are 4 pixels at 800.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
