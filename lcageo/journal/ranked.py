"""Any number of objects in the order of their scores, in bounded memory: an external merge sort in an SQLite file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lcageo.database import Database
from lcageo.detections import Detections
from lcageo.errors import DamagedError
from lcageo.nms import ranking

RUN = 500_000
"""Number of objects that are sorted in memory: 22 MB; more become another sorted run in the file."""
AT_ONCE = 20_000
"""Number of a run's objects that are read at a time, and of those that are returned at a time."""
TABLE = """
CREATE TABLE IF NOT EXISTS objects (
    run INTEGER, part INTEGER, boxes BLOB NOT NULL, scores BLOB NOT NULL, labels BLOB NOT NULL, PRIMARY KEY (run, part)
);
"""
_BOX, _SCORE, _LABEL = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i4")


class RankedObjects:
    """Objects of a scene, added in any order and read best first, in the order of `nms.ranking`."""

    def __init__(self, database: Database, digits: int) -> None:
        """No objects.

        Args:
            database: for what does not fit in memory; has or gets a table `objects`, which nothing else may use.
            digits: decimal digits to which `counts` and `score_counts` round scores.
        """
        self._database, self._steps = database, 10**digits
        database.script(TABLE)
        self.clear()

    def clear(self) -> None:
        """Removes all objects."""
        self._database.change("DELETE FROM objects", [()])
        self._recent: list[Detections] = []
        self._runs = self._unsorted = 0
        self._by_score = np.zeros((0, self._steps + 1), np.int64)
        """(K, steps + 1) number of objects by class and rounded score."""

    def add(self, found: Detections) -> None:
        """Adds some objects, scores from 0 to 1.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        if not len(found):
            return
        self._count(found)
        self._recent.append(found)
        self._unsorted += len(found)
        if self._unsorted >= RUN:
            packed = [packed_boxes(part) for part in _parts(self._sorted_recent())]
            rows = [(self._runs, number, *part) for number, part in enumerate(packed)]
            self._database.change("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
            self._recent, self._unsorted, self._runs = [], 0, self._runs + 1

    def __iter__(self) -> Iterator[Detections]:
        """The objects, best first, AT_ONCE at a time.

        Raises:
            DamagedError: if the disk has corrupted the file.
        """
        runs = [self._run(number) for number in range(self._runs)]
        waiting = Detections.empty()
        for part in _merged([*runs, _parts(self._sorted_recent())]):
            waiting = Detections.joined([waiting, part])
            whole = len(waiting) // AT_ONCE * AT_ONCE
            yield from _parts(waiting.selected(slice(0, whole)))
            waiting = waiting.selected(slice(whole, None))
        if len(waiting):
            yield waiting

    def counts(self, minimum: Sequence[float]) -> tuple[int, ...]:
        """Number of objects of each class whose rounded score reaches the class's minimum."""
        reached = (sum(self.score_counts(label, least).values()) for label, least in enumerate(minimum))
        return tuple(reached)

    def score_counts(self, label: int, minimum: float) -> dict[float, int]:
        """Number of a class's objects by rounded score, from `minimum` on."""
        if label >= len(self._by_score):
            return {}
        of_class = self._by_score[label]
        scores = np.arange(self._steps + 1) / self._steps
        present = np.flatnonzero((of_class > 0) & (scores >= minimum))
        return dict(zip(scores[present].tolist(), of_class[present].tolist(), strict=True))

    def _count(self, found: Detections) -> None:
        missing = int(found.labels.max()) + 1 - len(self._by_score)
        if missing > 0:
            self._by_score = np.pad(self._by_score, ((0, missing), (0, 0)))
        steps = np.rint(found.scores.astype(np.float64) * self._steps).astype(np.int64)
        bins = found.labels * (self._steps + 1) + np.clip(steps, 0, self._steps)
        self._by_score += np.bincount(bins, minlength=self._by_score.size).reshape(self._by_score.shape)

    def _sorted_recent(self) -> Detections:
        together = Detections.joined(self._recent)
        return together.selected(ranking(together))

    def _run(self, number: int) -> Iterator[Detections]:
        query = "SELECT boxes, scores, labels FROM objects WHERE run = ? ORDER BY part"
        for packed in self._database.rows(query, (number,)):
            try:
                yield unpacked_boxes(*packed)
            except (TypeError, ValueError) as error:
                raise DamagedError(
                    f"{self._database.what} '{self._database.path}' is damaged ({error}); run again with --restart to "
                    "start over"
                ) from error


def packed_boxes(found: Detections) -> tuple[bytes, bytes, bytes]:
    """Boxes, scores and labels as bytes, 40 per object."""
    return (
        found.boxes_xyxy.astype(_BOX).tobytes(),
        found.scores.astype(_SCORE).tobytes(),
        found.labels.astype(_LABEL).tobytes(),
    )


def unpacked_boxes(boxes: bytes, scores: bytes, labels: bytes) -> Detections:
    """The inverse of `packed_boxes`.

    Raises:
        TypeError, ValueError: if they are not what `packed_boxes` gave.
    """
    return Detections(
        np.frombuffer(boxes, _BOX).reshape(-1, 4),
        np.frombuffer(scores, _SCORE),
        np.frombuffer(labels, _LABEL).astype(np.int64),
    )


def _parts(found: Detections) -> Iterator[Detections]:
    return (found.selected(slice(first, first + AT_ONCE)) for first in range(0, len(found), AT_ONCE))


class _Run:
    """A sorted run, of which some objects are in memory."""

    def __init__(self, parts: Iterator[Detections]) -> None:
        self._parts = parts
        self.held = Detections.empty()
        self.ended = False
        self.read()

    def read(self) -> None:
        """Reads another part."""
        part = next(self._parts, None)
        self.ended = part is None
        if part is not None:
            self.held = Detections.joined([self.held, part])

    @property
    def last(self) -> float:
        """Score of the last object read, which no later one exceeds."""
        return float(self.held.scores[-1])

    def take(self, above: float) -> Detections:
        """Removes and returns the objects that score more."""
        count = int(np.searchsorted(-self.held.scores, -above, side="left"))
        taken, self.held = self.held.selected(slice(0, count)), self.held.selected(slice(count, None))
        return taken


def _merged(runs: Sequence[Iterator[Detections]]) -> Iterator[Detections]:
    """All objects of sorted runs, best first, in parts of any size."""
    reading = [_Run(parts) for parts in runs]
    while reading:
        # What has been read of a run that has more does not say what follows at its last score.
        cut = max((run.last for run in reading if not run.ended), default=-np.inf)
        found = Detections.joined([run.take(cut) for run in reading])
        yield found.selected(ranking(found))
        for run in reading:
            if not run.ended and (len(run.held) < AT_ONCE or run.last == cut):
                run.read()
        reading = [run for run in reading if not run.ended or len(run.held)]
