"""Measures the paper's claims about S*: which of an object's boxes would win, and how many locations train on it.

An object's *rivals* are the boxes with an IoU of 0.5 or more: suppression keeps the one with the highest score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from dense import Dense
from peaks import spearman

from lcageo.metrics.bootstrap import Interval
from lcageo.metrics.coco import AREAS_PX, SIZES
from lcageo.metrics.match import LEAST_IOU
from lcageo.metrics.truth import Floats, Index

LEAST_RIVALS = 5
"""Minimum number of rivals for a rank correlation."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """Figures of G objects; NaN where an object has no rivals, or too few for ranks."""

    images: Index
    """(G,) index of its image."""
    areas_px: Floats
    """(G,) square pixels of the tile."""
    positives: Index
    """(G,) number of locations that the preset's assignment gives the object."""
    class_rank: Floats
    """(G,) rank correlation of S, the class branch's score, with IoU."""
    score_rank: Floats
    """(G,) rank correlation of the final score: S*, or S in presets without S*."""
    class_choice: Floats
    """(G,) IoU of the rival that S ranks first."""
    score_choice: Floats
    """(G,) IoU of the rival that the final score ranks first."""
    best: Floats
    """(G,) maximum IoU."""


def rivals_of(images: Iterable[Dense]) -> Rivals:
    """The rivals of all objects of some images."""
    rows: list[tuple[float, ...]] = []
    for dense in images:
        sizes = dense.objects_xyxy[:, 2:] - dense.objects_xyxy[:, :2]
        for number, area in enumerate(sizes.prod(axis=1).tolist()):
            own = dense.iou[number] >= LEAST_IOU
            order = _order(dense.class_scores[number, own], dense.scores[number, own], dense.iou[number, own])
            rows.append((dense.index, area, int(dense.positives[number]), *order))
    columns = np.array(rows, np.float64).reshape(-1, 8).T
    return Rivals(columns[0].astype(np.int64), columns[1], columns[2].astype(np.int64), *columns[3:])


def _order(class_scores: Floats, scores: Floats, iou: Floats) -> tuple[float, float, float, float, float]:
    """Both rank correlations, the IoU of both choices, and the maximum IoU."""
    nan = float("nan")
    if not len(iou):
        return nan, nan, nan, nan, nan
    ranks = [spearman(one, iou) if len(iou) >= LEAST_RIVALS else nan for one in (class_scores, scores)]
    return ranks[0], ranks[1], float(iou[class_scores.argmax()]), float(iou[scores.argmax()]), float(iou.max())


def summary(rivals: Rivals) -> dict[str, Any]:
    """A model's metrics, JSON-ready: means over the objects, and 95 % intervals of the gain of S* over S."""
    ranked, has_any = ~np.isnan(rivals.score_rank + rivals.class_rank), ~np.isnan(rivals.best)
    return {
        "objects": len(rivals.images),
        "objects_with_rivals": int(has_any.sum()),
        "objects_ranked": int(ranked.sum()),
        "rank_of_S": _mean(rivals.class_rank[ranked]),
        "rank_of_S*": _mean(rivals.score_rank[ranked]),
        "rank_gain": _gain(rivals.score_rank - rivals.class_rank, rivals.images),
        "iou_chosen_by_S": _mean(rivals.class_choice[has_any]),
        "iou_chosen_by_S*": _mean(rivals.score_choice[has_any]),
        "iou_gain": _gain(rivals.score_choice - rivals.class_choice, rivals.images),
        "iou_best": _mean(rivals.best[has_any]),
        "positives": {
            name: _positives(rivals.positives[(low <= rivals.areas_px) & (rivals.areas_px < high)])
            for name, (low, high) in zip(SIZES, AREAS_PX[1:], strict=True)
        },
    }


def _gain(values: Floats, images: Index) -> dict[str, Any]:
    """Mean of (G,) values without NaN, and its bootstrap interval.

    Images are resampled, not objects, since the objects of one image resemble each other.
    """
    known = ~np.isnan(values)
    if not known.any():
        return {"mean": None, "interval": None}
    _, image = np.unique(images[known], return_inverse=True)
    sums, counts = np.bincount(image, weights=values[known]), np.bincount(image)
    times = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
    return {"mean": _mean(values[known]), "interval": Interval.of((times @ sums) / (times @ counts)).as_json()}


def _positives(counts: Index) -> dict[str, Any]:
    return {
        "objects": len(counts),
        "mean": _mean(counts.astype(np.float64)),
        "median": float(np.median(counts)) if len(counts) else None,
        "least": int(counts.min()) if len(counts) else None,
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
