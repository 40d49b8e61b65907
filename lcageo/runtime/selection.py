"""Which of a network's boxes become detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig
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
