"""Losses, all unreduced: the caller weights, masks and sums them. Computed in float32 or wider, even under autocast,
because bfloat16 has no number between 0.996 and 1.

Class losses take logarithms of the score and of its complement (`LogScores`), never probabilities: log(1 - S) of a
score that was rounded to 1 is infinite, and its gradient is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lcageo.detector.boxes import paired_giou
from lcageo.detector.layers import widen

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
"""Source: Lin et al., "Focal Loss for Dense Object Detection", table 1b; LCA-Det's baselines keep them."""

SMOOTH_L1_BETA = 1 / 9
"""Difference from which the loss of a delta is linear. Source: RetinaNet's public code (Detectron), 0.11."""


class LogScores(NamedTuple):
    """Scores s as their logarithms; finite wherever the logits are, and with finite gradients."""

    log_score: Tensor
    """(...) log s."""
    log_complement: Tensor
    """(...) log(1 - s)."""


def plain_scores(logits: Tensor) -> LogScores:
    """The scores sigmoid(logits), of any shape."""
    logits = widen(logits)
    return LogScores(functional.logsigmoid(logits), functional.logsigmoid(-logits))


def aligned_scores(class_logits: Tensor, gate_logits: Tensor) -> LogScores:
    """S* = sqrt(S x P), from logits.

    The complement is split so that no step subtracts near-equal numbers or rounds to zero:
    1 - S* = (1 - S P) / (1 + S*), and 1 - S P = (1 - S) + S (1 - P), a sum of two known logarithms.

    Args:
        class_logits: (..., K).
        gate_logits: (..., 1), shared by the classes.

    Returns:
        LogScores of shape (..., K).

    Source:
        Zhang et al., "Aligning Localization and Classification", equation 1; the form of the complement: ours.
    """
    score, gate = plain_scores(class_logits), plain_scores(gate_logits)
    log_score = (score.log_score + gate.log_score) / 2
    log_rest = torch.logaddexp(score.log_complement, score.log_score + gate.log_complement)
    return LogScores(log_score, log_rest - log_score.exp().log1p())


def focal_loss(scores: LogScores, targets: Tensor, alpha: float = FOCAL_ALPHA, gamma: float = FOCAL_GAMMA) -> Tensor:
    """Cross-entropy with less weight where the score is already right.

    Args:
        scores: of shape (...).
        targets: (...), 0 or 1.
        alpha: weight of the ones; the zeros weigh 1 - alpha.
        gamma: how fast the weight falls.

    Returns:
        (...), not reduced.

    Source:
        Lin et al., "Focal Loss for Dense Object Detection", equation 5.
    """
    of_ones = -alpha * (gamma * scores.log_complement).exp() * scores.log_score
    of_zeros = -(1 - alpha) * (gamma * scores.log_score).exp() * scores.log_complement
    return targets * of_ones + (1 - targets) * of_zeros


def quality_focal_loss(scores: LogScores, targets: Tensor) -> Tensor:
    """|t - s|^2 x BCE(s, t), for soft targets.

    Args:
        scores: of shape (...).
        targets: (...), t in 0..1.

    Returns:
        (...), not reduced.

    Source:
        Li et al., "Generalized Focal Loss", equation 5 with beta 2; Zhang et al. (LCA-SA) leave the loss open.
    """
    entropy = -(targets * scores.log_score + (1 - targets) * scores.log_complement)
    return (targets - scores.log_score.exp()).square() * entropy


def giou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor) -> Tensor:
    """1 - GIoU of each box with its target; inverted boxes count as empty and so have a loss of 1 to 2.

    Args:
        boxes_xyxy: (N, 4) predicted.
        targets_xyxy: (N, 4), x1 < x2 and y1 < y2.

    Returns:
        (N,) in 0..2, not reduced.

    Source:
        Rezatofighi et al., "Generalized Intersection over Union".
    """
    return 1 - paired_giou(boxes_xyxy, targets_xyxy)


def delta_loss(deltas: Tensor, targets: Tensor) -> Tensor:
    """Smooth L1, summed over the four deltas of a box.

    Args:
        deltas: (N, 4) predicted.
        targets: (N, 4).

    Returns:
        (N,), not reduced.

    Source:
        Girshick, "Fast R-CNN", equation 3, with the bend at SMOOTH_L1_BETA.
    """
    loss = functional.smooth_l1_loss(widen(deltas), targets, beta=SMOOTH_L1_BETA, reduction="none")
    return loss.sum(dim=-1)


def centerness_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of FCOS's centerness.

    Args:
        logits: (N,).
        targets: (N,) in 0..1.

    Returns:
        (N,), not reduced.

    Source:
        Tian et al., "FCOS", section 3.3.
    """
    return functional.binary_cross_entropy_with_logits(widen(logits), targets, reduction="none")
