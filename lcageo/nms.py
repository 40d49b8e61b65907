"""Exact class-wise greedy non-maximum suppression (NMS) in O(n log n + pairs), in numpy without a loop over boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MergeMetric
from lcageo.detections import Boxes, Detections

Index = NDArray[np.int64]

PAIR_CHUNK = 32_768
"""Number of candidate pairs compared at a time, so that the intermediate arrays fit in a core's cache."""
LARGEST_COORDINATE = 2.0**50
"""Limit of coordinates: beyond it, one-pixel grid cells exceed 64-bit integers, and float64 cannot hold fractions."""


def nms(
    detections: Detections, threshold: float, metric: MergeMetric = MergeMetric.IOU, agnostic: bool = False
) -> Index:
    """Greedy NMS: best score first, a box is dropped if it overlaps a kept one by more than `threshold`.

    Returns exactly what a plain loop over all boxes does. Ties in score are broken by label, then by coordinates, so
    that the result does not depend on the order given.

    Args:
        detections: N objects with finite boxes.
        threshold: overlap above which the lower-scoring box is dropped, 0 to 1.
        metric: how the overlap is measured; a box without area overlaps nothing.
        agnostic: also compare boxes of different classes.

    Returns:
        (K,) int64 positions of the kept objects, best first.
    """
    return decided(detections, np.ones(len(detections), np.bool_), threshold, metric, agnostic)[0]


def decided(
    detections: Detections, complete: NDArray[np.bool_], threshold: float, metric: MergeMetric, agnostic: bool
) -> tuple[Index, Index]:
    """What greedy NMS keeps and drops regardless of boxes still to come, none of which overlaps a complete box.

    Args:
        detections: N objects, as in `nms`.
        complete: (N,) True if all boxes that overlap this one are among the N.
        threshold: as in `nms`.
        metric: as in `nms`.
        agnostic: as in `nms`.

    Returns:
        (K,) int64 positions of boxes that are kept, best first, and (D,) of boxes that are dropped; the
        others are undecided. Kept boxes are complete.
    """
    order = ranking(detections)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    boxes = detections.boxes_xyxy.astype(np.float64)
    groups = np.zeros(len(order), np.int64) if agnostic else detections.labels
    near = _by_position(boxes, groups)  # neighbours also in memory, so that pairs are read from the cache
    boxes, groups, rank = boxes.take(near, axis=0), groups[near], rank[near]
    better, worse = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first, second in touching_pairs(boxes, groups):
        same = overlap(boxes.take(first, axis=0), boxes.take(second, axis=0), metric) > threshold
        one, other = rank[first[same]], rank[second[same]]
        better.append(np.minimum(one, other))
        worse.append(np.maximum(one, other))
    kept, dropped = _greedy(complete[order], np.concatenate(better), np.concatenate(worse))
    return order[kept], order[dropped]


def ranking(detections: Detections) -> Index:
    """(N,) positions, best score first; ties by label, x1, y1, x2, y2."""
    boxes, scores, labels = detections.boxes_xyxy, detections.scores, detections.labels
    order = np.argsort(-scores)
    ordered = scores[order]
    equal = ordered[1:] == ordered[:-1]
    tied = np.concatenate([equal, [False]]) | np.concatenate([[False], equal])
    if tied.any():  # ties are few: only they need the slow six-key sort
        some = order[tied]
        x1, y1, x2, y2 = boxes[some].T
        order[tied] = some[np.lexsort((y2, x2, y1, x1, labels[some], -scores[some]))]
    return order.astype(np.int64)


def overlap(first: Boxes, second: Boxes, metric: MergeMetric) -> NDArray[np.float64]:
    """(N,) overlap of paired boxes (N, 4), 0 to 1; 0 where a box has no area."""
    width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area_first = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    area_second = (second[:, 2] - second[:, 0]) * (second[:, 3] - second[:, 1])
    of = np.minimum(area_first, area_second) if metric is MergeMetric.IOS else area_first + area_second - common
    shares: NDArray[np.float64] = np.divide(common, of, out=np.zeros_like(common), where=common > 0)
    return shares


def touching_pairs(boxes: NDArray[np.float64], groups: Index) -> Iterator[tuple[Index, Index]]:
    """Pairs of boxes of the same group that may overlap, each unordered pair once, in chunks of bounded size.

    They include every pair that shares area, and some that do not. A box is filed by its centre in a grid whose
    cell size is the smallest power of two that its longer side fits in. Two boxes that overlap have centres less than
    one cell of the larger box apart, so three runs of cells in the sorted grid contain all partners of a box.

    Args:
        boxes: (N, 4) float64, finite.
        groups: (N,) int64, not negative.

    Yields:
        (M,) and (M,) int64 positions in `boxes`.
    """
    if len(boxes) < 2:
        return
    levels, centres = _filed(boxes)
    for level in np.unique(levels):
        grid = _Grid.of(centres, groups, float(2.0**level))
        filed = np.flatnonzero(levels == level)
        filed = filed[np.argsort(grid.keys[filed])]
        yield from _pairs_within(grid, filed)
        smaller = np.flatnonzero(levels < level)
        yield from _pairs_between(grid, filed, smaller[np.argsort(grid.keys[smaller])])


def _filed(boxes: NDArray[np.float64]) -> tuple[Index, NDArray[np.float64]]:
    """(N,) levels, the powers of two that the longer sides fit in, and (N, 2) centres relative to their minimum."""
    if not np.isfinite(boxes).all():
        raise ValueError("boxes to merge must be finite")
    if np.abs(boxes).max() > LARGEST_COORDINATE:
        raise ValueError("the boxes are too far apart to be merged")
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).max(axis=1)
    levels = np.ceil(np.log2(np.maximum(sides, 1.0))).astype(np.int64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return levels, centres - centres.min(axis=0)


def _by_position(boxes: NDArray[np.float64], groups: Index) -> Index:
    """(N,) positions, sorted by group and by row of a grid whose cells have about the median box size."""
    if len(boxes) < 2:
        return np.arange(len(boxes))
    levels, centres = _filed(boxes)
    return np.argsort(_Grid.of(centres, groups, 2.0 ** int(np.median(levels))).keys).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The grid cell of every box, as one integer that sorts by group, row, column."""

    keys: Index
    """(N,) the cell of each box's centre."""
    stride: int
    """Difference of keys from one row to the next."""

    @classmethod
    def of(cls, centres: NDArray[np.float64], groups: Index, cell: float) -> _Grid:
        columns, rows = (np.floor(centres / cell).astype(np.int64) + 1).T  # + 1: leaves room for a left neighbour
        stride, height = int(columns.max()) + 2, int(rows.max()) + 2
        if (int(groups.max()) + 1) * stride * height >= 2**62:
            raise ValueError("the boxes are too far apart to be merged")
        return cls((groups * height + rows) * stride + columns, stride)

    def run(self, filed_keys: Index, keys: Index, row_step: int) -> tuple[Index, Index]:
        """Start and end in `filed_keys` of the three cells around `keys`, `row_step` rows further."""
        centre = keys + row_step * self.stride
        return (
            np.searchsorted(filed_keys, centre - 1, side="left").astype(np.int64),
            np.searchsorted(filed_keys, centre + 1, side="right").astype(np.int64),
        )


def _pairs_within(grid: _Grid, filed: Index) -> Iterator[tuple[Index, Index]]:
    """Pairs within a level: with later boxes in the same row of cells, and with three cells of the next row."""
    keys = grid.keys[filed]
    _, end = grid.run(keys, keys, 0)
    yield from _expanded(filed, filed, np.arange(1, len(filed) + 1), end)
    yield from _expanded(filed, filed, *grid.run(keys, keys, 1))


def _pairs_between(grid: _Grid, filed: Index, smaller: Index) -> Iterator[tuple[Index, Index]]:
    """Pairs of a box of this level and a smaller one."""
    filed_keys, keys = grid.keys[filed], grid.keys[smaller]
    for row_step in (-1, 0, 1):
        yield from _expanded(filed, smaller, *grid.run(filed_keys, keys, row_step))


def _expanded(filed: Index, asking: Index, start: Index, end: Index) -> Iterator[tuple[Index, Index]]:
    """(asking[i], filed[start[i]]), ..., (asking[i], filed[end[i] - 1]) for all i, chunk by chunk."""
    counts = np.maximum(end - start, 0)
    asking, start, counts = asking[counts > 0], start[counts > 0], counts[counts > 0]
    if len(asking) == 0:
        return
    totals = np.cumsum(counts)
    cuts = np.searchsorted(totals, np.arange(PAIR_CHUNK, totals[-1] + PAIR_CHUNK, PAIR_CHUNK), side="left") + 1
    position = 0
    for cut in np.unique(np.minimum(cuts, len(asking))):
        part = slice(position, int(cut))
        first = np.repeat(asking[part], counts[part])
        offset = np.arange(len(first)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        yield first, filed[np.repeat(start[part], counts[part]) + offset]
        position = int(cut)


def _greedy(complete: NDArray[np.bool_], better: Index, worse: Index) -> tuple[Index, Index]:
    """Positions (0 best) that the greedy loop keeps and drops, given the pairs of rivals.

    Works in rounds instead of box by box: a complete box with no undecided better rival is kept, its rivals are
    dropped, and the boxes that waited for them are free in the next round. Every pair is visited once. The worse
    rivals of an incomplete box stay undecided.
    """
    count = len(complete)
    order = np.argsort(better)
    worse = worse[order]
    first = np.searchsorted(better[order], np.arange(count + 1)).astype(np.int64)
    undecided_rivals = np.bincount(worse, minlength=count)
    kept, dropped = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    seen_at = np.zeros(count, np.int64)
    free = np.flatnonzero((undecided_rivals == 0) & complete)
    while len(free):
        kept[free] = True
        losers = _rivals(first, worse, free)
        losers = _once(losers[~dropped[losers]], seen_at)
        dropped[losers] = True
        released = _rivals(first, worse, losers)
        np.subtract.at(undecided_rivals, released, 1)
        free = _once(released[(undecided_rivals[released] == 0) & ~dropped[released] & complete[released]], seen_at)
    return np.flatnonzero(kept), np.flatnonzero(dropped)


def _once(of: Index, seen_at: Index) -> Index:
    """The distinct numbers of `of`; `seen_at` is scratch space, one integer per possible number."""
    at = np.arange(len(of))
    seen_at[of] = at
    return np.asarray(of[seen_at[of] == at])


def _rivals(first: Index, worse: Index, of: Index) -> Index:
    """The worse rivals of boxes `of`, in one array, with repetition."""
    counts = first[of + 1] - first[of]
    offset = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(worse[np.repeat(first[of], counts) + offset])
