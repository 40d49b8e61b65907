"""Assignment by geometry alone: RetinaNet's anchors, FCOS's points, ATSS."""

from __future__ import annotations

import torch
from torch import Tensor

from lcageo.detector.assign import (
    BACKGROUND,
    IGNORED,
    RESCUED_QUALITY,
    Assignment,
    Places,
    best_of_each,
    centerness,
    distance_to_home,
    lies_inside,
    rescue,
    settle,
    squared_distance,
)
from lcageo.detector.boxes import pairwise_iou
from lcageo.detector.truth import Truth
from lcageo.network_config import STRIDES

FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.4
"""An anchor between the two is ignored. Source: Lin et al., "Focal Loss for Dense Object Detection", section 4."""

REGRESS_LIMITS = (0.0, 64.0, 128.0, 256.0, 512.0, float("inf"))
"""Pixels from a point to the farthest side, level by level. Source: Tian et al., "FCOS", section 3.2."""
CENTRE_RADIUS = 1.5
"""Strides around an object's centre. Source: FCOS's public code, option "center sampling"."""

ATSS_CANDIDATES = 9
"""Nearest points of each level. Source: Zhang et al., "Bridging the Gap (ATSS)", section 4.1 (k = 9)."""

_TIE = 1e-6
"""Per pixel of distance: decides where IoUs are equal, and nowhere else, but for the rounding of their last digits."""

_LEAST_SIDE = 1e-3
"""Pixels: keeps the logarithm of an empty box finite."""


@torch.no_grad()
def assign_anchors(places: Places, truth: Truth) -> Assignment:
    """RetinaNet: an anchor goes to the object that it overlaps by half or more; an object without one gets its best.

    In the paper, objects without such an anchor are left out. The public code gives them their best anchor, as done
    here, but with one anchor each, and never another object's only one. A small object lies inside many anchors, which
    all overlap it alike: the one around its centre is its best.

    Args:
        places: RetinaNet's anchors.
        truth: M objects.

    Source:
        Lin et al., "Focal Loss for Dense Object Detection", section 4; public code: Detectron.
    """
    iou = pairwise_iou(truth.boxes_xyxy, places.anchors_xyxy)
    objects = settle(iou >= FOREGROUND_IOU, iou)
    near = (iou >= BACKGROUND_IOU).any(dim=0)
    objects = torch.where((objects == BACKGROUND) & near, IGNORED, objects)
    distance = squared_distance(places.points_xy, truth.boxes_xyxy).sqrt()
    objects, _ = rescue(objects, distance * _TIE - iou)
    return Assignment(objects, (objects >= 0).to(iou.dtype))


@torch.no_grad()
def assign_fcos(places: Places, truth: Truth) -> Assignment:
    """FCOS: points near an object's centre, on the level for its size; of several objects, the smallest wins.

    An object without a point (smaller than a cell, or covered by smaller objects) gets its nearest.

    Args:
        places: points.
        truth: M objects.

    Source:
        Tian et al., "FCOS", section 3, with centre sampling as in the public code.
    """
    points, boxes = places.points_xy, truth.boxes_xyxy
    limits = torch.tensor(REGRESS_LIMITS, dtype=boxes.dtype, device=boxes.device)
    reach = torch.maximum(points - boxes[:, None, :2], boxes[:, None, 2:] - points).amax(dim=2)  # (M, N)
    fits = (reach >= limits[places.levels]) & (reach <= limits[places.levels + 1])
    strides = torch.tensor(STRIDES, dtype=boxes.dtype, device=boxes.device)[places.levels]
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    central = ((points - centres).abs() < CENTRE_RADIUS * strides[:, None]).all(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    wanted = lies_inside(points, boxes) & central & fits
    return _by_centerness(settle(wanted, -areas[:, None].expand_as(reach)), places, boxes)


@torch.no_grad()
def assign_atss(places: Places, truth: Truth) -> Assignment:
    """ATSS: of each level's nearest points, those whose squares reach the mean IoU with the object plus its deviation.

    An object without a point (no candidate inside, or all of them given to others) gets its nearest.

    Args:
        places: points, with squares of 8 strides.
        truth: M objects.

    Source:
        Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", algorithm 1. The deviation is
        the sample's (n - 1), as in the public code.
    """
    boxes = truth.boxes_xyxy
    distance = squared_distance(places.points_xy, boxes)
    levels = torch.split(distance, list(places.level_sizes), dim=1)
    candidates = torch.cat([best_of_each(-level, ATSS_CANDIDATES) for level in levels], dim=1)  # (M, N)
    iou = pairwise_iou(boxes, places.anchors_xyxy)
    count = sum(min(ATSS_CANDIDATES, size) for size in places.level_sizes)
    mean = (iou * candidates).sum(dim=1, keepdim=True) / count
    variance = ((iou - mean).square() * candidates).sum(dim=1, keepdim=True) / (count - 1)
    wanted = candidates & (iou >= mean + variance.sqrt()) & lies_inside(places.points_xy, boxes)
    return _by_centerness(settle(wanted, iou), places, boxes)


def _by_centerness(objects: Tensor, places: Places, boxes_xyxy: Tensor) -> Assignment:
    """The assignment after rescuing objects without a place; the quality of a point is its centerness."""
    objects, rescued = rescue(objects, distance_to_home(places, boxes_xyxy))
    quality = torch.zeros_like(places.points_xy[:, 0])
    found = objects >= 0
    quality[found] = centerness(places.points_xy[found], boxes_xyxy[objects[found]])
    return Assignment(objects, torch.where(rescued, quality.clamp(min=RESCUED_QUALITY), quality))


def encode_deltas(anchors_xyxy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """RetinaNet's regression targets: the inverse of `boxes.decode_deltas`.

    Args:
        anchors_xyxy: (N, 4).
        boxes_xyxy: (N, 4), anchor by anchor.

    Returns:
        (N, 4): shift of the centre in anchor widths and heights, log of the growth of width and height.

    Source:
        Girshick et al., "Rich feature hierarchies", appendix C.
    """
    anchor_sizes, sizes = anchors_xyxy[:, 2:] - anchors_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    shifts = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:] - anchors_xyxy[:, :2] - anchors_xyxy[:, 2:]) / 2
    return torch.cat((shifts / anchor_sizes, (sizes.clamp(min=_LEAST_SIDE) / anchor_sizes).log()), dim=1)
