"""LCA-SA: places are chosen by how well they currently classify and localise an object."""

from __future__ import annotations

import torch
from torch import Tensor

from lcageo.detector.assign import (
    RESCUED_QUALITY,
    Assignment,
    Places,
    best_of_each,
    distance_to_home,
    lies_inside,
    rescue,
    settle,
)
from lcageo.detector.boxes import pairwise_iou
from lcageo.detector.layers import widen
from lcageo.detector.truth import Truth

SCORE_POWER, IOU_POWER = 1.0, 6.0
"""Alpha and beta of m = s^alpha x b^beta. Source: Feng et al., "TOOD", section 4.1; Zhang et al. leave them open."""
PLACES_PER_OBJECT = 13
"""Source: Feng et al., "TOOD", section 4.1 (m = 13)."""


@torch.no_grad()
def assign_aligned(
    places: Places, scores: Tensor, boxes_xyxy: Tensor, truth: Truth, iou_power: float | None = None
) -> Assignment:
    """LCA-SA: the 13 places with the highest m, of all levels together; of these, those with m > 0 inside the object.

    A place that several objects want goes to the one that its box overlaps most. An object without a place (no point
    inside, none of its 13 inside, or all of them given to others) gets its nearest point.

    The quality is t = m / max(m of that object) x max(IoU of that object), over the object's places. A rescued place
    has t = IoU, at least RESCUED_QUALITY, because its m is often zero.

    Args:
        places: points.
        scores: (N, K) decoded.
        boxes_xyxy: (N, 4) decoded, not clipped; an inverted box overlaps nothing.
        truth: M objects.
        iou_power: beta; None: IOU_POWER.

    Source:
        Zhang et al., "Aligning Localization and Classification", equation 2; t: Feng et al., "TOOD", section 3.2.
    """
    iou = pairwise_iou(truth.boxes_xyxy, boxes_xyxy)  # (M, N), b
    beta = IOU_POWER if iou_power is None else iou_power
    metric = widen(scores)[:, truth.labels].T.pow(SCORE_POWER) * iou.pow(beta)  # (M, N), m
    inside = lies_inside(places.points_xy, truth.boxes_xyxy)
    wanted = best_of_each(metric, PLACES_PER_OBJECT) & (metric > 0) & inside
    objects, rescued = rescue(settle(wanted, iou), distance_to_home(places, truth.boxes_xyxy))
    return Assignment(objects, _quality(objects, rescued, metric, iou))


def _quality(objects: Tensor, rescued: Tensor, metric: Tensor, iou: Tensor) -> Tensor:
    """The t of each place (N,), from objects (N,), rescued (N,), m (M, N) and b (M, N)."""
    found = (objects >= 0).nonzero()[:, 0]
    owner = objects[found]
    own_metric, own_iou = metric[owner, found], iou[owner, found]
    highest_metric = metric.new_zeros(len(metric)).scatter_reduce(0, owner, own_metric, "amax")
    highest_iou = iou.new_zeros(len(iou)).scatter_reduce(0, owner, own_iou, "amax")
    target = own_metric / highest_metric[owner] * highest_iou[owner]  # 0 / 0 at rescued places only
    quality = iou.new_zeros(len(objects))
    quality[found] = torch.where(rescued[found], own_iou.clamp(min=RESCUED_QUALITY), target)
    return quality
