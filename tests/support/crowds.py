"""Crowded boxes, and non-maximum suppression as a plain loop over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MergeMetric
from lcageo.detections import Detections


def plain_overlap(a: NDArray[np.float64], b: NDArray[np.float64], metric: MergeMetric) -> float:
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    of = min(area_a, area_b) if metric is MergeMetric.IOS else area_a + area_b - common
    return common / of if common > 0 else 0.0


def plain_nms(found: Detections, threshold: float, metric: MergeMetric, agnostic: bool) -> list[int]:
    boxes = found.boxes_xyxy.astype(np.float64)
    order = sorted(
        range(len(found)), key=lambda i: (-float(found.scores[i]), int(found.labels[i]), *found.boxes_xyxy[i].tolist())
    )
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if agnostic or found.labels[i] == found.labels[j]]
        if all(plain_overlap(boxes[i], boxes[j], metric) <= threshold for j in rivals):
            kept.append(i)
    return kept


def random_detections(seed: int, most: int = 30) -> Detections:
    """Crowded boxes of very different sizes; every other case on a coarse lattice, where all kinds of ties occur."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, most))
    centres, sides = rng.uniform(-20, 60, (count, 2)), np.exp(rng.uniform(-1, 4.5, (count, 2)))
    if seed % 2:
        centres, sides = np.round(centres / 10) * 10, np.round(sides / 10) * 10
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    scores = np.round(rng.random(count) * 4) / 4 if seed % 3 else rng.random(count)
    return Detections(boxes, scores.astype(np.float32), rng.integers(0, 3, count))


def as_rows(found: Detections) -> list[tuple[float, ...]]:
    return [
        (float(score), int(label), *box)
        for score, label, box in zip(found.scores, found.labels, found.boxes_xyxy.tolist(), strict=True)
    ]
