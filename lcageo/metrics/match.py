"""Which detection is matched with which object, at each of COCO's IoUs: the basis of curves, confusion, resampling.

The COCO library does not expose its own matches; the tests show that these are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.metrics.curves import Curve, curve_of
from lcageo.metrics.truth import Counted, Floats, Index

IOUS = np.linspace(0.5, 0.95, 10)
"""The minimum IoUs of a correct detection over which COCO averages."""
IOU_75 = 5
"""Index of 0.75 in IOUS."""
LEAST_IOU = float(IOUS[0])
PAIR_CHUNK = 2_000_000
"""Pairs of boxes compared at a time: limits the memory for a dense scene to some 200 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The match of every detection."""

    what: Counted
    truth: NDArray[np.int32]
    """(10, D) index of the object that each detection is matched with at each IoU; -1: none."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(10, D) True if matched with an object that counts."""
        return (self.truth >= 0) & ~self.left_out

    @property
    def left_out(self) -> NDArray[np.bool_]:
        """(10, D) True if matched with a difficult object: ignored, neither right nor wrong."""
        difficult = np.append(self.what.difficult, False)  # the last is for -1
        return np.asarray(difficult[self.truth])

    def curve(self, label: int, iou: int = 0) -> Curve:
        """Precision and recall of one class at one of the IoUs (by index)."""
        of_class = np.flatnonzero(self.what.found_label == label)
        matched = self.truth[iou, of_class]
        difficult = (matched >= 0) & np.append(self.what.difficult, False)[matched]
        of_class, matched = of_class[~difficult], matched[~difficult]
        return curve_of(self.what.score[of_class], matched >= 0, int(self.what.objects()[label]))


def match(what: Counted) -> Matches:
    """COCO's matching: best score first, each detection takes the object of its class that it overlaps most.

    An object is taken once; a difficult one any number of times, but only by detections that match nothing else. Works
    in rounds instead of detection by detection: the n-th round handles the n-th detection of every image and class.
    """
    found, truth, iou = overlapping(what, what.found_group, what.truth_group)
    order = np.lexsort((truth, iou, found))  # of equal overlaps COCO takes the last
    order = order[np.argsort(_rank(what.found_group, found[order]), kind="stable")]
    found, truth, iou = found[order], truth[order], iou[order]
    rank = _rank(what.found_group, found)
    matched = np.full((len(IOUS), len(what.score)), -1, np.int32)
    taken = np.zeros((len(IOUS), len(what.difficult)), np.bool_)
    minimum = np.minimum(IOUS, 1 - 1e-10)[:, None]  # as COCO does: a computed IoU of 1 may be slightly less
    ends = np.flatnonzero(np.diff(rank, append=-1)) + 1
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=False):
        pair = slice(start, end)
        partner, enough = truth[pair], iou[pair] >= minimum
        difficult = what.difficult[partner]
        first = np.flatnonzero(np.diff(found[pair], prepend=-1))
        best = _last(enough & ~difficult & ~taken[:, partner], first)
        best = np.where(best < 0, _last(enough & difficult, first), best)
        chosen = np.where(best < 0, -1, partner[best])  # (10, detections of this round)
        matched[:, found[pair][first]] = chosen
        at, which = np.nonzero(chosen >= 0)
        taken[at, chosen[at, which]] = True
    return Matches(what, matched)


def overlapping(
    what: Counted, found_group: Index, truth_group: Index, min_iou: float = LEAST_IOU
) -> tuple[Index, Index, Floats]:
    """Pairs of a detection and an object of the same group that overlap enough.

    Args:
        what: D detections and G objects.
        found_group: (D,) ascending; only pairs within a group are compared.
        truth_group: (G,) ascending.
        min_iou: minimum IoU; for difficult objects, minimum share of the detection that is inside.

    Returns:
        (P,) indices of detections, (P,) of objects, (P,) overlaps.
    """
    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for some, others in _blocks(found_group, truth_group):
        iou = overlaps(what.found_xywh[some], what.truth_xywh[others], what.difficult[others])
        first, second = np.nonzero(iou >= min_iou)
        pairs.append((first + some.start, second + others.start, iou[first, second]))
    found, truth, iou = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return found, truth, iou


def overlaps(found_xywh: Floats, truth_xywh: Floats, difficult: NDArray[np.bool_]) -> Floats:
    """(D, G) IoU; for difficult objects the share of the detection that is inside, as COCO does for crowds."""
    low = np.maximum(found_xywh[:, None, :2], truth_xywh[:, :2])
    high = np.minimum((found_xywh[:, :2] + found_xywh[:, 2:])[:, None], truth_xywh[:, :2] + truth_xywh[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    found_area = found_xywh[:, 2:].prod(axis=1)[:, None]
    area = np.where(difficult, found_area, found_area + truth_xywh[:, 2:].prod(axis=1) - common)
    shares: Floats = np.divide(common, area, out=np.zeros_like(common), where=common > 0)
    return shares


def _blocks(found_group: Index, truth_group: Index) -> Iterator[tuple[slice, slice]]:
    """Detections and objects of each group that has both, in blocks of bounded size."""
    for group in np.intersect1d(found_group, truth_group).tolist():
        first, last = np.searchsorted(found_group, [group, group + 1]).tolist()
        others = slice(*np.searchsorted(truth_group, [group, group + 1]).tolist())
        step = max(1, PAIR_CHUNK // (others.stop - others.start))
        for start in range(first, last, step):
            yield slice(start, min(start + step, last)), others


def _rank(group: Index, found: Index) -> Index:
    """For each pair, the number of detections with any pair that precede its own in the same group."""
    having = np.unique(found)
    groups = group[having]
    rank = np.arange(len(having)) - np.searchsorted(groups, groups)
    return np.asarray(rank[np.searchsorted(having, found)], np.int64)


def _last(possible: NDArray[np.bool_], first: Index) -> Index:
    """(10, F) the last possible pair of each detection, given where its pairs (columns) start; -1: none."""
    positions = np.where(possible, np.arange(possible.shape[1]), -1)
    return np.asarray(np.maximum.reduceat(positions, first, axis=1))
