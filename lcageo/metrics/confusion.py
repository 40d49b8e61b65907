"""Confusion matrix: which classes are mistaken for which others, or for background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.metrics.match import Matches, overlapping
from lcageo.metrics.truth import Index

BACKGROUND = "background"


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Confusion matrix at IoU 0.5 and each class's own minimum score."""

    classes: tuple[str, ...]
    counts: Index
    """(K + 1, K + 1) rows: true class; columns: detected class. The last row counts detections without an object, the
    last column objects that were missed."""


def confusion(matches: Matches, classes: Sequence[str], min_scores: Sequence[float]) -> Confusion:
    """Builds the confusion matrix.

    Detections are first matched with objects of their own class, as for precision and recall, so that the diagonal
    agrees with these. What is left on both sides is paired across classes, largest overlap first.

    Args:
        matches: matches of the detections.
        classes: K class names.
        min_scores: K minimum scores; nan: DetectConfig.DEFAULT_SCORE.
    """
    what, none = matches.what, len(classes)
    minimum = np.where(np.isnan(min_scores), DetectConfig.DEFAULT_SCORE, min_scores)
    kept = what.score >= minimum[what.found_label]
    same = np.where(kept, matches.truth[0], -1).astype(np.int64)
    free_found = kept & (same < 0)
    free_truth = ~what.difficult
    free_truth[same[same >= 0]] = False
    right = np.flatnonzero(same >= 0)
    right = right[~what.difficult[same[right]]]
    pairs = [(what.found_label[right], what.found_label[right])]
    found, truth = _across(matches, free_found, free_truth)
    pairs.append((what.truth_label[truth], what.found_label[found]))
    free_found[found], free_truth[truth] = False, False
    missed, wrong = what.truth_label[free_truth], what.found_label[free_found]
    pairs += [(missed, np.full(len(missed), none)), (np.full(len(wrong), none), wrong)]
    counts = np.zeros((none + 1, none + 1), np.int64)
    for rows, columns in pairs:
        np.add.at(counts, (rows, columns), 1)
    return Confusion(tuple(classes), counts)


def _across(matches: Matches, free_found: NDArray[np.bool_], free_truth: NDArray[np.bool_]) -> tuple[Index, Index]:
    """Pairs detections and objects of any class by overlap, largest first, each at most once."""
    found, truth, iou = overlapping(matches.what, matches.what.found_image, matches.what.truth_image)
    open_pairs = free_found[found] & free_truth[truth]
    found, truth, iou = found[open_pairs], truth[open_pairs], iou[open_pairs]
    order = np.lexsort((found, truth, -iou))
    seen_found: set[int] = set()
    seen_truth: set[int] = set()
    chosen = []
    for position, f, t in zip(order.tolist(), found[order].tolist(), truth[order].tolist(), strict=True):
        if f not in seen_found and t not in seen_truth:
            seen_found.add(f)
            seen_truth.add(t)
            chosen.append(position)
    return found[chosen], truth[chosen]
