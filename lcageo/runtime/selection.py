"""Which of a network's boxes become detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.runtime.catalog import DEFAULT_SCORE, ModelCard


@dataclass(frozen=True, slots=True)
class Selection:
    """Thresholds and limits, as arrays."""

    thresholds: NDArray[np.float32]
    """(K,) least score per class; above 1 for classes that are not wanted."""
    iou: float
    """Overlap above which two boxes of one class in a tile are one object."""
    max_per_tile: int

    @classmethod
    def of(cls, card: ModelCard, config: DetectConfig) -> Selection:
        """The selection that a config asks of a model.

        Raises:
            UsageError: if the config names a class that the model does not have.
        """
        thresholds = np.full(len(card.classes), 2.0, np.float32)
        for index in card.class_ids(config.classes):
            default = card.thresholds.get(card.classes[index], DEFAULT_SCORE)
            thresholds[index] = default if config.score is None else config.score
        return cls(thresholds, config.iou, config.max_per_tile)


CUT_PX = 1.0
"""A box that ends this close to its tile's edge may go on beyond it."""


def of_possible_size(
    found: Detections, card: ModelCard, pixel_m: tuple[float, float] | None, width: float, height: float
) -> Detections:
    """The objects that are as long on the ground as their class can be: no aircraft has four metres.

    What a tile's edge cuts may be longer than it looks, and is never too short.

    Args:
        found: in a tile's pixels.
        card: the model's, whose size_m counts.
        pixel_m: metres that a pixel has along rows and columns; None where they are not known: then all objects stay.
        width: of the tile, pixels; height likewise.
        height: see there.
    """
    if pixel_m is None or not card.size_m:
        return found
    limits = np.array([card.size_m.get(name, (0.0, np.inf)) for name in card.classes])  # (K, 2)
    boxes = found.boxes_xyxy
    length_m = ((boxes[:, 2:] - boxes[:, :2]) * np.array(pixel_m)).max(axis=1, initial=0)
    cut = (boxes[:, :2] <= CUT_PX).any(axis=1) | (boxes[:, 2:] >= np.array([width, height]) - CUT_PX).any(axis=1)
    least, greatest = limits[found.labels].T
    return found.selected((cut | (length_m >= least)) & (length_m <= greatest))
