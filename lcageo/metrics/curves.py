"""Precision and recall over falling score, and the figures read off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = np.linspace(0, 1, 11)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What is right when all detections down to a score are kept; best score first."""

    scores: Floats
    """(N,) falling."""
    precision: Floats
    """(N,) share of the detections kept that are right."""
    recall: Floats
    """(N,) share of the objects that are found, rising; nan where there is no object."""
    objects: int
    """How many there are to find."""

    def average_precision(self) -> float:
        """COCO's AP: the best precision at each of 101 recalls or beyond it, averaged; nan without objects."""
        return self._interpolated(COCO_RECALLS)

    def voc07_average_precision(self) -> float:
        """The 11-point AP of PASCAL VOC 2007, which DIOR papers give; nan without objects.

        Source:
            Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2.
        """
        return self._interpolated(VOC_RECALLS)

    def best_f1(self) -> OperatingPoint:
        """Where the harmonic mean of precision and recall is greatest; the highest such score."""
        if not len(self.scores) or not self.objects:
            return OperatingPoint(float("nan"), 0.0, 0.0, 0.0)
        f1 = _harmonic_mean(self.precision, self.recall)
        # Detections of equal score are kept or dropped together, so only the last of them is a place to cut.
        f1[:-1][self.scores[1:] == self.scores[:-1]] = -1
        best = int(f1.argmax())
        return OperatingPoint(
            float(self.scores[best]), float(self.precision[best]), float(self.recall[best]), float(f1[best])
        )

    def _interpolated(self, recalls: Floats) -> float:
        if not self.objects:
            return float("nan")
        if not len(self.scores):
            return 0.0
        beyond = np.maximum.accumulate(self.precision[::-1])[::-1]
        places = np.searchsorted(self.recall, recalls, side="left")
        return float(np.where(places < len(beyond), beyond[np.minimum(places, len(beyond) - 1)], 0.0).mean())


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Precision and recall at one score."""

    score: float
    precision: float
    recall: float
    f1: float


def curve_of(scores: Floats, right: NDArray[np.bool_], objects: int) -> Curve:
    """The curve of some detections.

    Args:
        scores: (N,), in any order; equal scores keep their order.
        right: (N,) whether each is matched with an object of its own.
        objects: how many objects there are to find.
    """
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order]).astype(np.float64)
    recall = found / objects if objects else np.full(len(found), np.nan)
    return Curve(scores[order].astype(np.float64), found / np.arange(1, len(found) + 1), recall, objects)


def _harmonic_mean(precision: Floats, recall: Floats) -> Floats:
    total = precision + recall
    mean: Floats = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return mean
