"""LCA-H: a shared tower, one decomposition of its features per task, and the maps P and O that align the two tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lcageo.detector.align import align_boxes, aligned_score
from lcageo.detector.boxes import decode_distances, flatten_map
from lcageo.detector.heads import Head, scaled_exp
from lcageo.detector.layers import conv_gn_relu, group_norm, init_normal, init_prior, widen
from lcageo.detector.outputs import LevelOutput
from lcageo.network_config import STRIDES

_CONV_STD = 0.01
_ALIGNMENT_STD = 0.001
"""Attention and offset layers start ten times smaller: features weighted equally, boxes hardly moved."""


class TaskDecomposition(nn.Module):
    """A task-specific mixture of the tower's features.

    w = sigmoid(W2 relu(W1 GAP(F))) weights the features. It is multiplied into the 1x1 weights, which are much smaller
    than the features, and the result is applied as a batched product.

    Source:
        Zhang et al., "Aligning Localization and Classification"; the layer follows Feng et al., "TOOD", section 3.1.
    """

    def __init__(self, channels: int, convs: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(convs * channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, convs, 1)
        self.weight = nn.Parameter(torch.empty(channels, convs, channels))  # (out, feature, in)
        self.norm = group_norm(channels)
        self.relu = nn.ReLU(inplace=True)
        init_normal(self, _ALIGNMENT_STD)
        nn.init.normal_(self.weight, std=_CONV_STD)

    def forward(self, stacked: Tensor, pooled: Tensor) -> Tensor:
        """Mixes one level's features.

        Args:
            stacked: (B, convs * channels, H, W), F.
            pooled: (B, convs * channels, 1, 1), GAP(F).

        Returns:
            (B, channels, H, W).
        """
        attention = self.excite(functional.relu(self.squeeze(pooled))).sigmoid()  # (B, convs, 1, 1)
        weight = self.weight * attention.transpose(1, 2)  # (B, channels, convs, channels)
        result: Tensor = self.relu(self.norm(self.mix(weight.flatten(2), stacked)))
        return result

    def mix(self, weight: Tensor, stacked: Tensor) -> Tensor:
        """The features of each image, mixed by its own weights.

        Args:
            weight: (B, channels, convs * channels).
            stacked: (B, convs * channels, H, W).

        Returns:
            (B, channels, H, W).
        """
        mixed = torch.bmm(weight, stacked.flatten(2))  # (B, channels, H * W)
        return mixed.reshape(*mixed.shape[:2], *stacked.shape[-2:])


class SpatialMap(nn.Module):
    """A map predicted from the stacked features: P with one channel, O with eight.

    The ReLU is not a module, because the paper's FLOPs count modules and agree only without it.
    """

    def __init__(self, in_channels: int, hidden: int, out_channels: int, std: float) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, hidden, 1)
        self.predict = nn.Conv2d(hidden, out_channels, 3, padding=1)
        init_normal(self, std)

    def forward(self, stacked: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        return widen(self.predict(functional.relu(self.reduce(stacked))))


class LcaHead(Head):
    """One point per cell; scores sqrt(S x P) and boxes A(B, O).

    Args:
        channels: width of the pyramid and of the tower; a multiple of 8.
        num_classes: K.
        convs: 3x3 convolutions in the shared tower.

    Source:
        Zhang et al., "Aligning Localization and Classification", figure 1 and equation 1. The layers of P and O are
        ours, sized so that parameters and FLOPs agree with Table I.
    """

    def __init__(self, channels: int, num_classes: int, convs: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.tower = nn.ModuleList(conv_gn_relu(channels, channels, 3) for _ in range(convs))
        self.class_logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.log_distances = nn.Conv2d(channels, 4, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        init_normal(self)
        init_prior(self.class_logits)
        self.class_task = TaskDecomposition(channels, convs)
        self.box_task = TaskDecomposition(channels, convs)
        self.probability = SpatialMap(convs * channels, channels // 4, 1, _CONV_STD)
        self.offsets = SpatialMap(convs * channels, channels // 4, 8, _ALIGNMENT_STD)
        init_prior(self.probability.predict)

    @property
    def predictors(self) -> tuple[nn.Conv2d, ...]:
        """Layers of class logits, distances, P and O."""
        return self.class_logits, self.log_distances, self.probability.predict, self.offsets.predict

    def forward(self, levels: Sequence[Tensor]) -> tuple[LevelOutput, ...]:
        """Class logits, distances, logits of P, and O of each level."""
        return tuple(self._level(x, scale) for x, scale in zip(levels, self.scales, strict=True))

    def _level(self, x: Tensor, scale: Tensor) -> LevelOutput:
        features = []
        for conv in self.tower:
            x = conv(x)
            features.append(x)
        stacked = torch.cat(features, dim=1)
        pooled = stacked.mean(dim=(2, 3), keepdim=True)
        gate_logits, offsets = self.maps(stacked)
        return LevelOutput(
            class_logits=widen(self.class_logits(self.class_task(stacked, pooled))),
            regression=scaled_exp(self.log_distances(self.box_task(stacked, pooled)), scale),
            gate_logits=gate_logits,
            offsets=offsets,
        )

    def maps(self, stacked: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of P (B, 1, H, W) and O (B, 8, H, W) from the stacked features (B, convs * channels, H, W)."""
        return self.probability(stacked), self.offsets(stacked)

    def decode(self, output: LevelOutput, stride: int) -> tuple[Tensor, Tensor]:
        """S* and B*."""
        assert output.gate_logits is not None and output.offsets is not None, "LCA-H outputs hold P and O"
        scores = aligned_score(output.class_logits, output.gate_logits)
        boxes = align_boxes(decode_distances(output.regression, stride), output.offsets)
        return flatten_map(scores, self.num_classes), flatten_map(boxes, 4)
