"""What the run over a scene has found so far, on disk beside its result: killed anywhere, it goes on from there.

An SQLite file with a row for every tile that is done; one transaction a batch. It is bound to all that decides the
result, so that parts of different runs are never mixed, and locked while a process works with it.
"""

from __future__ import annotations

import json
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

FORMAT = 2
"""Of the file; another is refused as another setting is."""
_TABLES = """
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiles (
    tile INTEGER PRIMARY KEY, has_data INTEGER NOT NULL, impossible INTEGER NOT NULL, unread TEXT NOT NULL,
    boxes BLOB NOT NULL, scores BLOB NOT NULL, labels BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS publishing (begun INTEGER);
CREATE TABLE IF NOT EXISTS objects (score REAL, label INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL);
"""
_RANKED = "score DESC, label, x1, y1, x2, y2"
"""As nms.ranking has it."""
OBJECTS_AT_ONCE = 20_000
"""Of a scene, in memory while they are written."""
_BOX, _SCORE, _LABEL = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i8")


def broke_off_publishing(path: Path) -> bool:
    """Whether the journal at `path` is of a run that was about to put its result in place: what is there is its own."""
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
    """What becomes of a journal that an earlier run left."""

    SAME = "same"
    """It is gone on with; one of another run is refused."""
    ANY = "any"
    """It is gone on with; one of another run is forgotten."""
    NONE = "none"
    """It is forgotten."""


@dataclass(frozen=True, slots=True)
class TileOutcome:
    """What one tile gave."""

    tile: int
    """Its index in the scene's grid."""
    found: Detections | None
    """Scene pixels; None for a tile without a valid pixel, or one that could not be read."""
    impossible: int = 0
    """Boxes left out because nothing of their class has such a size."""
    unread: str = ""
    """Why it could not be read; empty if it was."""


def journal_path(output: Path) -> Path:
    """Where the journal of a run that makes `output` lies."""
    return output.with_name(f".{output.name}.lcageo-journal")


class _OtherRunError(UsageError):
    """A journal that belongs to a run with another identity."""


class Journal:
    """The tiles of one run that are done. Use it as a context: it closes at the end, and stays if the run broke off."""

    def __init__(self, database: Database) -> None:
        """See `open` and `in_memory`."""
        self._database = database
        self._database.script(_TABLES)

    @classmethod
    def in_memory(cls) -> Journal:
        """A journal that nothing survives, for runs that nobody means to go on with."""
        return cls(Database("journal"))

    @classmethod
    def open(cls, path: Path, identity: Mapping[str, Any], earlier: Earlier = Earlier.SAME) -> Journal:
        """The journal at `path`, made if it is missing.

        Args:
            path: see journal_path.
            identity: all that decides the result, JSON-ready, by names that a user understands.
            earlier: what becomes of what is in it.

        Raises:
            UsageError: if it belongs to a run with another identity, or another process works with it.
            OutputError: if it cannot be made.
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
        """Refuses rows that a disk has changed: SQLite only notices what breaks its own structure."""
        for *row, checksum in self._database.rows("SELECT * FROM tiles"):
            if checksum != _checksum(row):
                raise DamagedError(
                    f"journal '{self._database.path}' is damaged (tile {row[0]} is not as it was written); "
                    "give --restart to begin anew"
                )

    def _bind(self, identity: Mapping[str, Any]) -> None:
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in identity.items()}
        known = dict(self._database.rows("SELECT name, value FROM identity"))
        if not len(self.done()):  # nothing to be mixed up with
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
                f"an unfinished run for this result (journal '{self._database.path}') had {'; '.join(changed)}; give "
                "the same to go on with it, or --restart to begin anew"
            )

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            worthless = error is not None and not len(self.done())
        except LcageoError:  # the disk fails
            worthless = False
        if worthless:
            self.remove()  # nothing to go on with
        else:
            self.close()

    def close(self) -> None:
        """Lets go of the file, which stays."""
        self._database.close()

    def remove(self) -> None:
        """Closes and deletes it: the result is in its place."""
        self.close()
        if self._database.path is not None:
            with suppress(OSError):  # held by a virus scanner, say: the result is in its place all the same
                delete_database(self._database.path)

    def done(self) -> NDArray[np.int64]:
        """Indices of the tiles that are done, rising; those that could not be read are worth another attempt."""
        rows = self._database.rows("SELECT tile FROM tiles WHERE unread = '' ORDER BY tile")
        return np.array([tile for (tile,) in rows], np.int64)

    def add(self, outcomes: Sequence[TileOutcome]) -> None:
        """Records tiles, all of them or, whatever happens, none.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        rows = [
            (one.tile, int(one.found is not None), one.impossible, one.unread, *_packed(one.found)) for one in outcomes
        ]
        rows_checked = [(*row, _checksum(row)) for row in rows]
        self._database.change("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows_checked)

    def keep(self, found: Detections) -> None:
        """Takes some of the scene's objects, merged, in any order; errors as of `add`."""
        columns = (found.scores.tolist(), found.labels.tolist(), *found.boxes_xyxy.T.tolist())
        self._database.change("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", list(zip(*columns, strict=True)))

    def outcomes(self) -> Iterator[TileOutcome]:
        """All tiles that were tried, in the order of the grid."""
        query = "SELECT tile, has_data, impossible, unread, boxes, scores, labels FROM tiles ORDER BY tile"
        for tile, has_data, impossible, unread, *packed in self._database.rows(query):
            yield TileOutcome(tile, _unpacked(*packed) if has_data else None, impossible, unread)

    def unread(self) -> list[tuple[int, str]]:
        """Tiles that could not be read, and why."""
        rows = self._database.rows("SELECT tile, unread FROM tiles WHERE unread != '' ORDER BY tile")
        return [(tile, unread) for tile, unread in rows]

    def forget_objects(self) -> None:
        """Of an earlier, interrupted merging."""
        self._database.change("DELETE FROM objects", [()])

    def objects(self) -> Iterator[Detections]:
        """The scene's objects, best first, some at a time."""
        rows = self._database.rows(f"SELECT * FROM objects ORDER BY {_RANKED}")
        while some := list(islice(rows, OBJECTS_AT_ONCE)):
            scores, labels, *boxes = zip(*some, strict=True)
            yield Detections(np.array(boxes, np.float64).T, np.array(scores, np.float32), np.array(labels, np.int64))

    def begin_publishing(self) -> None:
        """Remembers that files of the result go to their places from now on, over whatever is there."""
        self._database.change("INSERT INTO publishing VALUES (1)", [()])

    def has_begun_publishing(self) -> bool:
        """Whether some of the result may be in its place."""
        return any(self._database.rows("SELECT begun FROM publishing"))

    def counts(self, classes: int) -> tuple[int, ...]:
        """How many objects of each class there are."""
        found = dict(self._database.rows("SELECT label, COUNT(*) FROM objects GROUP BY label"))
        return tuple(found.get(label, 0) for label in range(classes))

    def totals(self) -> tuple[int, int]:
        """Tiles without a valid pixel, and boxes left out for their size."""
        query = "SELECT COALESCE(SUM(1 - has_data AND unread = ''), 0), COALESCE(SUM(impossible), 0) FROM tiles"
        ((empty, impossible),) = self._database.rows(query)
        return empty, impossible


def _checksum(row: Sequence[Any]) -> int:
    """Of a tile's values: numbers and text, then bytes."""
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
