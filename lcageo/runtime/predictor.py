"""Predictor: what runs a model on a batch of tiles, whatever runs it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.selection import Selection


class Predictor(Protocol):
    """Runs one model on one device."""

    @property
    def card(self) -> ModelCard:
        """The model."""

    @property
    def device(self) -> str:
        """Where it runs, such as 'cpu' or 'cuda:0'."""

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Objects in each of a batch of tiles.

        Args:
            images: (B, 3, tile_size, tile_size) uint8 RGB.

        Returns:
            B Detections in tile pixels, float32, each already free of duplicates, best first.

        Raises:
            DeviceMemoryError: if the device cannot hold the batch.
        """


def load_predictor(card: ModelCard, config: DetectConfig, device: str = "auto") -> Predictor:
    """A predictor for a model.

    Args:
        card: the model.
        config: which boxes to return; its score, classes, iou and max_per_tile count.
        device: 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'.

    Raises:
        UsageError: if the config names a class that the model does not have.
        ModelError: if the weights are missing, altered, or do not fit the network.
        DeviceError: if the device is not there.
    """
    from lcageo.runtime.torch_backend import TorchPredictor  # torch takes seconds to import

    return TorchPredictor.load(card, Selection.of(card, config), device)


def gpu_count() -> int:
    """CUDA devices of this machine."""
    from lcageo.runtime import torch_backend

    return torch_backend.gpu_count()
