"""LCA-H's alignments: one score from two probabilities, and box sides sampled at predicted offsets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def aligned_score(class_logits: Tensor, gate_logits: Tensor) -> Tensor:
    """S* = sqrt(S x P), from logits.

    Computed as exp((log S + log P) / 2): autograd then gives the exact derivative z (1 - S) / 2, even where S or P
    underflows; sqrt(S x P) would give 0 / 0 there.

    Args:
        class_logits: (B, K, H, W).
        gate_logits: (B, 1, H, W), shared by the classes.

    Returns:
        (B, K, H, W) scores in 0..1.

    Source:
        Zhang et al., "Aligning Localization and Classification", equation 1.
    """
    return ((functional.logsigmoid(class_logits) + functional.logsigmoid(gate_logits)) / 2).exp()


def align_boxes(boxes_xyxy: Tensor, offsets: Tensor) -> Tensor:
    """B* = A(B, O); a box that sampling would invert is left unchanged.

    Args:
        boxes_xyxy: (B, 4, H, W) absolute pixels, so that a side can be sampled from any cell.
        offsets: (B, 8, H, W) in cells; side c is read at (row + offsets[2c], column + offsets[2c + 1]).

    Returns:
        (B, 4, H, W) boxes with x1 < x2 and y1 < y2 wherever that holds in boxes_xyxy.

    Source:
        Zhang et al., "Aligning Localization and Classification", equation 1.
    """
    sampled = sample_sides(boxes_xyxy, offsets)
    upright = (sampled[:, 2:] > sampled[:, :2]).all(dim=1, keepdim=True)  # (B, 1, H, W)
    return torch.where(upright, sampled, boxes_xyxy)


def sample_sides(boxes_xyxy: Tensor, offsets: Tensor) -> Tensor:
    """Samples each of the four maps bilinearly at its own offsets; beyond the border, the border's values repeat.

    Uses `gather` because the normalised coordinates of `grid_sample` are undefined on a map one cell wide.

    Args:
        boxes_xyxy: (B, 4, H, W).
        offsets: (B, 8, H, W) in cells: row and column for each side.

    Returns:
        (B, 4, H, W).
    """
    batch, sides, height, width = boxes_xyxy.shape
    shifts = offsets.reshape(batch, sides, 2, height, width)
    rows = torch.arange(height, device=offsets.device, dtype=offsets.dtype)[:, None] + shifts[:, :, 0]
    columns = torch.arange(width, device=offsets.device, dtype=offsets.dtype) + shifts[:, :, 1]
    top, bottom, down = _neighbours(rows, height)
    left, right, across = _neighbours(columns, width)
    flat = boxes_xyxy.flatten(2)  # (B, 4, H * W)

    def read(row: Tensor, column: Tensor) -> Tensor:
        return flat.gather(2, (row * width + column).flatten(2)).reshape(boxes_xyxy.shape)

    upper = read(top, left) * (1 - across) + read(top, right) * across
    lower = read(bottom, left) * (1 - across) + read(bottom, right) * across
    return upper * (1 - down) + lower * down


def _neighbours(positions: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The cells before and after each position, and the position's fraction of the way to the second (0..1).

    Indices are clamped again as integers: NaN from a diverged training must show up in the loss, not as an
    out-of-range read, which ends a CUDA process.
    """
    positions = positions.clamp(0, size - 1)
    before = positions.floor()
    index = before.long().clamp(0, size - 1)
    return index, (index + 1).clamp(max=size - 1), positions - before
