"""Detections: boxes, scores and labels as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects found in one frame of pixels (a tile or a scene). There may be none (N = 0).

    Pixels are continuous: the origin is the outer corner of the upper-left pixel, so x2 - x1 is a width.
    """

    boxes_xyxy: Boxes
    """(N, 4) float32 in tile pixels, float64 in scene pixels (float32 keeps only 1/64 px at column 200,000)."""
    scores: NDArray[np.float32]
    """(N,) float32, 0 to 1."""
    labels: NDArray[np.int64]
    """(N,) int64 indices into the model's classes."""

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes_xyxy.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            raise ValueError(
                f"boxes {self.boxes_xyxy.shape}, scores {self.scores.shape} and labels {self.labels.shape} "
                "do not describe the same objects; expected (N, 4), (N,) and (N,)"
            )
        if not np.issubdtype(self.boxes_xyxy.dtype, np.floating):
            raise ValueError(f"boxes must be floating point, not {self.boxes_xyxy.dtype}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """All objects of `parts`, in their order."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.boxes_xyxy for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )

    def selected(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Detections:
        """The objects at `index` (positions, mask or slice), in its order."""
        return Detections(self.boxes_xyxy[index], self.scores[index], self.labels[index])

    def scaled_and_shifted(self, scale: tuple[float, float], dx: float, dy: float) -> Detections:
        """The same objects with boxes (x * scale[0] + dx, y * scale[1] + dy), float64."""
        offset = np.array([dx, dy, dx, dy], dtype=np.float64)
        boxes = self.boxes_xyxy.astype(np.float64) * np.array([*scale, *scale]) + offset
        return Detections(boxes, self.scores, self.labels)
