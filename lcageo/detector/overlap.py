"""How far boxes overlap: IoU for assigning, generalised IoU for learning. Safe for boxes turned inside out."""

from __future__ import annotations

import torch
from torch import Tensor

from lcageo.detector.layers import widen

_LEAST_AREA = 1e-7
"""Square pixels; divisors stay above it where both boxes are empty."""


def pairwise_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """Intersection over union of every pair; an inverted box has no area and overlaps nothing.

    Args:
        first_xyxy: (M, 4).
        second_xyxy: (N, 4).

    Returns:
        (M, N) in 0..1, at least float32.
    """
    return _iou(_sides(first_xyxy, 1), _sides(second_xyxy, 0))[0].clamp(max=1)


def paired_giou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """Generalised IoU of box i with box i.

    Args:
        first_xyxy: (N, 4); may be inverted, and then counts as an empty box.
        second_xyxy: (N, 4), x1 <= x2 and y1 <= y2.

    Returns:
        (N,) in -1..1, at least float32.

    Source:
        Rezatofighi et al., "Generalized Intersection over Union", algorithm 1. Widths below zero are cut: as they
        stand, two negative ones make a positive area, and one makes a union that may be negative or zero.
    """
    first, second = _sides(first_xyxy, -1), _sides(second_xyxy, -1)
    iou, union = _iou(first, second)
    width = torch.maximum(first[2], second[2]) - torch.minimum(first[0], second[0])
    height = torch.maximum(first[3], second[3]) - torch.minimum(first[1], second[1])
    hull = (width * height).clamp(min=_LEAST_AREA)  # never below the second box's area
    return iou - (hull - union) / hull


def _sides(boxes_xyxy: Tensor, axis: int) -> tuple[Tensor, ...]:
    """x1, y1, x2, y2, (N,) each; with an axis >= 0, of size one along it."""
    sides = widen(boxes_xyxy).unbind(-1)
    return sides if axis < 0 else tuple(side.unsqueeze(axis) for side in sides)


def _iou(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """IoU and union, broadcast. Side by side, not stacked: RetinaNet's pairs are many."""
    width = (torch.minimum(first[2], second[2]) - torch.maximum(first[0], second[0])).clamp(min=0)
    height = (torch.minimum(first[3], second[3]) - torch.maximum(first[1], second[1])).clamp(min=0)
    shared = width * height
    union = (_area(first) + _area(second) - shared).clamp(min=_LEAST_AREA)
    return shared / union, union


def _area(box: tuple[Tensor, ...]) -> Tensor:
    return (box[2] - box[0]).clamp(min=0) * (box[3] - box[1]).clamp(min=0)
