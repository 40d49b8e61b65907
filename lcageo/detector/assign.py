"""Label assignment, the part that all methods share: which place is trained to find which object.

A *place* is what the head predicts one box for: an anchor in RetinaNet, otherwise the point of a cell. Candidates for
each object are chosen first (`assign_geometric`, `assign_aligned`); then each place is given to one object (`settle`),
and objects left without a place get one (`rescue`). All of it runs on the device of its inputs, without gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lcageo.detector.boxes import anchors, cell_centres
from lcageo.network_config import STRIDES

BACKGROUND = -1
"""The place of no object."""
IGNORED = -2
"""A place left out of the class loss: too close to an object for background, too far from it for a match, or inside a
difficult object."""

SQUARE_STRIDES = 8
"""Side of the square that ATSS puts around a point. Source: Zhang et al., "Bridging the Gap (ATSS)", section 3.2."""

RESCUED_QUALITY = 0.1
"""Minimum quality of a place that `rescue` gave to an object. Its IoU or centerness may be zero, which would teach
background; 0.1 lifts the score above the 0.05 that detections need."""

_LEVEL_APART = 1e5
"""Pixels added to the distance for each level of difference: more than any image is wide."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a head, all levels concatenated, in the order of `Predictions`."""

    anchors_xyxy: Tensor
    """(N, 4): RetinaNet's anchors, or the square of 8 strides around a point."""
    points_xy: Tensor
    """(N, 2): the centres of the cells, in pixels."""
    levels: Tensor
    """(N,) int64, 0 for the finest."""
    level_sizes: tuple[int, ...]
    """Number of places of each level; they add up to N."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The training targets of one image's places."""

    objects: Tensor
    """(N,) int64: index of the object, BACKGROUND or IGNORED."""
    quality: Tensor
    """(N,) floating, 0..1: t in LCA-SA, centerness in FCOS and ATSS, 1 in RetinaNet; 0 without an object."""


def point_places(maps: Sequence[Tensor]) -> Places:
    """One place per cell.

    Args:
        maps: the five levels (..., H_l, W_l), finest first; they determine sizes, device and dtype.
    """
    points = [cell_centres(level, stride).flatten(1).T for level, stride in zip(maps, STRIDES, strict=True)]
    half = [stride * SQUARE_STRIDES / 2 for stride in STRIDES]
    squares = [torch.cat((p - h, p + h), dim=1) for p, h in zip(points, half, strict=True)]
    return _places(squares, points)


def anchor_places(maps: Sequence[Tensor]) -> Places:
    """RetinaNet's nine places per cell; arguments as in `point_places`."""
    boxes = [anchors(level, stride) for level, stride in zip(maps, STRIDES, strict=True)]
    return _places(boxes, [(b[:, :2] + b[:, 2:]) / 2 for b in boxes])


def _places(boxes: list[Tensor], points: list[Tensor]) -> Places:
    sizes = tuple(len(p) for p in points)
    levels = torch.cat([torch.full((n,), i, device=points[i].device) for i, n in enumerate(sizes)])
    return Places(torch.cat(boxes), torch.cat(points), levels, sizes)


def lies_inside(points_xy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Whether points are strictly inside boxes, not on their sides.

    Args:
        points_xy: (N, 2).
        boxes_xyxy: (M, 4).

    Returns:
        (M, N) bool.
    """
    after = points_xy > boxes_xyxy[:, None, :2]  # (M, N, 2)
    return (after & (points_xy < boxes_xyxy[:, None, 2:])).all(dim=2)


def centerness(points_xy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """sqrt(min(l, r) / max(l, r) x min(t, b) / max(t, b)) of point i in box i; 0 outside.

    Args:
        points_xy: (N, 2).
        boxes_xyxy: (N, 4).

    Returns:
        (N,) in 0..1.

    Source:
        Tian et al., "FCOS", equation 3.
    """
    before, after = points_xy - boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - points_xy  # (N, 2): l, t and r, b
    inside = (torch.minimum(before, after) > 0).all(dim=1)
    ratio = torch.minimum(before, after) / torch.maximum(before, after)
    return torch.where(inside, ratio.prod(dim=1), 0).sqrt()


def best_of_each(values: Tensor, count: int) -> Tensor:
    """Marks the `count` highest values of every row; of equal values the first win, which topk leaves undefined.

    Args:
        values: (M, N).
        count: maximum per row; a shorter row is marked entirely.

    Returns:
        (M, N) bool.
    """
    last = values.topk(min(count, values.shape[1]), dim=1).values[:, -1:]  # (M, 1)
    above, tied = values > last, values == last
    room = count - above.sum(dim=1, keepdim=True)
    return above | (tied & (tied.cumsum(dim=1) <= room))


def settle(wanted: Tensor, preference: Tensor) -> Tensor:
    """Gives each place to the object with the highest preference among those that want it; the first of equals.

    Args:
        wanted: (M, N) bool.
        preference: (M, N).

    Returns:
        (N,) int64: index of the object, or BACKGROUND.
    """
    if len(wanted) == 0:
        return torch.full(wanted.shape[1:], BACKGROUND, device=wanted.device)
    winners = preference.masked_fill(~wanted, -torch.inf).argmax(dim=0)
    return torch.where(wanted.any(dim=0), winners, BACKGROUND)


def rescue(objects: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Gives each object without a place the cheapest one that is not another object's only place.

    If several objects choose the same place, the one with the lowest cost gets it (the first of equals) and the others
    try again. Every round settles at least one object for good, usually all. Objects remain without a place only if
    they outnumber the places.

    Args:
        objects: (N,) int64, as `settle` returns them.
        cost: (M, N), finite.

    Returns:
        (N,) int64 objects, and (N,) bool, True for the places given here.
    """
    objects, rescued = objects.clone(), torch.zeros_like(objects, dtype=torch.bool)
    while True:
        counts = torch.bincount(objects[objects >= 0], minlength=len(cost))  # (M,)
        lost = (counts == 0).nonzero()[:, 0]
        taken = objects >= 0
        taken[taken.clone()] = counts[objects[taken]] == 1
        if len(lost) == 0 or bool(taken.all()):
            return objects, rescued
        price, place = cost[lost].masked_fill(taken, torch.inf).min(dim=1)
        order = price.argsort(stable=True)
        lost, place = lost[order], place[order]
        rank = torch.arange(len(lost), device=lost.device)
        first = torch.full_like(objects, len(lost)).scatter_reduce(0, place, rank, "amin")  # (N,)
        won = first[place] == rank
        objects[place[won]] = lost[won]
        rescued[place[won]] = True


def distance_to_home(places: Places, boxes_xyxy: Tensor) -> Tensor:
    """Cost of rescuing: the distance from a point to the object's centre, lowest on the level that fits the object.

    That level is the one whose square of 8 strides is closest in size, so that a vehicle of two pixels next to a point
    of P7 still goes to P3. Other levels cost more; they serve objects that outnumber the places of their level.

    Args:
        places: N places.
        boxes_xyxy: (M, 4).

    Returns:
        (M, N) pixels.
    """
    sizes = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    in_squares = sizes.prod(dim=1).sqrt() / (SQUARE_STRIDES * STRIDES[0])
    home = in_squares.log2().round().clamp(0, len(STRIDES) - 1)  # (M,); an empty box: log2(0) is clamped to 0
    apart = (places.levels - home[:, None]).abs()
    return apart * _LEVEL_APART + squared_distance(places.points_xy, boxes_xyxy).sqrt()


def squared_distance(points_xy: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Squared distance between points (N, 2) and the centres of boxes (M, 4): (M, N), square pixels."""
    centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    return (points_xy - centres[:, None]).square().sum(dim=2)
