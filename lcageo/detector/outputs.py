"""Outputs of a network: raw maps for the losses, decoded predictions for everything else.

Named tuples, because `torch.compile` and `torch.export` handle them without registration.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class LevelOutput(NamedTuple):
    """The head's raw output for one pyramid level; at least float32."""

    class_logits: Tensor
    """(B, A * K, H, W), A boxes per cell (9 in RetinaNet, otherwise 1)."""
    regression: Tensor
    """(B, A * 4, H, W): RetinaNet's deltas; otherwise distances to left, upper, right, lower side, in strides."""
    gate_logits: Tensor | None = None
    """(B, 1, H, W): FCOS's centerness, LCA-H's P; None where the class alone determines the score."""
    offsets: Tensor | None = None
    """(B, 8, H, W): LCA-H's O, in cells, row and column for each side; otherwise None."""


class Predictions(NamedTuple):
    """Final scores and boxes of a batch, all levels concatenated, finest first, cell by cell in rows."""

    scores: Tensor
    """(B, N, K) in 0..1, at least float32."""
    boxes_xyxy: Tensor
    """(B, N, 4) image pixels."""
    level_sizes: tuple[int, ...]
    """Number of boxes of each level; they add up to N."""
