"""A small real Predictor without a network: finds bright squares. Works on pixels like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.config import NetworkConfig, Preset
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError
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
    """Every connected patch of pixels of at least BRIGHT is an object; its brightness is its score."""

    device = "cpu"

    def __init__(self, card: ModelCard, largest_batch: int = 1000) -> None:
        self.card = card
        self.largest_batch = largest_batch
        self.batches: list[int] = []

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        if len(images) > self.largest_batch:
            raise DeviceMemoryError(f"cpu has no memory for a batch of {len(images)} tiles")
        self.batches.append(len(images))
        return [find_squares(image) for image in images]


def find_squares(image: NDArray[np.uint8]) -> Detections:
    """Detections in one (3, h, w) image."""
    grey = image.min(axis=0)
    labels = connected(grey >= BRIGHT)
    boxes, scores, classes = [], [], []
    for label in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == label)
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        brightness = int(grey[rows, columns].max())
        scores.append(brightness / 255)
        classes.append(int(brightness >= WHITE))
    if not boxes:
        return Detections.empty()
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int64))


def connected(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(h, w) 0 outside the mask, else one number per 4-connected patch: the greatest number spreads."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        framed = np.pad(labels, 1)
        around = [framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]]
        spread = np.where(mask, np.maximum.reduce([labels, *around]), 0)
        if (spread == labels).all():
            return labels
        labels = spread
