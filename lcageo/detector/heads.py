"""Heads of the comparison systems: RetinaNet, FCOS, dual-branch baseline. Levels share their weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lcageo.detector.align import aligned_score
from lcageo.detector.boxes import (
    ANCHORS_PER_CELL,
    anchors,
    decode_deltas,
    decode_distances,
    flatten_map,
)
from lcageo.detector.layers import CHANNELS_PER_GROUP, conv_gn_relu, conv_relu, init_normal, init_prior, widen
from lcageo.detector.outputs import LevelOutput
from lcageo.network_config import STRIDES

MAX_LOG_DISTANCE = math.log(1000)
"""A side is at most 1000 strides away, which keeps exp, and so the sampling of boxes, finite."""


class Head(nn.Module, ABC):
    """Turns pyramid levels into raw maps, and raw maps into scores and boxes."""

    @property
    @abstractmethod
    def predictors(self) -> tuple[nn.Conv2d, ...]:
        """The output layers, which some optimisers must not treat as hidden layers."""

    @abstractmethod
    def forward(self, levels: Sequence[Tensor]) -> tuple[LevelOutput, ...]:
        """Five maps (B, channels, H_l, W_l), finest first, to as many raw outputs."""

    @abstractmethod
    def decode(self, output: LevelOutput, stride: int) -> tuple[Tensor, Tensor]:
        """One level's scores (B, H * W * A, K) and boxes in pixels (B, H * W * A, 4), differentiable and unclipped."""


class Branch(nn.Module):
    """A tower of 3x3 convolutions; `fused` adds a 1x1 convolution over its normalised input and all its features."""

    def __init__(self, channels: int, convs: int, *, norm: bool, fused: bool = False) -> None:
        super().__init__()
        block = conv_gn_relu if norm else conv_relu
        self.convs = nn.ModuleList(block(channels, channels, 3) for _ in range(convs))
        self.fuse = conv_gn_relu((convs + 1) * channels, channels, 1) if fused else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        features = [x]
        for conv in self.convs:
            features.append(conv(features[-1]))
        if self.fuse is None:
            return features[-1]
        # A pyramid has no norms: its values are ten to thirty times a feature's, which would count for nothing.
        features[0] = functional.group_norm(x, x.shape[1] // CHANNELS_PER_GROUP)
        fused: Tensor = self.fuse(torch.cat(features, dim=1))
        return fused


class RetinaHead(Head):
    """Nine anchors per cell, two towers with bias and without normalisation; the score is sigmoid(class).

    Source:
        Lin et al., "Focal Loss for Dense Object Detection", section 4.
    """

    def __init__(self, channels: int, num_classes: int, convs: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_branch = Branch(channels, convs, norm=False)
        self.box_branch = Branch(channels, convs, norm=False)
        self.class_logits = nn.Conv2d(channels, ANCHORS_PER_CELL * num_classes, 3, padding=1)
        self.deltas = nn.Conv2d(channels, ANCHORS_PER_CELL * 4, 3, padding=1)
        init_normal(self)
        init_prior(self.class_logits)

    @property
    def predictors(self) -> tuple[nn.Conv2d, ...]:
        """Layers of class logits and anchor deltas."""
        return self.class_logits, self.deltas

    def forward(self, levels: Sequence[Tensor]) -> tuple[LevelOutput, ...]:
        """Class logits and deltas of each level."""
        return tuple(
            LevelOutput(widen(self.class_logits(self.class_branch(x))), widen(self.deltas(self.box_branch(x))))
            for x in levels
        )

    def decode(self, output: LevelOutput, stride: int) -> tuple[Tensor, Tensor]:
        """Probabilities, and anchors moved by their deltas."""
        boxes = decode_deltas(anchors(output.regression, stride), flatten_map(output.regression, 4))
        return flatten_map(output.class_logits.sigmoid(), self.num_classes), boxes


class FcosHead(Head):
    """One point per cell, two GN towers, centerness from the class tower; the score is sqrt(class x centerness).

    Distances are exp(scale_l x reg) as in the paper, but in strides, so that all levels start alike.

    Source:
        Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection". The square root is not in the paper; its
        authors' public code and torchvision's `models/detection/fcos.py` take it.
    """

    def __init__(self, channels: int, num_classes: int, convs: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_branch = Branch(channels, convs, norm=True)
        self.box_branch = Branch(channels, convs, norm=True)
        self.class_logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.centerness = nn.Conv2d(channels, 1, 3, padding=1)
        self.log_distances = nn.Conv2d(channels, 4, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        init_normal(self)
        init_prior(self.class_logits)

    @property
    def predictors(self) -> tuple[nn.Conv2d, ...]:
        """Layers of class logits, centerness and distances."""
        return self.class_logits, self.centerness, self.log_distances

    def forward(self, levels: Sequence[Tensor]) -> tuple[LevelOutput, ...]:
        """Class logits, distances and centerness logits of each level."""
        outputs = []
        for x, scale in zip(levels, self.scales, strict=True):
            features = self.class_branch(x)
            log_distances = scale * widen(self.log_distances(self.box_branch(x)))
            distances = log_distances.clamp(max=MAX_LOG_DISTANCE).exp()
            gate_logits = widen(self.centerness(features))
            outputs.append(LevelOutput(widen(self.class_logits(features)), distances, gate_logits))
        return tuple(outputs)

    def decode(self, output: LevelOutput, stride: int) -> tuple[Tensor, Tensor]:
        """Geometric mean of class and centerness, and boxes around the points."""
        assert output.gate_logits is not None, "FCOS outputs hold centerness"
        scores = aligned_score(output.class_logits, output.gate_logits)
        boxes = decode_distances(output.regression, stride)
        return flatten_map(scores, self.num_classes), flatten_map(boxes, 4)


class BaselineHead(Head):
    """One point per cell, two GN towers, no centerness; the score is sigmoid(class).

    Args:
        channels: width of the pyramid and of the towers.
        num_classes: K.
        convs: 3x3 convolutions in each tower.
        fused: each tower's input, normalised without weights, and features go through a 1x1 convolution, and the
            predictors are 1x1. This is the baseline whose size matches the paper's Table I; without it (3x3
            predictors) it is the usual head.
    """

    def __init__(self, channels: int, num_classes: int, convs: int, *, fused: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.class_branch = Branch(channels, convs, norm=True, fused=fused)
        self.box_branch = Branch(channels, convs, norm=True, fused=fused)
        kernel = 1 if fused else 3
        self.class_logits = nn.Conv2d(channels, num_classes, kernel, padding=kernel // 2)
        self.log_distances = nn.Conv2d(channels, 4, kernel, padding=kernel // 2)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        init_normal(self)
        init_prior(self.class_logits)

    @property
    def predictors(self) -> tuple[nn.Conv2d, ...]:
        """Layers of class logits and distances."""
        return self.class_logits, self.log_distances

    def forward(self, levels: Sequence[Tensor]) -> tuple[LevelOutput, ...]:
        """Class logits and distances of each level."""
        outputs = []
        for x, scale in zip(levels, self.scales, strict=True):
            distances = scaled_exp(self.log_distances(self.box_branch(x)), scale)
            outputs.append(LevelOutput(widen(self.class_logits(self.class_branch(x))), distances))
        return tuple(outputs)

    def decode(self, output: LevelOutput, stride: int) -> tuple[Tensor, Tensor]:
        """Probabilities, and boxes around the points."""
        boxes = decode_distances(output.regression, stride)
        return flatten_map(output.class_logits.sigmoid(), self.num_classes), flatten_map(boxes, 4)


def scaled_exp(log_distances: Tensor, scale: Tensor) -> Tensor:
    """Distances d = scale x exp(reg), in strides and at least float32."""
    return scale * widen(log_distances).clamp(max=MAX_LOG_DISTANCE).exp()
