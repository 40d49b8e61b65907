"""What the run over a scene has found so far, on disk beside its result: a run that is killed resumes from it.

An SQLite file with a row for every finished tile, written in one transaction per batch. It is bound to everything that
decides the result, so that parts of different runs are never mixed, and locked while a process works with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.database import Database, delete_database
from lcageo.detections import Detections
from lcageo.errors import DamagedError, LcageoError, UsageError
from lcageo.vector.columns import SCORE_DIGITS

FORMAT = 3
"""Version of the file format; a journal of another version is refused, as one with other settings is."""
_TABLES = """
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiles (
    tile INTEGER PRIMARY KEY, has_data INTEGER NOT NULL, impossible INTEGER NOT NULL, unread TEXT NOT NULL,
    distance REAL,
    boxes BLOB NOT NULL, scores BLOB NOT NULL, labels BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS publishing (begun INTEGER);
CREATE TABLE IF NOT EXISTS objects (score REAL, label INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL);
"""
_RANKED = "score DESC, label, x1, y1, x2, y2"
"""The order of `nms.ranking`."""
LONGEST_NAME = 240
"""Bytes. File systems allow 255, and SQLite's second file has a name four bytes longer."""
OBJECTS_AT_ONCE = 20_000
"""Number of a scene's objects in memory while they are written."""
MAX_TILE = 2**62
"""More than any tile's number."""
_BOX, _SCORE, _LABEL = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i8")


def broke_off_publishing(path: Path) -> bool:
    """Whether the run of the journal at `path` broke off while publishing: existing outputs are then its own."""
    if not path.exists():
        return False
    try:
        database = Database("journal", path)
    except LcageoError:
        return False
    try:
        return any(database.rows("SELECT begun FROM publishing"))
    except LcageoError:
        return False
    finally:
        database.close()


class Earlier(StrEnum):
    """What to do with a journal that an earlier run left."""

    SAME = "same"
    """Resume it; refuse one with other settings."""
    ANY = "any"
    """Resume it; discard one with other settings."""
    NONE = "none"
    """Discard it."""


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


def journal_path(output: Path) -> Path:
    """Path of the journal of a run that writes `output`."""
    name = f".{output.name}.lcageo-journal"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(output.name)).hexdigest()[:32]}.lcageo-journal"
    return output.with_name(name)


class _OtherRunError(UsageError):
    """The journal belongs to a run with another identity."""


class Journal:
    """The finished tiles of one run. Use it as a context manager: it closes at the end, and stays if the run fails."""

    def __init__(self, database: Database) -> None:
        """See `open` and `in_memory`."""
        self._database = database
        self._database.script(_TABLES)

    @classmethod
    def in_memory(cls) -> Journal:
        """A journal without a file, for runs that are not to be resumed."""
        return cls(Database("journal"))

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, Any], earlier: Earlier = Earlier.SAME) -> Journal:
        """Opens the journal at `path`, or creates it.

        Args:
            path: see `journal_path`.
            identity: everything that decides the result, JSON-ready, under names that users understand.
            earlier: what to do with an existing journal.

        Raises:
            UsageError: if it belongs to a run with another identity, or another process works with it.
            OutputError: if it cannot be created.
            DamagedError: if it is damaged.
        """
        if earlier is Earlier.NONE:
            with suppress(DamagedError):
                Database("journal", path).close()  # refuses one that another process works with
            delete_database(path)
        try:
            return cls._bound(path, identity)
        except (DamagedError, _OtherRunError):
            if earlier is not Earlier.ANY:
                raise
            return cls.open(path, identity, Earlier.NONE)

    @classmethod
    def _bound(cls, path: Path, identity: Mapping[str, Any]) -> Journal:
        database = Database("journal", path)
        try:
            journal = cls(database)
            journal._check()
            journal._bind({"journal format": FORMAT, **identity})
        except BaseException:
            database.close()
            raise
        return journal

    def _check(self) -> None:
        """Refuses rows that the disk has corrupted: SQLite only notices damage to its own structure."""
        for *row, checksum in self._database.rows("SELECT * FROM tiles"):
            if checksum != _checksum(row):
                raise DamagedError(
                    f"journal '{self._database.path}' is damaged (tile {row[0]} is not as it was written); "
                    "use --restart to start over"
                )

    def _bind(self, identity: Mapping[str, Any]) -> None:
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in identity.items()}
        known = dict(self._database.rows("SELECT name, value FROM identity"))
        if not len(self.done()):  # no tiles that could be mixed with others
            self._database.change("DELETE FROM identity", [()])
            self._database.change("INSERT INTO identity VALUES (?, ?)", list(wanted.items()))
            return
        changed = [
            f"{name} {known.get(name, 'none')}, now {wanted.get(name, 'none')}"
            for name in {**known, **wanted}
            if known.get(name) != wanted.get(name)
        ]
        if changed:
            raise _OtherRunError(
                f"an unfinished run for this result (journal '{self._database.path}') had {'; '.join(changed)}; use "
                "the same settings to resume it, or --restart to start over"
            )

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            empty = error is not None and not len(self.done())
        except LcageoError:  # the disk fails
            empty = False
        if empty:
            self.remove()  # nothing to resume
        else:
            self.close()

    def close(self) -> None:
        """Closes the file and keeps it."""
        self._database.close()

    def remove(self) -> None:
        """Closes and deletes the file, once the result is in place."""
        self.close()
        if self._database.path is not None:
            with suppress(OSError):  # open in a virus scanner, say; the result is in place nevertheless
                delete_database(self._database.path)

    def done(self) -> NDArray[np.int64]:
        """Indices of the finished tiles, sorted; without those that could not be read, which are tried again."""
        rows = self._database.rows("SELECT tile FROM tiles WHERE unread = '' ORDER BY tile")
        return np.array([tile for (tile,) in rows], np.int64)

    def add(self, outcomes: Sequence[TileOutcome]) -> None:
        """Records tiles in one transaction: all of them or none.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        rows = [
            (one.tile, int(one.found is not None), one.impossible, one.unread, one.distance, *_packed(one.found))
            for one in outcomes
        ]
        rows_checked = [(*row, _checksum(row)) for row in rows]
        self._database.change("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows_checked)

    def keep(self, found: Detections) -> None:
        """Records some of the scene's merged objects, in any order; errors as in `add`."""
        columns = (found.scores.tolist(), found.labels.tolist(), *found.boxes_xyxy.T.tolist())
        self._database.change("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", list(zip(*columns, strict=True)))

    def outcomes(self, first: int = 0, last: int = MAX_TILE) -> Iterator[TileOutcome]:
        """Outcomes of the tiles from number `first` to before `last` that were tried, in their order."""
        query = (
            "SELECT tile, has_data, impossible, unread, distance, boxes, scores, labels FROM tiles "
            "WHERE tile >= ? AND tile < ? ORDER BY tile"
        )
        for tile, has_data, impossible, unread, distance, *packed in self._database.rows(query, (first, last)):
            yield TileOutcome(tile, _unpacked(*packed) if has_data else None, impossible, unread, distance)

    def unread(self) -> list[tuple[int, str]]:
        """Indices of the tiles that could not be read, and the reasons."""
        rows = self._database.rows("SELECT tile, unread FROM tiles WHERE unread != '' ORDER BY tile")
        return [(tile, unread) for tile, unread in rows]

    def distance(self, first: int = 0, last: int = MAX_TILE) -> float | None:
        """Median distance of the tiles from number `first` to before `last`; None if none is known."""
        query = "SELECT distance FROM tiles WHERE distance IS NOT NULL AND tile >= ? AND tile < ?"
        distances = [distance for (distance,) in self._database.rows(query, (first, last))]
        return float(np.median(distances)) if distances else None

    def forget_objects(self) -> None:
        """Deletes the merged objects, which an interrupted run may have left."""
        self._database.change("DELETE FROM objects", [()])

    def objects(self) -> Iterator[Detections]:
        """The scene's objects, best first, part by part."""
        rows = self._database.rows(f"SELECT * FROM objects ORDER BY {_RANKED}")
        while some := list(islice(rows, OBJECTS_AT_ONCE)):
            scores, labels, *boxes = zip(*some, strict=True)
            try:
                found = Detections(
                    np.array(boxes, np.float64).T, np.array(scores, np.float32), np.array(labels, np.int64)
                )
            except (TypeError, ValueError) as error:  # NULL, or text: SQLite stores any type in any column
                raise DamagedError(
                    f"journal '{self._database.path}' is damaged ({error}); run again with --restart to start over"
                ) from error
            yield found

    def begin_publishing(self) -> None:
        """Records that the files of the result are moved into place from now on, replacing existing ones."""
        self._database.change("INSERT INTO publishing VALUES (1)", [()])

    def has_begun_publishing(self) -> bool:
        """Whether parts of the result may be in place."""
        return any(self._database.rows("SELECT begun FROM publishing"))

    def counts(self, minimum: Sequence[float]) -> tuple[int, ...]:
        """Number of objects of each class whose score, rounded as in layers, reaches the class's minimum."""
        query = f"SELECT COUNT(*) FROM objects WHERE label = ? AND ROUND(score, {SCORE_DIGITS}) >= ?"
        of_each = (next(self._database.rows(query, limits)) for limits in enumerate(minimum))
        return tuple(count for (count,) in of_each)

    def score_counts(self, label: int, minimum: float) -> dict[float, int]:
        """Number of a class's objects by score, rounded as in layers, from `minimum` on."""
        query = (
            f"SELECT ROUND(score, {SCORE_DIGITS}) AS rounded, COUNT(*) FROM objects "
            "WHERE label = ? AND rounded >= ? GROUP BY rounded"
        )
        return dict(self._database.rows(query, (label, minimum)))

    def totals(self) -> tuple[int, int]:
        """Number of tiles without a valid pixel, and of boxes left out for their size."""
        query = "SELECT COALESCE(SUM(1 - has_data AND unread = ''), 0), COALESCE(SUM(impossible), 0) FROM tiles"
        ((empty, impossible),) = self._database.rows(query)
        return empty, impossible


def _checksum(row: Sequence[Any]) -> int:
    """Checksum of a tile's row: numbers and text, then bytes."""
    return zlib.crc32(b"".join(value if isinstance(value, bytes) else f"{value!r};".encode() for value in row))


def _packed(found: Detections | None) -> tuple[bytes, bytes, bytes]:
    found = found or Detections.empty()
    return (
        found.boxes_xyxy.astype(_BOX).tobytes(),
        found.scores.astype(_SCORE).tobytes(),
        found.labels.astype(_LABEL).tobytes(),
    )


def _unpacked(boxes: bytes, scores: bytes, labels: bytes) -> Detections:
    return Detections(
        np.frombuffer(boxes, _BOX).reshape(-1, 4), np.frombuffer(scores, _SCORE), np.frombuffer(labels, _LABEL)
    )
