"""Agreement of classification and localisation: score and IoU of kept boxes, and each object's two best points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dense import Dense
from numpy.typing import NDArray

from lcageo.metrics.match import LEAST_IOU, overlapping
from lcageo.metrics.truth import Counted, Floats, Index

_TOUCHING = 1e-9
"""Minimum IoU that counts as an overlap."""


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """For G objects, the locations with the best score and with the best IoU; coordinates are tile pixels."""

    objects_xyxy: Floats
    """(G, 4)."""
    scored: Index
    """(G,) index of the location with the best score for the object's class."""
    located: Index
    """(G,) index of the location whose box fits best."""
    scored_xy: Floats
    """(G, 2) points of these locations."""
    located_xy: Floats
    scored_xyxy: Floats
    """(G, 4) boxes of these locations."""
    located_xyxy: Floats
    scored_iou: Floats
    """(G,) IoU of these boxes with the object."""
    located_iou: Floats

    @property
    def distance(self) -> Floats:
        """(G,) distance of the two points in object sizes.

        x is measured in widths and y in heights of the object, so that elongated objects count like square ones.
        """
        sizes = self.objects_xyxy[:, 2:] - self.objects_xyxy[:, :2]
        apart: Floats = np.hypot(*((self.scored_xy - self.located_xy) / sizes).T)
        return apart


def find_peaks(dense: Dense) -> Peaks:
    """The two best locations of each object of an image, among those of all levels whose point is inside the object.

    Locations whose box fits another object of the class better belong to that one and are left out: where upright boxes
    overlap, as around rotated courts side by side, a neighbour's centre is inside. If no location is left, the nearest
    points are used; of equals, the first one, on the finest level, is best.
    """
    count = len(dense.labels)
    scored, located = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for number, (box, label) in enumerate(zip(dense.objects_xyxy, dense.labels.tolist(), strict=True)):
        fits_best = dense.iou[number] >= dense.iou[dense.labels == label].max(axis=0)
        near = np.flatnonzero(dense.inside[number] & fits_best)
        if not len(near):
            away = np.hypot(*(dense.points_xy - (box[:2] + box[2:]) / 2).T)
            near = np.flatnonzero(away == away.min())
        scored[number] = near[dense.scores[number, near].argmax()]
        located[number] = near[dense.iou[number, near].argmax()]
    objects = np.arange(count)
    return Peaks(
        objects_xyxy=dense.objects_xyxy,
        scored=scored,
        located=located,
        scored_xy=dense.points_xy[scored],
        located_xy=dense.points_xy[located],
        scored_xyxy=dense.boxes_xyxy[scored],
        located_xyxy=dense.boxes_xyxy[located],
        scored_iou=dense.iou[objects, scored],
        located_iou=dense.iou[objects, located],
    )


def score_and_iou(what: Counted) -> tuple[Floats, Floats]:
    """(D,) scores of the detections and (D,) their maximum IoU with an object of their class, 0 without one.

    Detections in a difficult object that are on no other object are left out.
    """
    found, truth, shares = overlapping(what, what.found_group, what.truth_group, _TOUCHING)
    difficult = what.difficult[truth]
    iou, in_difficult = np.zeros(len(what.score)), np.zeros(len(what.score))
    np.maximum.at(iou, found[~difficult], shares[~difficult])
    np.maximum.at(in_difficult, found[difficult], shares[difficult])
    counts = (in_difficult < LEAST_IOU) | (iou >= LEAST_IOU)
    return what.score[counts], iou[counts]


def pearson(first: Floats, second: Floats) -> float:
    """Pearson correlation of (N,) pairs; NaN if one side does not vary."""
    if len(first) < 2 or not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: Floats, second: Floats) -> float:
    """Spearman correlation: Pearson's, of the pairs' ranks."""
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: Floats) -> Floats:
    """(N,) ranks from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (counts.cumsum() - (counts - 1) / 2)[which]
    return ranks


def summary(scores: Floats, ious: Floats, peaks: Peaks) -> dict[str, Any]:
    """A model's metrics, JSON-ready.

    Args:
        scores: (D,) scores of the kept boxes.
        ious: (D,) their IoUs.
        peaks: those of all objects.
    """
    distance = peaks.distance
    return {
        "kept_boxes": _correlations(scores, ious, np.ones(len(ious), np.bool_)),
        "kept_boxes_on_objects": _correlations(scores, ious, ious >= LEAST_IOU),
        "objects": len(distance),
        "distance_mean": _mean(distance),
        "distance_median": float(np.median(distance)) if len(distance) else None,
        "same_place_share": _mean(peaks.scored == peaks.located),
        "best_scored_iou": _mean(peaks.scored_iou),
        "best_located_iou": _mean(peaks.located_iou),
    }


def _correlations(scores: Floats, ious: Floats, which: NDArray[np.bool_]) -> dict[str, Any]:
    both = {"pearson": pearson(scores[which], ious[which]), "spearman": spearman(scores[which], ious[which])}
    return {"boxes": int(which.sum()), **{name: None if np.isnan(value) else value for name, value in both.items()}}


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
