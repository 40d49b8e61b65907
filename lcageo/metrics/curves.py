"""Precision-recall curves, and the figures derived from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COCO_RECALLS = np.linspace(0, 1, 101)
"""COCO's recalls, with its rounding: the 36th is slightly more than 0.35, so that 7 of 20 do not reach it."""
VOC_RECALLS = np.arange(11) / 10
"""VOC's recalls, rounded once, as a recall is: 3 of 10 reach 0.3; the fourth of `linspace` is slightly more."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall when all detections down to a score are kept; best score first."""

    scores: Floats
    """(N,) descending."""
    precision: Floats
    """(N,) share of the detections kept that are right."""
    recall: Floats
    """(N,) share of the objects that are found, ascending; nan without objects."""
    objects: int
    """Number of objects to find."""

    def average_precision(self) -> float:
        """COCO's AP: the best precision at each of 101 recalls or beyond it, averaged; nan without objects."""
        return float(self.precision_at(COCO_RECALLS).mean())

    def voc07_average_precision(self) -> float:
        """The 11-point AP of PASCAL VOC 2007, which DIOR papers report; nan without objects.

        Source:
            Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2.
        """
        return float(self.precision_at(VOC_RECALLS).mean())

    def precision_at(self, recalls: Floats) -> Floats:
        """(R,) the best precision at each of some recalls or beyond it, 0 beyond the last; nan without objects."""
        if not self.objects:
            return np.full(len(recalls), np.nan)
        beyond = np.append(np.maximum.accumulate(self.precision[::-1])[::-1], 0.0)
        return beyond[np.searchsorted(self.recall, recalls, side="left")]

    def best_f1(self) -> OperatingPoint:
        """The operating point of maximum F1, the harmonic mean of precision and recall; of several, the highest score.

        Without a correct detection: a score of nan, all else 0. Without objects: all nan.
        """
        if not self.objects:
            return OperatingPoint(*[float("nan")] * 4)
        if not self.recall.any():
            return OperatingPoint(float("nan"), 0.0, 0.0, 0.0)
        f1 = _harmonic_mean(self.precision, self.recall)
        # Detections of equal score are kept or dropped together, so only the last of them is a possible threshold.
        f1[:-1][self.scores[1:] == self.scores[:-1]] = -1
        best = int(f1.round(12).argmax())  # equal ones may differ in their last digits
        return OperatingPoint(
            float(self.scores[best]), float(self.precision[best]), float(self.recall[best]), float(f1[best])
        )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Precision and recall when all detections with at least a score are kept."""

    score: float
    precision: float
    recall: float
    f1: float


def curve_of(scores: Floats, right: NDArray[np.bool_], objects: int) -> Curve:
    """The curve of some detections.

    Args:
        scores: (N,), in any order; equal scores keep their order.
        right: (N,) True if matched with an object of its own.
        objects: number of objects to find.
    """
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order]).astype(np.float64)
    recall = found / objects if objects else np.full(len(found), np.nan)
    return Curve(scores[order].astype(np.float64), found / np.arange(1, len(found) + 1), recall, objects)


def _harmonic_mean(precision: Floats, recall: Floats) -> Floats:
    total = precision + recall
    mean: Floats = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return mean
