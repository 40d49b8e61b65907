"""Boxes as tensors: cell positions of the pyramid, anchors, decoding of regressed values, clipping, and overlap.

Boxes are continuous pixels: x1, y1, x2, y2 with the origin at the outer corner of the first pixel and width x2 - x1.
Cell (i, j) of a level with stride s represents the point ((j + 0.5) s, (i + 0.5) s).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lcageo.detector.layers import widen

ANCHORS_PER_CELL = 9
"""Three sizes of each of three ratios."""

_MAX_LOG_RATIO = math.log(1000 / 16)
"""An anchor grows 62.5-fold at most, which keeps exp finite. Source: Faster R-CNN's public code (Detectron)."""

_MIN_AREA = 1e-7
"""Lower limit of divisors, square pixels: two empty boxes would divide by zero."""


def cell_centres(level: Tensor, stride: int) -> Tensor:
    """Image points that the cells of a map represent.

    Args:
        level: (..., H, W) floating map; determines size, device and dtype.
        stride: pixels from cell to cell.

    Returns:
        (2, H, W): x, then y, in pixels.
    """
    height, width = level.shape[-2:]
    x = (torch.arange(width, device=level.device, dtype=level.dtype) + 0.5) * stride
    y = (torch.arange(height, device=level.device, dtype=level.dtype) + 0.5) * stride
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)))


def anchors(level: Tensor, stride: int) -> Tensor:
    """RetinaNet's anchors of one level.

    Args:
        level: (..., H, W) floating map; determines size, device and dtype.
        stride: pixels from cell to cell.

    Returns:
        (H * W * 9, 4) boxes, cell by cell in rows; within a cell by ratio (0.5, 1, 2), then by size.

    Source:
        Lin et al., "Focal Loss for Dense Object Detection", section 4: areas (4 s)^2 at three octave parts.
    """
    # Computed on the device: copying nine pairs from the host would make a GPU wait at each level.
    index = torch.arange(ANCHORS_PER_CELL, device=level.device, dtype=level.dtype)
    sides = 4 * stride * 2.0 ** (index % 3 / 3)
    stretch = 2.0 ** ((index.div(3, rounding_mode="floor") - 1) / 2)  # root of height over width
    half = torch.stack((sides / stretch, sides * stretch), dim=-1) / 2  # (9, 2)
    centres = cell_centres(level, stride).flatten(1).T[:, None]  # (H * W, 1, 2)
    return torch.cat((centres - half, centres + half), dim=-1).flatten(0, 1)


def decode_deltas(anchors_xyxy: Tensor, deltas: Tensor) -> Tensor:
    """Anchors moved and scaled by regressed deltas.

    Args:
        anchors_xyxy: (N, 4).
        deltas: (..., N, 4): shift of the centre in anchor widths and heights, log of the growth of width and height.

    Returns:
        (..., N, 4) boxes.

    Source:
        Girshick et al., "Rich feature hierarchies", appendix C.
    """
    sizes = anchors_xyxy[:, 2:] - anchors_xyxy[:, :2]
    centres = anchors_xyxy[:, :2] + sizes / 2 + deltas[..., :2] * sizes
    half = sizes * deltas[..., 2:].clamp(max=_MAX_LOG_RATIO).exp() / 2
    return torch.cat((centres - half, centres + half), dim=-1)


def decode_distances(distances: Tensor, stride: int) -> Tensor:
    """Boxes from the distances between a cell's point and the four sides.

    Args:
        distances: (B, 4, H, W) in strides, to the left, upper, right and lower side.
        stride: pixels from cell to cell.

    Returns:
        (B, 4, H, W) boxes.
    """
    centres = cell_centres(distances, stride)
    pixels = distances * stride
    return torch.cat((centres - pixels[:, :2], centres + pixels[:, 2:]), dim=1)


def clip_boxes(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """Boxes (..., 4) clipped to an image; those outside it keep their index but lose their area."""
    x = boxes_xyxy[..., 0::2].clamp(0, width)  # (..., 2): x1, x2
    y = boxes_xyxy[..., 1::2].clamp(0, height)
    return torch.stack((x, y), dim=-1).flatten(-2)


def flatten_map(level: Tensor, depth: int) -> Tensor:
    """A map as rows, one per box.

    Args:
        level: (B, A * depth, H, W), A boxes per cell.
        depth: values per box.

    Returns:
        (B, H * W * A, depth), cell by cell in rows.
    """
    batch, channels, height, width = level.shape
    split = level.reshape(batch, channels // depth, depth, height, width)  # (B, A, depth, H, W)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, -1, depth)


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
        first_xyxy: (N, 4); an inverted box counts as empty.
        second_xyxy: (N, 4), x1 <= x2 and y1 <= y2.

    Returns:
        (N,) in -1..1, at least float32.

    Source:
        Rezatofighi et al., "Generalized Intersection over Union", algorithm 1. Negative sides are clamped to zero:
        otherwise two would give a positive area, and one a union that may be negative or zero.
    """
    first, second = _sides(first_xyxy, -1), _sides(second_xyxy, -1)
    iou, union = _iou(first, second)
    width = torch.maximum(first[2], second[2]) - torch.minimum(first[0], second[0])
    height = torch.maximum(first[3], second[3]) - torch.minimum(first[1], second[1])
    hull = (width * height).clamp(min=_MIN_AREA)  # never below the second box's area
    return iou - (hull - union) / hull


def _sides(boxes_xyxy: Tensor, axis: int) -> tuple[Tensor, ...]:
    """x1, y1, x2, y2, (N,) each; with an axis >= 0, of size one along it."""
    sides = widen(boxes_xyxy).unbind(-1)
    return sides if axis < 0 else tuple(side.unsqueeze(axis) for side in sides)


def _iou(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """IoU and union, broadcast. Coordinates stay separate tensors to save memory: RetinaNet has many pairs."""
    width = (torch.minimum(first[2], second[2]) - torch.maximum(first[0], second[0])).clamp(min=0)
    height = (torch.minimum(first[3], second[3]) - torch.maximum(first[1], second[1])).clamp(min=0)
    shared = width * height
    union = (_area(first) + _area(second) - shared).clamp(min=_MIN_AREA)
    return shared / union, union


def _area(box: tuple[Tensor, ...]) -> Tensor:
    return (box[2] - box[0]).clamp(min=0) * (box[3] - box[1]).clamp(min=0)
