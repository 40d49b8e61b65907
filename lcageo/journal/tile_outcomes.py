"""What running some tiles gave, as few arrays: what workers send, what the journal stores, what is merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Detections

NO_DATA = -1
"""Count of the boxes of a tile without a valid pixel."""


@dataclass(frozen=True, slots=True)
class TileOutcome:
    """Result of one tile."""

    tile: int
    """Number of the tile, counted over all passes; a runner gives its index in the grid."""
    found: Detections | None
    """Scene pixels; None for a tile without a valid pixel, or one that could not be read."""
    impossible: int = 0
    """Number of boxes left out because no object of their class has such a size."""
    unread: str = ""
    """Why it could not be read; empty if it was."""
    distance: float | None = None
    """How far its look is from the model's training images (`Appearance.distance`); None if that is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class TileOutcomes:
    """Results of some tiles: T that were read, with N boxes in all, and perhaps others that could not be read.

    An array of all boxes takes a hundredth of the time that one for each tile does.
    """

    tiles: NDArray[np.int64]
    """(T,) numbers of the tiles that were read; see `TileOutcome` for this and the following."""
    counts: NDArray[np.int32]
    """(T,) numbers of their boxes; NO_DATA for a tile without a valid pixel."""
    impossible: NDArray[np.int32]
    """(T,)."""
    distances: NDArray[np.float64]
    """(T,); NaN where it is not known."""
    found: Detections
    """The N boxes, tile by tile, scene pixels."""
    unread: tuple[tuple[int, str], ...] = ()
    """Numbers of the tiles that could not be read, and why."""

    def __post_init__(self) -> None:
        columns = (self.counts, self.impossible, self.distances)
        if any(len(column) != len(self.tiles) for column in columns) or self._boxes().sum() != len(self.found):
            raise ValueError(f"{len(self.tiles)} tiles, {len(self.found)} boxes and their counts do not agree")

    @classmethod
    def of(cls, outcomes: Sequence[TileOutcome]) -> TileOutcomes:
        """The results of some tiles, in their order."""
        read = [one for one in outcomes if not one.unread]
        return cls(
            np.array([one.tile for one in read], np.int64),
            np.array([NO_DATA if one.found is None else len(one.found) for one in read], np.int32),
            np.array([one.impossible for one in read], np.int32),
            np.array([np.nan if one.distance is None else one.distance for one in read], np.float64),
            Detections.joined([one.found for one in read if one.found is not None]),
            tuple((one.tile, one.unread) for one in outcomes if one.unread),
        )

    @classmethod
    def joined(cls, parts: Sequence[TileOutcomes]) -> TileOutcomes:
        """The tiles of all parts, in their order."""
        if not parts:
            return cls.of([])
        return cls(
            np.concatenate([part.tiles for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.impossible for part in parts]),
            np.concatenate([part.distances for part in parts]),
            Detections.joined([part.found for part in parts]),
            tuple(one for part in parts for one in part.unread),
        )

    def __len__(self) -> int:
        return len(self.tiles) + len(self.unread)

    def __iter__(self) -> Iterator[TileOutcome]:
        ends = np.cumsum(self._boxes())
        for index, (tile, count) in enumerate(zip(self.tiles.tolist(), self.counts.tolist(), strict=True)):
            found = None if count == NO_DATA else self.found.selected(slice(ends[index] - count, ends[index]))
            distance = float(self.distances[index])
            known = None if np.isnan(distance) else distance
            yield TileOutcome(tile, found, int(self.impossible[index]), distance=known)
        for tile, reason in self.unread:
            yield TileOutcome(tile, None, unread=reason)

    def _boxes(self) -> NDArray[np.int64]:
        """(T,) number of boxes of each tile that was read."""
        return np.maximum(self.counts.astype(np.int64), 0)

    def tile_of_box(self) -> NDArray[np.int64]:
        """(N,) number of the tile that saw each box."""
        return np.repeat(self.tiles, self._boxes())

    def selected(self, which: NDArray[np.bool_]) -> TileOutcomes:
        """The tiles that were read where `which` (T,) is True."""
        if which.all():
            return replace(self, unread=())
        found = self.found.selected(np.repeat(which, self._boxes()))
        return TileOutcomes(self.tiles[which], self.counts[which], self.impossible[which], self.distances[which], found)

    def numbered_from(self, first: int) -> TileOutcomes:
        """The same tiles with numbers that are greater by `first`."""
        return replace(
            self, tiles=self.tiles + first, unread=tuple((tile + first, reason) for tile, reason in self.unread)
        )
