"""Merging the detections of all tiles into those of the scene, each object once.

A rule for boxes that a tile's edge has cut, then exact greedy NMS over the whole scene. Both only look at boxes that
overlap, so a scene is merged in cells of some hundred tiles, each by itself and on any worker: what no tile of another
cell can overlap is final there. The rest, along the seams of the cells, is merged row of cells by row of cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MergeMetric
from lcageo.detections import Detections
from lcageo.journal.tile_outcomes import TileOutcomes
from lcageo.nms import decided, overlap, touching_pairs
from lcageo.scene.tiles import TileGrid

Index = NDArray[np.int64]
FloatArray = NDArray[np.float64]

SEAM_TOLERANCE_PX = 4.0
"""A box that ends this close (scene pixels) to a tile's interior edge may have been cut by it."""
CELL_SIDE = 12
"""Side of a cell in those of a tile of the first pass: with the usual overlap of a quarter 16 x 16 tiles, together some
ten thousand boxes, whose arrays fit in a core's cache, and of which a tenth lie at the cell's seams."""


@dataclass(frozen=True, slots=True)
class MergeRule:
    """Decides which boxes of a scene are the same object."""

    scene_width: float
    """Width in scene pixels."""
    scene_height: float
    """Height in scene pixels."""
    threshold: float
    """Overlap above which two boxes are the same object, 0 to 1."""
    metric: MergeMetric = MergeMetric.IOU
    agnostic: bool = False
    """Whether boxes of different classes can be the same object."""
    seam_tolerance: tuple[float, float] = (SEAM_TOLERANCE_PX, SEAM_TOLERANCE_PX)
    """Distance from a tile's edge within which a box may have been cut by it, scene pixels along rows and columns."""
    length_unit: tuple[float, float] = (1.0, 1.0)
    """Scene pixels along rows and columns in which lengths are measured."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Boxes with the tile that saw each of them."""

    found: Detections
    """Scene pixels; no box reaches out of its tile."""
    tile_of: Index
    """(N,) index of the tile."""
    tiles_xyxy: NDArray[np.float64]
    """(N, 4) bounds of that tile, scene pixels."""
    gone: NDArray[np.bool_]
    """(N,) True for boxes that are already discarded, but may still make others yield."""
    lengths_px: FloatArray
    """(N, 2) range of the lengths that count in the pass of that tile, in the rule's unit."""

    @classmethod
    def of(
        cls,
        found: Detections,
        tile_of: Index,
        tiles_xyxy: FloatArray,
        rule: MergeRule,
        lengths_px: FloatArray | tuple[float, float] = (0.0, np.inf),
    ) -> Seen:
        """Boxes with an area inside their tile and the scene, which they are clipped to.

        Args:
            found: N boxes, scene pixels.
            tile_of: see the attributes.
            tiles_xyxy: likewise.
            rule: with the scene's size.
            lengths_px: (N, 2) or for all: range of the longer sides of the boxes that count, in the rule's unit. Others
                are not returned, but still make parts of the same object yield that another tile has cut.
        """
        limits = np.minimum(tiles_xyxy[:, 2:], [rule.scene_width, rule.scene_height])
        lower, upper = np.tile(tiles_xyxy[:, :2], 2), np.tile(limits, 2)
        boxes = np.clip(found.boxes_xyxy.astype(np.float64), lower, upper)
        ranges = np.broadcast_to(np.asarray(lengths_px, np.float64), (len(boxes), 2))
        gone = ~_within(lengths(boxes, rule.length_unit), ranges)
        has_area = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1), np.bool_)
        seen = cls(Detections(boxes, found.scores, found.labels), tile_of, tiles_xyxy, gone, ranges)
        return seen if has_area.all() else seen.selected(has_area)

    @classmethod
    def joined(cls, parts: list[Seen]) -> Seen:
        """Concatenates parts, in their order."""
        if not parts:
            none = np.zeros(0, np.bool_)
            return cls(Detections.empty(), np.zeros(0, np.int64), np.zeros((0, 4)), none, np.zeros((0, 2)))
        return cls(
            Detections.joined([part.found for part in parts]),
            np.concatenate([part.tile_of for part in parts]),
            np.concatenate([part.tiles_xyxy for part in parts]),
            np.concatenate([part.gone for part in parts]),
            np.concatenate([part.lengths_px for part in parts]),
        )

    def selected(self, index: NDArray[np.bool_]) -> Seen:
        """The boxes where `index` is True."""
        of_tiles = self.tile_of[index], self.tiles_xyxy[index]
        return Seen(self.found.selected(index), *of_tiles, self.gone[index], self.lengths_px[index])


class Merger:
    """Takes the boxes of a scene part by part, and returns the objects that are final.

    All that it returns, taken together, is the result of one pass over all boxes of the scene, however often it is
    called. It holds the boxes that others may still overlap, and those that depend on them through overlaps.
    """

    def __init__(self, rule: MergeRule) -> None:
        self._rule = rule
        self.held = Seen.joined([])
        """Boxes that are not decided, or that may still make others yield."""

    def add(self, seen: Seen) -> None:
        """Adds boxes."""
        self.held = Seen.joined([self.held, seen])

    def final(self, complete: Callable[[FloatArray], NDArray[np.bool_]] | None = None) -> Detections:
        """The objects that are final and were not returned before, best score first.

        Args:
            complete: from (N, 4) boxes to (N,) True where no box that is still to be added shares area with them; None:
                none is to be added.
        """
        rule, seen = self._rule, self.held
        if not len(seen.found):
            return seen.found
        gone = seen.gone | yields_at_seam(seen, rule)
        boxes = seen.found.boxes_xyxy.astype(np.float64)
        is_complete = np.ones(len(boxes), np.bool_) if complete is None else complete(boxes)
        rest = np.flatnonzero(~gone)
        kept, dropped = decided(
            seen.found.selected(rest), is_complete[rest], rule.threshold, rule.metric, rule.agnostic
        )
        final = seen.found.selected(rest[kept])
        gone[rest[kept]] = gone[rest[dropped]] = True
        self.held = replace(seen, gone=gone).selected(~(gone & is_complete))
        return final


@dataclass(frozen=True, slots=True)
class MergedPass:
    """What merging must know of a pass over a scene."""

    grid: TileGrid
    first: int
    """Number of its first tile."""
    lengths_px: tuple[float, float]
    """Lengths of the objects that it reports."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The tiles of all passes whose centres lie in one cell of the scene."""

    row: int
    column: int
    outcomes: TileOutcomes
    """Numbered over all passes."""


@dataclass(frozen=True, slots=True)
class MergedCell:
    """What merging one cell gave."""

    row: int
    final: Detections
    """Objects that no tile of another cell can change."""
    open: Seen
    """Boxes that are merged with those of other cells."""


@dataclass(frozen=True, slots=True)
class Merging:
    """How a scene is merged: the same for all of its cells."""

    rule: MergeRule
    passes: tuple[MergedPass, ...]
    min_scores: NDArray[np.float32] | None = None
    """(K,) scores that objects must exceed, per class; None: all count."""

    def cells_of(self, axis: int, one: MergedPass) -> Index:
        """(rows or columns,) cell that each row (axis 1) or column (axis 0) of a pass's tiles belongs to, ascending."""
        low, high = _edges(one.grid, axis)
        first_low, first_high = _edges(self.passes[0].grid, axis)
        side = CELL_SIDE * (first_high[0] - first_low[0])
        return np.asarray(np.floor((low + high) / 2 / side), np.int64)

    def merged(self, cell: Cell) -> MergedCell:
        """Merges a cell by itself."""
        merger = Merger(self.rule)
        for one in self.passes:
            outcomes = cell.outcomes
            inside = (outcomes.tiles >= one.first) & (outcomes.tiles < one.first + len(one.grid))
            outcomes = outcomes.selected(inside)
            found, tile_of = outcomes.found, outcomes.tile_of_box()
            if self.min_scores is not None:
                enough = found.scores > self.min_scores[found.labels]
                found, tile_of = found.selected(enough), tile_of[enough]
            merger.add(Seen.of(found, tile_of, one.grid.bounds(tile_of - one.first), self.rule, one.lengths_px))
        final = merger.final(lambda boxes: self._inside(boxes, cell))
        return MergedCell(cell.row, final, merger.held)

    def _inside(self, boxes: FloatArray, cell: Cell) -> NDArray[np.bool_]:
        """(N,) True for boxes that share area with tiles of this cell only."""
        inside = np.ones(len(boxes), np.bool_)
        for one in self.passes:
            for axis, own in ((0, cell.column), (1, cell.row)):
                (low, high), cells = _edges(one.grid, axis), self.cells_of(axis, one)
                first = np.searchsorted(high, boxes[:, axis], side="right")
                last = np.searchsorted(low, boxes[:, axis + 2], side="left") - 1
                inside &= (cells[first] == own) & (cells[last] == own)
        return inside

    def above(self, row: int) -> Callable[[FloatArray], NDArray[np.bool_]]:
        """Whether boxes lie above all tiles of this row of cells and those below; for `Merger.final`."""
        tops = [_edges(one.grid, 1)[0][self.cells_of(1, one) >= row] for one in self.passes]
        frontier = min((top[0] for top in tops if len(top)), default=np.inf)
        return lambda boxes: boxes[:, 3] <= frontier


def merged_cell(merging: Merging, cell: Cell) -> MergedCell:
    """See `Merging.merged`; for `TileRunner.map`."""
    return merging.merged(cell)


def _edges(grid: TileGrid, axis: int) -> tuple[FloatArray, FloatArray]:
    """(M,) lower and (M,) upper edges of the grid's columns (axis 0) or rows (axis 1), scene pixels."""
    starts = np.array(grid.row_starts if axis else grid.col_starts)
    length = grid.tile_height if axis else grid.tile_width
    return starts * grid.scale[axis], (starts + length) * grid.scale[axis]


def lengths(boxes_xyxy: NDArray[np.float64], unit: tuple[float, float]) -> NDArray[np.float64]:
    """(N,) longer sides of boxes, in a unit of scene pixels along rows and columns."""
    return np.asarray(((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / unit).max(axis=1, initial=0.0))


def _within(lengths_px: FloatArray, ranges: FloatArray) -> NDArray[np.bool_]:
    """(N,) True for lengths in their ranges (N, 2)."""
    return np.asarray((lengths_px >= ranges[:, 0]) & (lengths_px < ranges[:, 1]))


def yields_at_seam(seen: Seen, rule: MergeRule) -> NDArray[np.bool_]:
    """(N,) True where a box cut by an interior tile edge yields to a neighbour that saw more of the object.

    A cut box yields to a larger box of another tile that continues beyond the cutting edge and would look like it when
    cut by the same tile: their IoU inside the cut box's tile is above the threshold. Scores do not matter, since a part
    of an object can score higher than the whole, nor do classes, since a part can look like something else. "Larger"
    keeps two halves from yielding to each other. It does not yield to a box of another pass that leaves objects as long
    to its own: nobody else might report the object.
    """
    boxes = seen.found.boxes_xyxy.astype(np.float64)
    yields = np.zeros(len(boxes), np.bool_)
    tiles = seen.tiles_xyxy
    interior = (tiles > 0) & (tiles < np.array([np.inf, np.inf, rule.scene_width, rule.scene_height]))
    cut = np.asarray(
        interior & (np.abs(boxes - tiles) <= np.tile(rule.seam_tolerance, 2))
    )  # (N, 4) left, top, right, bottom
    if not cut.any():
        return yields
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    longer = lengths(boxes, rule.length_unit)
    too_long = longer >= seen.lengths_px[:, 1]  # small objects have passes whose tiles show them whole
    for first, second in touching_pairs(boxes, np.zeros(len(boxes), np.int64)):
        part, more = np.where(areas[first] < areas[second], (first, second), (second, first))
        beyond = np.concatenate([boxes[more, :2] < tiles[part, :2], boxes[more, 2:] > tiles[part, 2:]], axis=1)
        differ = (areas[part] < areas[more]) & (seen.tile_of[part] != seen.tile_of[more])
        left_to_it = too_long[more] & _within(longer[more], seen.lengths_px[part])
        rivals = differ & ~left_to_it & (cut[part] & beyond).any(axis=1)
        part, more = part[rivals], more[rivals]
        as_seen = np.concatenate(
            [np.maximum(boxes[more, :2], tiles[part, :2]), np.minimum(boxes[more, 2:], tiles[part, 2:])], axis=1
        )
        yields[part[overlap(boxes[part], as_seen, MergeMetric.IOU) > rule.threshold]] = True
    return yields
