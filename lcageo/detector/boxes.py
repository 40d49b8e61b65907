"""Where the cells of the pyramid lie, and how regressed numbers become boxes.

Boxes are continuous pixels: x1, y1, x2, y2 with the origin at the outer corner of the first pixel and width x2 - x1.
Cell (i, j) of a level with stride s stands for the point ((j + 0.5) s, (i + 0.5) s).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ANCHORS_PER_CELL = 9
"""Three sizes of each of three ratios."""

_MAX_LOG_RATIO = math.log(1000 / 16)
"""An anchor grows 62.5-fold at most: keeps exp finite. Source: the limit of Faster R-CNN's public code (Detectron)."""


def cell_centres(level: Tensor, stride: int) -> Tensor:
    """Image points that a map's cells stand for.

    Args:
        level: (..., H, W) floating map; gives size, device and dtype.
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
        level: (..., H, W) floating map; gives size, device and dtype.
        stride: pixels from cell to cell.

    Returns:
        (H * W * 9, 4) boxes, cell by cell in rows; within a cell by ratio (0.5, 1, 2), then by size.

    Source:
        Lin et al., "Focal Loss for Dense Object Detection", section 4: areas (4 s)^2 at three octave parts.
    """
    # Reckoned where they are needed: nine pairs sent from the host would make a GPU wait for each level.
    places = torch.arange(ANCHORS_PER_CELL, device=level.device, dtype=level.dtype)
    sides = 4 * stride * 2.0 ** (places % 3 / 3)
    stretch = 2.0 ** ((places.div(3, rounding_mode="floor") - 1) / 2)  # root of height over width
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
    """Boxes (..., 4) cut to an image; those outside lose their area but stay in place."""
    x = boxes_xyxy[..., 0::2].clamp(0, width)  # (..., 2): x1, x2
    y = boxes_xyxy[..., 1::2].clamp(0, height)
    return torch.stack((x, y), dim=-1).flatten(-2)


def flatten_map(level: Tensor, depth: int) -> Tensor:
    """One row per box in place of a map.

    Args:
        level: (B, A * depth, H, W), A boxes a cell.
        depth: numbers a box.

    Returns:
        (B, H * W * A, depth), cell by cell in rows.
    """
    batch, channels, height, width = level.shape
    split = level.reshape(batch, channels // depth, depth, height, width)  # (B, A, depth, H, W)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, -1, depth)
