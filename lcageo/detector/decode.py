"""From dense predictions to the few candidates that non-maximum suppression has to look at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lcageo.detector.outputs import Predictions

CANDIDATES_PER_LEVEL = 1000
"""Source: RetinaNet's test settings (Lin et al., section 4.1), kept by FCOS and LCA-Det."""


class Candidates(NamedTuple):
    """One image's candidates, best score first, equal scores by place."""

    boxes_xyxy: Tensor
    """(M, 4) image pixels, x1 < x2 and y1 < y2."""
    scores: Tensor
    """(M,)."""
    labels: Tensor
    """(M,) int64, 0 to K - 1."""


def select_candidates(
    predictions: Predictions, score_threshold: float, per_level: int = CANDIDATES_PER_LEVEL
) -> list[Candidates]:
    """Each level's best pairs of place and class, for every image.

    Ties are broken by place, so that the result depends neither on the device nor on the batch. Boxes without area
    are left out: their cell lies beyond the image's border.

    Args:
        predictions: of a batch of B images.
        score_threshold: only scores above it count.
        per_level: most pairs of one level.

    Returns:
        B Candidates.
    """
    levels = list(
        zip(
            torch.split(predictions.scores, list(predictions.level_sizes), dim=1),
            torch.split(predictions.boxes_xyxy, list(predictions.level_sizes), dim=1),
            strict=True,
        )
    )
    return [
        _joined([_best_of_level(scores[i], boxes[i], score_threshold, per_level) for scores, boxes in levels])
        for i in range(len(predictions.scores))
    ]


def _best_of_level(scores: Tensor, boxes_xyxy: Tensor, score_threshold: float, per_level: int) -> Candidates:
    """The best pairs of scores (N, K) and boxes (N, 4) of one level of one image."""
    has_area = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(dim=1)
    places, labels = ((scores > score_threshold) & has_area[:, None]).nonzero(as_tuple=True)
    # Stable, unlike topk, whose choice among equal scores is open.
    values, order = scores[places, labels].sort(descending=True, stable=True)
    order = order[:per_level]
    return Candidates(boxes_xyxy[places[order]], values[:per_level], labels[order])


def _joined(levels: list[Candidates]) -> Candidates:
    """Candidates of several levels in one order; equal scores keep the order of the levels."""
    boxes, scores, labels = (torch.cat(parts) for parts in zip(*levels, strict=True))
    scores, order = scores.sort(descending=True, stable=True)
    return Candidates(boxes[order], scores, labels[order])
