"""A small real Predictor without a network, which detects bright squares."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Backend, Engine, Precision
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import ModelCard

BRIGHT = 200
WHITE = 230
CLASSES = ("grey square", "white square")


def bright_card(tile_size: int = 256, largest_object_px: int | None = None) -> ModelCard:
    """A card for BrightSquares; its weights are not read."""
    return ModelCard(
        name="bright",
        network=NetworkConfig(Preset.LCA, len(CLASSES)),
        classes=CLASSES,
        tile_size=tile_size,
        gsd_m=(0.1, 2.0),
        mean=(75.0, 75.0, 75.0),
        std=(50.0, 50.0, 50.0),
        weights=Path("none.safetensors"),
        sha256="0" * 64,
        licence="none needed",
        trained_on="nothing to train",
        largest_object_px=largest_object_px,
    )


class BrightSquares:
    """Detects every connected patch of pixels of at least BRIGHT; its brightness is its score."""

    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    batch = 2
    tile_by_tile = False

    def __init__(self, card: ModelCard, largest_batch: int = 1000) -> None:
        self.card = card
        self.largest_batch = largest_batch
        self.batches: list[int] = []

    def prepare(self, side: int) -> None:
        """Is always ready."""

    def forward(self, images: NDArray[np.uint8]) -> None:
        self.predict(images)

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        if len(images) > self.largest_batch:
            raise DeviceMemoryError(f"cpu has no memory for a batch of {len(images)} tiles")
        self.batches.append(len(images))
        return [find_squares(image) for image in images]


class PowerCutError(BaseException):
    """An error that no run handles."""


class Failing(BrightSquares):
    """Raises an error or sends a signal in the batch after `good` ones."""

    def __init__(self, good: int = 10**9, then: signal.Signals | BaseException | None = None) -> None:
        super().__init__(bright_card(64))
        self.good, self.then = good, then or PowerCutError()
        self._one_by_one = threading.Lock()  # two batches may be running, and a second signal has another meaning

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        with self._one_by_one:
            if len(self.batches) == self.good:
                if isinstance(self.then, BaseException):
                    raise self.then
                os.kill(os.getpid(), self.then)
            return super().predict(images)


def find_squares(image: NDArray[np.uint8]) -> Detections:
    """Detections in one (3, h, w) image."""
    grey = image.min(axis=0)
    rows, columns = np.nonzero(grey >= BRIGHT)
    patch = connected(rows, columns)
    boxes, scores, classes = [], [], []
    for number in np.unique(patch):
        r, c = rows[patch == number], columns[patch == number]
        boxes.append((c.min(), r.min(), c.max() + 1, r.max() + 1))
        brightness = int(grey[r, c].max())
        scores.append(brightness / 255)
        classes.append(int(brightness >= WHITE))
    if not boxes:
        return Detections.empty()
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int64))


def connected(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) one number per 4-connected patch of N pixels: the maximum spreads from pixel to pixel."""
    if len(rows) == 0:
        return np.zeros(0, np.int64)
    place = np.full((rows.max() + 3, columns.max() + 3), -1)
    numbers = np.arange(len(rows))
    place[rows + 1, columns + 1] = numbers
    around = np.stack([place[rows + 1 + dr, columns + 1 + dc] for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1))])
    around = np.where(around < 0, numbers, around)  # (4, N)
    while True:
        spread = np.maximum(numbers, numbers[around].max(axis=0))
        if (spread == numbers).all():
            return numbers
        numbers = spread
