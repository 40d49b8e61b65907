"""Merging the detections of all tiles into those of the scene, each object once, band by band.

A rule for boxes that a tile's edge has cut, then exact greedy NMS over the whole scene. Tiles come row by row, so that
boxes above the next row can no longer change: they are returned and freed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MergeMetric
from lcageo.detections import Detections
from lcageo.nms import decided, overlap, touching_pairs

Index = NDArray[np.int64]
Box = tuple[float, float, float, float]

SEAM_TOLERANCE_PX = 4.0
"""A box that ends this close (scene pixels) to a tile's interior edge may have been cut by it."""


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

    @classmethod
    def by(cls, found: Detections, tile: int, bounds: Box, gone: NDArray[np.bool_] | None = None) -> Seen:
        """The boxes that one tile saw."""
        count = len(found)
        discarded = np.zeros(count, np.bool_) if gone is None else gone
        return cls(found, np.full(count, tile), np.tile(np.array(bounds), (count, 1)), discarded)

    @classmethod
    def joined(cls, parts: list[Seen]) -> Seen:
        """Concatenates parts, in their order."""
        if not parts:
            return cls.by(Detections.empty(), 0, (0.0, 0.0, 0.0, 0.0))
        return cls(
            Detections.joined([part.found for part in parts]),
            np.concatenate([part.tile_of for part in parts]),
            np.concatenate([part.tiles_xyxy for part in parts]),
            np.concatenate([part.gone for part in parts]),
        )

    def selected(self, index: NDArray[np.bool_]) -> Seen:
        """The boxes where `index` is True."""
        return Seen(self.found.selected(index), self.tile_of[index], self.tiles_xyxy[index], self.gone[index])


class Merger:
    """Takes the tiles of a scene row by row, and returns the objects that are final.

    All that it returns, taken together, is the result of one pass over all boxes of the scene, however often it is
    called. It holds the boxes at and below the frontier, and those above that depend on them through overlaps.
    """

    def __init__(self, rule: MergeRule) -> None:
        self._rule = rule
        self._parts: list[Seen] = []

    @property
    def held(self) -> int:
        """Number of boxes kept in memory."""
        return sum(len(part.found) for part in self._parts)

    def add(self, found: Detections, tile: int, bounds: Box, lengths_px: tuple[float, float] = (0.0, np.inf)) -> None:
        """Adds the boxes that one tile saw.

        Args:
            found: scene pixels.
            tile: index of the tile.
            bounds: of the tile, scene pixels; boxes are clipped to them and to the scene.
            lengths_px: range of the longer sides of the boxes that count, in the rule's unit. Others are not returned,
                but still make parts of the same object yield that another tile has cut.
        """
        right, bottom = min(bounds[2], self._rule.scene_width), min(bounds[3], self._rule.scene_height)
        boxes = np.clip(found.boxes_xyxy.astype(np.float64), np.tile(bounds[:2], 2), [right, bottom, right, bottom])
        has_area = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1), np.bool_)
        if has_area.any():
            cut = Detections(boxes, found.scores, found.labels).selected(has_area)
            longer = lengths(cut.boxes_xyxy.astype(np.float64), self._rule.length_unit)
            gone = np.asarray((longer < lengths_px[0]) | (longer >= lengths_px[1]), np.bool_)
            self._parts.append(Seen.by(cut, tile, bounds, gone))

    def final(self, frontier: float = np.inf) -> Detections:
        """The objects that are final and were not returned before, best score first.

        Args:
            frontier: scene pixels; no further tile starts above it.
        """
        rule, seen = self._rule, Seen.joined(self._parts)
        gone = seen.gone | yields_at_seam(seen, rule)
        complete = seen.found.boxes_xyxy[:, 3] <= frontier
        rest = np.flatnonzero(~gone)
        kept, dropped = decided(seen.found.selected(rest), complete[rest], rule.threshold, rule.metric, rule.agnostic)
        final = seen.found.selected(rest[kept])
        gone[rest[kept]] = gone[rest[dropped]] = True
        kept_on = Seen(seen.found, seen.tile_of, seen.tiles_xyxy, gone).selected(~(gone & complete))
        self._parts = [kept_on] if len(kept_on.found) else []
        return final


def lengths(boxes_xyxy: NDArray[np.float64], unit: tuple[float, float]) -> NDArray[np.float64]:
    """(N,) longer sides of boxes, in a unit of scene pixels along rows and columns."""
    return np.asarray(((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / unit).max(axis=1, initial=0.0))


def yields_at_seam(seen: Seen, rule: MergeRule) -> NDArray[np.bool_]:
    """(N,) True where a box cut by an interior tile edge yields to a neighbour that saw more of the object.

    A cut box yields to a larger box of another tile that continues beyond the cutting edge and would look like it when
    cut by the same tile: their IoU inside the cut box's tile is above the threshold. Scores do not matter, since a part
    of an object can score higher than the whole, nor do classes, since a part can look like something else. "Larger"
    keeps two halves from yielding to each other.
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
    for first, second in touching_pairs(boxes, np.zeros(len(boxes), np.int64)):
        part, more = np.where(areas[first] < areas[second], (first, second), (second, first))
        beyond = np.concatenate([boxes[more, :2] < tiles[part, :2], boxes[more, 2:] > tiles[part, 2:]], axis=1)
        differ = (areas[part] < areas[more]) & (seen.tile_of[part] != seen.tile_of[more])
        rivals = differ & (cut[part] & beyond).any(axis=1)
        part, more = part[rivals], more[rivals]
        as_seen = np.concatenate(
            [np.maximum(boxes[more, :2], tiles[part, :2]), np.minimum(boxes[more, 2:], tiles[part, 2:])], axis=1
        )
        yields[part[overlap(boxes[part], as_seen, MergeMetric.IOU) > rule.threshold]] = True
    return yields
