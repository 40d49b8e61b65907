"""How far classifying and locating agree: score against IoU of kept boxes, and each object's two best points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MergeMetric
from lcageo.metrics.match import LEAST_IOU, overlapping
from lcageo.metrics.truth import Counted, Floats, Index
from lcageo.nms import overlap

_TOUCHING = 1e-9
"""Least overlap that is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Of each of G objects the place that scores best for its class, and the one whose box fits best; tile pixels."""

    objects_xyxy: Floats
    """(G, 4)."""
    scored: Index
    """(G,) which place."""
    located: Index
    """(G,) likewise."""
    scored_xy: Floats
    """(G, 2) the points that the places stand for."""
    located_xy: Floats
    scored_xyxy: Floats
    """(G, 4) their boxes."""
    located_xyxy: Floats
    scored_iou: Floats
    """(G,) overlap of these with the object."""
    located_iou: Floats

    @property
    def distance(self) -> Floats:
        """(G,) between the two points, in object sizes: its width across, its height down. A long object counts as a
        square one does.
        """
        sizes = self.objects_xyxy[:, 2:] - self.objects_xyxy[:, :2]
        apart: Floats = np.hypot(*((self.scored_xy - self.located_xy) / sizes).T)
        return apart


def find_peaks(scores: Floats, boxes_xyxy: Floats, points_xy: Floats, objects_xyxy: Floats, labels: Index) -> Peaks:
    """The two best places of each object, before any suppression, among those of all levels whose point lies in it.

    Places whose box fits another object of the class better are that one's, and left out: where upright boxes overlap,
    as around tilted courts side by side, a neighbour's middle lies inside. Where no place is left, the nearest points
    are looked at; of equals the first, on the finest level, is best.

    Args:
        scores: (N, K) of all places.
        boxes_xyxy: (N, 4) likewise.
        points_xy: (N, 2) likewise.
        objects_xyxy: (G, 4).
        labels: (G,) their classes.
    """
    scored, located = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    ious = np.zeros((2, len(labels)))
    for place, (box, label) in enumerate(zip(objects_xyxy, labels.tolist(), strict=True)):
        near = np.flatnonzero(((points_xy > box[:2]) & (points_xy < box[2:])).all(axis=1))
        near = near[_fits_best(boxes_xyxy[near], box, objects_xyxy[labels == label])]
        if not len(near):
            away = np.hypot(*(points_xy - (box[:2] + box[2:]) / 2).T)
            near = np.flatnonzero(away == away.min())
        iou = overlap(boxes_xyxy[near], box[None], MergeMetric.IOU)
        best = int(scores[near, label].argmax()), int(iou.argmax())
        scored[place], located[place] = near[best[0]], near[best[1]]
        ious[:, place] = iou[list(best)]
    points, boxes = (points_xy[scored], points_xy[located]), (boxes_xyxy[scored], boxes_xyxy[located])
    return Peaks(objects_xyxy, scored, located, *points, *boxes, *ious)


def _fits_best(boxes_xyxy: Floats, own: Floats, objects_xyxy: Floats) -> NDArray[np.bool_]:
    """(N,) whether boxes overlap no object (M, 4) more than their own, which is one of them."""
    with_own = overlap(boxes_xyxy, own[None], MergeMetric.IOU)
    with_each = [overlap(boxes_xyxy, other[None], MergeMetric.IOU) for other in objects_xyxy]
    return np.asarray(with_own >= np.max(with_each, axis=0))


def score_and_iou(what: Counted) -> tuple[Floats, Floats]:
    """(D,) scores of what was found and (D,) their greatest IoU with an object of their class, 0 where there is none.

    What lies in a difficult object and on no other is left out.
    """
    found, truth, shares = overlapping(what, what.found_group, what.truth_group, _TOUCHING)
    difficult = what.difficult[truth]
    iou, in_difficult = np.zeros(len(what.score)), np.zeros(len(what.score))
    np.maximum.at(iou, found[~difficult], shares[~difficult])
    np.maximum.at(in_difficult, found[difficult], shares[difficult])
    counts = (in_difficult < LEAST_IOU) | (iou >= LEAST_IOU)
    return what.score[counts], iou[counts]


def pearson(first: Floats, second: Floats) -> float:
    """Correlation of (N,) pairs; nan where one side does not vary."""
    if len(first) < 2 or not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: Floats, second: Floats) -> float:
    """Correlation of the pairs' ranks."""
    return pearson(_ranks(first), _ranks(second))


def _ranks(values: Floats) -> Floats:
    """(N,) from 1 on; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (counts.cumsum() - (counts - 1) / 2)[which]
    return ranks


def summary(scores: Floats, ious: Floats, peaks: Peaks) -> dict[str, Any]:
    """A model's figures, JSON-ready.

    Args:
        scores: (D,) of the kept boxes.
        ious: (D,) likewise.
        peaks: of all objects.
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
