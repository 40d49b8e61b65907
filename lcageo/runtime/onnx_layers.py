"""Layers of the head as the exported graph has them: the same results from the same weights, faster on a CPU.

OpenVINO's convolutions read and write maps channels last. As torch exports them, group normalisation (reshaped to
groups) and the product of a task's weights with its features take channels first, so that each map is brought from one
layout to the other and back. The layers here leave maps as they are. `tests/benchmarks/layers.py` shows what each part
of a graph takes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lcageo.detector.layers import widen
from lcageo.detector.lca_head import LcaHead, TaskDecomposition


class GraphGroupNorm(nn.GroupNorm):
    """Group normalisation by means over rows and columns, which need no reshaped map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape.

        The variance is the mean of squared deviations: in bfloat16, the mean of squares less the squared mean would
        lose most of its digits where the mean is large.
        """
        deviations = x - self._group_means(x)
        variance = self._group_means(deviations.square())
        scale = self.weight[:, None, None] * (variance + self.eps).rsqrt()
        return deviations * scale + self.bias[:, None, None]

    def _group_means(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1), the mean of each channel's group: channels have equally many cells."""
        grouped = x.mean(dim=(2, 3)).reshape(len(x), self.num_groups, -1)  # (B, groups, C / groups)
        means: Tensor = grouped.mean(dim=2, keepdim=True).expand_as(grouped)
        return means.flatten(1)[:, :, None, None]


class GraphTaskDecomposition(TaskDecomposition):
    """Mixes the features of a single image by a 1x1 convolution with its weights."""

    def mix(self, weight: Tensor, stacked: Tensor) -> Tensor:
        """(1, channels, convs * channels) and (1, convs * channels, H, W) to (1, channels, H, W)."""
        assert len(stacked) == 1, "graphs take one image"
        return functional.conv2d(stacked, weight[0, :, :, None, None])


class GraphLcaHead(LcaHead):
    """Reduces the stacked features for P and O by one convolution: reading these largest maps of all takes its time."""

    def maps(self, stacked: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of P (B, 1, H, W) and O (B, 8, H, W) from the stacked features (B, convs * channels, H, W)."""
        layers = (self.probability, self.offsets)
        weight, bias = (torch.cat([getattr(one.reduce, name) for one in layers]) for name in ("weight", "bias"))
        # The bias is added apart: given to the convolutions of all levels, onnxruntime.quantization names its copies
        # cat_20, cat_21 and so on, as values of the graph are called already.
        reduced = functional.conv2d(stacked, weight) + bias[:, None, None]
        hidden = functional.relu(reduced).chunk(2, dim=1)
        gate_logits, offsets = (one.predict(part) for one, part in zip(layers, hidden, strict=True))
        return widen(gate_logits), widen(offsets)


_GRAPH_LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.GroupNorm: GraphGroupNorm,
    TaskDecomposition: GraphTaskDecomposition,
    LcaHead: GraphLcaHead,
}


def use_graph_layers(network: nn.Module) -> None:
    """Turns a network's layers, in place, into those of a graph; their weights keep their names.

    Args:
        network: in evaluation mode; afterwards for one image at a time.
    """
    for module in network.modules():
        if type(module) in _GRAPH_LAYERS:
            module.__class__ = _GRAPH_LAYERS[type(module)]  # same weights, another forward pass
