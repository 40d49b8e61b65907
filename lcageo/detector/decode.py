"""Objects from dense predictions, computed on the device for a whole batch without synchronising with the host."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lcageo.detector.boxes import pairwise_iou
from lcageo.detector.outputs import Predictions
from lcageo.network_config import CANDIDATES_PER_LEVEL

CAPACITY = 512
"""Maximum number of an image's candidates that are compared on the device; with more, the host takes over."""
ROUNDS = 16
"""Maximum number of suppression rounds; a longer chain of boxes, each dropping the next, is left to the host."""


class Selected(NamedTuple):
    """Every image's candidates, best score first, padded to one length."""

    boxes_xyxy: Tensor
    """(B, C, 4) image pixels."""
    scores: Tensor
    """(B, C); 0 where there is no candidate."""
    labels: Tensor
    """(B, C) int64."""
    kept: Tensor
    """(B, C) True for the candidates that class-wise greedy NMS keeps."""
    whole: Tensor
    """(B,) True where `kept` is exact; elsewhere the image had too many candidates or too long a chain."""


def select(
    predictions: Predictions,
    thresholds: Tensor,
    iou: float,
    capacity: int = CAPACITY,
    per_level: int = CANDIDATES_PER_LEVEL,
    rounds: int = ROUNDS,
) -> Selected:
    """Takes each level's best pairs of place and class, then applies class-wise NMS, for every image.

    All shapes follow from those of the arguments, so that the host needs no intermediate result. Ties are broken by
    place. Boxes without area are left out: their cell is beyond the image's border.

    Args:
        predictions: of a batch of B images.
        thresholds: (K,); only scores above that of their class count.
        iou: overlap above which the lower-scoring of two boxes of a class is dropped.
        capacity: C, maximum number of candidates of an image.
        per_level: maximum number of candidates of one level.
        rounds: maximum number of suppression rounds.
    """
    levels = _levels(predictions, thresholds, per_level)
    values, boxes, labels = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
    values, order = values.sort(dim=1, descending=True, stable=True)
    fits = (values > 0).sum(dim=1) <= capacity
    values, order = values[:, :capacity], order[:, :capacity]
    boxes, labels = _gathered(boxes, order), labels.gather(1, order)
    valid = values > 0
    overlapping = torch.stack([pairwise_iou(image, image) for image in boxes]) > iou  # (B, C, C)
    rivals = (overlapping & (labels[:, :, None] == labels[:, None, :])).triu(diagonal=1)
    kept, before = valid, valid
    for _ in range(rounds):  # after n rounds, right for all boxes with at most n rivals in a chain above them
        kept, before = valid & ~(rivals & kept[:, :, None]).any(dim=1), kept
    return Selected(boxes, values, labels, kept, fits & (kept == before).all(dim=1))


def _levels(predictions: Predictions, thresholds: Tensor, per_level: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Scores (B, M), boxes (B, M, 4) and labels (B, M) of each level's candidates, best first; score 0 for none."""
    sizes = list(predictions.level_sizes)
    levels = []
    split = (torch.split(part, sizes, dim=1) for part in (predictions.scores, predictions.boxes_xyxy))
    for scores, boxes in zip(*split, strict=True):
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1, keepdim=True)
        wanted = torch.where((scores > thresholds) & has_area, scores, 0).flatten(1)
        # A stable sort: topk's choice among equal scores is undefined.
        values, order = wanted.sort(dim=1, descending=True, stable=True)
        values, order = values[:, :per_level], order[:, :per_level]
        levels.append((values, _gathered(boxes, order // scores.shape[2]), order % scores.shape[2]))
    return levels


def _gathered(boxes_xyxy: Tensor, order: Tensor) -> Tensor:
    """Boxes (B, N, 4) at positions (B, M)."""
    return boxes_xyxy.gather(1, order[..., None].expand(-1, -1, 4))
