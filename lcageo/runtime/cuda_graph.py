"""A forward pass recorded once per shape and replayed: hundreds of kernels are launched with one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lcageo.detector.outputs import Predictions

Forward = Callable[[Tensor], Predictions]
_WARM_UP = 3
"""Runs before recording, in which cuDNN chooses its kernels and memory is allocated."""
_MAX_SHAPES = 2
"""Maximum number of recorded shapes, as each holds memory. Further shapes are run without recording."""


class GraphedForward:
    """Calls `forward`, through a CUDA graph if it can be recorded.

    The result is overwritten by the next call of the same shape; calls must not overlap.

    Source:
        PyTorch documentation, "CUDA semantics", section "CUDA Graphs".
    """

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward, self._device = forward, device
        self._recorded: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Predictions] | None] = {}

    def __call__(self, pixels: Tensor) -> Predictions:
        """Predictions of (B, 3, S, S) uint8 pixels."""
        if pixels.shape not in self._recorded and len(self._recorded) < _MAX_SHAPES:
            self._recorded[pixels.shape] = self._record(pixels)
        recorded = self._recorded.get(pixels.shape)
        if recorded is None:
            return self._forward(pixels)
        graph, inputs, outputs = recorded
        inputs.copy_(pixels)
        graph.replay()
        return outputs

    def _record(self, pixels: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Predictions] | None:
        inputs = pixels.clone()
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._forward(inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may pin memory for their batches meanwhile, which the default mode forbids.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                outputs = self._forward(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # a layer that synchronises with the device: run without a graph
            return None
        return graph, inputs, outputs
