"""Detections of two backends, compared."""

from __future__ import annotations

import numpy as np

from lcageo.detections import Detections


def same(first: list[Detections], second: list[Detections], score: float = 1e-4, pixels: float = 0.1) -> bool:
    """Whether each box has its twin: scores that differ by the last bit may change order."""
    for one, other in zip(first, second, strict=True):
        assert len(one) == len(other) > 0
        apart = np.abs(one.boxes_xyxy[:, None] - other.boxes_xyxy[None]).max(axis=-1)
        scores = np.abs(one.scores[:, None] - other.scores[None])
        twins = (apart < pixels) & (scores < score) & (one.labels[:, None] == other.labels)
        if not (twins.any(axis=0).all() and twins.any(axis=1).all()):
            return False
    return True
