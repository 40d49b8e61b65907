"""What the run over a scene has found so far, on disk beside its result: a run that is killed resumes from it.

An SQLite file with a row for the tiles that were finished together: a batch, or a cluster's unit of work. It is bound
to everything that decides the result, so that parts of different runs are never mixed, and locked while a process
works with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.database import Database, delete_database
from lcageo.detections import Detections
from lcageo.errors import DamagedError, LcageoError, UsageError
from lcageo.journal.ranked import RankedObjects, packed_boxes, unpacked_boxes
from lcageo.journal.tile_outcomes import NO_DATA, TileOutcomes
from lcageo.vector.columns import SCORE_DIGITS

FORMAT = 4
"""Version of the file format; a journal of another version is refused, as one with other settings is."""
_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
_TABLES = """
CREATE TABLE IF NOT EXISTS batches (
    batch INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
    tiles BLOB NOT NULL, counts BLOB NOT NULL, impossible BLOB NOT NULL, distances BLOB NOT NULL,
    boxes BLOB NOT NULL, scores BLOB NOT NULL, labels BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS unread (tile INTEGER PRIMARY KEY, reason TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS publishing (begun INTEGER);
"""
LONGEST_NAME = 240
"""Bytes. File systems allow 255, and SQLite's second file has a name four bytes longer."""
MAX_TILE = 2**62
"""More than any tile's number."""
_TILE, _COUNT, _DISTANCE = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<f8")


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
        self._database.script(_IDENTITY)
        self._refuse_other_format()
        self._database.script(_TABLES)
        self._objects = RankedObjects(database, SCORE_DIGITS)
        self._any_unread = bool(self.unread())
        self._places: NDArray[np.int64] | None = None
        """(B, 3) number of each batch, and its first and last tile; None: to be read again."""

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
        for number, *row, checksum in self._database.rows("SELECT * FROM batches"):
            if checksum != _checksum(row):
                raise self._damaged(f"batch {number} is not as it was written")
        for tile, reason, checksum in self._database.rows("SELECT * FROM unread"):
            if checksum != _checksum((tile, reason)):
                raise self._damaged(f"tile {tile} is not as it was written")

    def _refuse_other_format(self) -> None:
        """Refuses a journal whose tables are others."""
        for (value,) in self._database.rows("SELECT value FROM identity WHERE name = 'journal format'"):
            if value != json.dumps(FORMAT):
                raise _OtherRunError(
                    f"an unfinished run for this result (journal '{self._database.path}') is of another version of "
                    f"lcageo (journal format {value}, now {FORMAT}); resume it with that version, or use --restart to "
                    "start over"
                )

    def _damaged(self, how: object) -> DamagedError:
        return DamagedError(f"journal '{self._database.path}' is damaged ({how}); use --restart to start over")

    def _bind(self, identity: Mapping[str, Any]) -> None:
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in identity.items()}
        known = dict(self._database.rows("SELECT name, value FROM identity"))
        if not len(self.done()):  # no tiles that could be mixed with others
            self._database.change("DELETE FROM identity", [()])
            self._database.change("DELETE FROM unread", [()])
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
        with suppress(OSError):  # open in a virus scanner, say; the result is in place nevertheless
            self._database.delete()

    def done(self) -> NDArray[np.int64]:
        """Indices of the finished tiles, sorted; without those that could not be read, which are tried again."""
        return np.sort(self._column("tiles", _TILE))

    def add(self, some: Sequence[TileOutcomes]) -> None:
        """Records tiles, none of which was finished before, in one transaction: all of them or none.

        Args:
            some: what was finished together, each of one pass.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        batches = [_row(one) for one in some if len(one.tiles)]
        tried = [(tile,) for one in some if self._any_unread for tile in one.tiles.tolist()]
        unread = [pair for one in some for pair in one.unread]
        self._places = None
        with self._database.changes() as change:
            change("INSERT INTO batches VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batches)
            change("DELETE FROM unread WHERE tile = ?", tried)
            change("INSERT OR REPLACE INTO unread VALUES (?, ?, ?)", [(*pair, _checksum(pair)) for pair in unread])
        self._any_unread = self._any_unread or bool(unread)

    def outcomes(self, first: int = 0, last: int = MAX_TILE) -> Iterator[TileOutcomes]:
        """Outcomes of the tiles from number `first` to before `last` that were read, as they were recorded."""
        if self._places is None:
            rows = list(self._database.rows("SELECT batch, first, last FROM batches ORDER BY first"))
            self._places = np.array(rows, np.int64).reshape(-1, 3)
        batch, least, most = self._places.T
        for number in batch[(most >= first) & (least < last)].tolist():
            query = "SELECT tiles, counts, impossible, distances, boxes, scores, labels FROM batches WHERE batch = ?"
            for row in self._database.rows(query, (number,)):
                outcomes = self._unpacked(*row)
                within = (outcomes.tiles >= first) & (outcomes.tiles < last)
                yield outcomes.selected(within)

    def unread(self) -> list[tuple[int, str]]:
        """Indices of the tiles that could not be read, and the reasons."""
        return [(tile, reason) for tile, reason in self._database.rows("SELECT tile, reason FROM unread ORDER BY tile")]

    def distance(self, first: int = 0, last: int = MAX_TILE) -> float | None:
        """Median distance of the tiles from number `first` to before `last`; None if none is known."""
        tiles, distances = self._column("tiles", _TILE), self._column("distances", _DISTANCE)
        known = distances[(tiles >= first) & (tiles < last) & ~np.isnan(distances)]
        return float(np.median(known)) if len(known) else None

    def totals(self) -> tuple[int, int]:
        """Number of tiles without a valid pixel, and of boxes left out for their size."""
        empty = int((self._column("counts", _COUNT) == NO_DATA).sum())
        return empty, int(self._column("impossible", _COUNT).sum())

    def _column(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A value of each finished tile, in the order of batches."""
        rows = self._database.rows(f"SELECT {name} FROM batches ORDER BY batch")
        try:
            return np.frombuffer(b"".join(content for (content,) in rows), dtype)
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def _unpacked(
        self, tiles: bytes, counts: bytes, impossible: bytes, distances: bytes, *boxes: bytes
    ) -> TileOutcomes:
        try:
            return TileOutcomes(
                np.frombuffer(tiles, _TILE), np.frombuffer(counts, _COUNT), np.frombuffer(impossible, _COUNT),
                np.frombuffer(distances, _DISTANCE), unpacked_boxes(*boxes),
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def forget_objects(self) -> None:
        """Deletes the merged objects, which an interrupted run may have left."""
        self._objects.clear()

    def keep(self, found: Detections) -> None:
        """Records some of the scene's merged objects, in any order; errors as in `add`."""
        self._objects.add(found)

    def objects(self) -> Iterator[Detections]:
        """The scene's objects, best first, part by part."""
        return iter(self._objects)

    def counts(self, minimum: Sequence[float]) -> tuple[int, ...]:
        """Number of objects of each class whose score, rounded as in layers, reaches the class's minimum."""
        return self._objects.counts(minimum)

    def score_counts(self, label: int, minimum: float) -> dict[float, int]:
        """Number of a class's objects by score, rounded as in layers, from `minimum` on."""
        return self._objects.score_counts(label, minimum)

    def begin_publishing(self) -> None:
        """Records that the files of the result are moved into place from now on, replacing existing ones."""
        self._database.change("INSERT INTO publishing VALUES (1)", [()])

    def has_begun_publishing(self) -> bool:
        """Whether parts of the result may be in place."""
        return any(self._database.rows("SELECT begun FROM publishing"))


def _checksum(row: Sequence[Any]) -> int:
    """Checksum of a tile's row: numbers and text, then bytes."""
    return zlib.crc32(b"".join(value if isinstance(value, bytes) else f"{value!r};".encode() for value in row))


def _row(outcomes: TileOutcomes) -> tuple[Any, ...]:
    """A batch's row in the journal, but for its number."""
    tiles = outcomes.tiles
    row = (
        int(tiles.min()), int(tiles.max()), tiles.astype(_TILE).tobytes(), outcomes.counts.astype(_COUNT).tobytes(),
        outcomes.impossible.astype(_COUNT).tobytes(), outcomes.distances.astype(_DISTANCE).tobytes(),
        *packed_boxes(outcomes.found),
    )  # fmt: skip
    return (*row, _checksum(row))
