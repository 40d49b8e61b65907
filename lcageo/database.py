"""An SQLite file that survives a kill at any moment and that only one process at a time can use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from lcageo.errors import DamagedError, OutputError, UsageError


class Database:
    """A connection whose errors say what to do. `what` names the file in messages: 'journal', for instance.

    A change survives the end of the process. If the machine fails, those of the last half a minute may be lost: to
    wait for the disk takes some ten milliseconds a change, and more while a file is new.
    """

    def __init__(self, what: str, path: Path | None = None) -> None:
        """Opens or creates the file at `path`; None: in memory.

        Raises:
            UsageError: if another process uses it.
            OutputError: if it cannot be created.
            DamagedError: if it is damaged.
        """
        self.what, self.path = what, path
        with self._errors_explained():
            self._connection = sqlite3.connect(path.absolute() if path else ":memory:", timeout=0, isolation_level=None)
        if path is not None:
            try:
                with self._errors_explained():
                    # Exclusive before WAL: the lock is then held until the connection or the process ends.
                    for pragma in ("locking_mode = EXCLUSIVE", "synchronous = OFF", "journal_mode = WAL"):
                        self._connection.execute(f"PRAGMA {pragma}")
                    with self.transaction():
                        pass  # acquires the lock now, not with the first change
                    self._connection.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Closes the file, which is kept."""
        self._connection.close()

    def delete(self) -> None:
        """Closes the file and deletes it.

        Raises:
            OSError: if it cannot be deleted.
        """
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA synchronous = OFF")  # or closing would first make it safe on the disk
        self.close()
        if self.path is not None:
            delete_database(self.path)

    def script(self, statements: str) -> None:
        """Runs statements without values, which create tables; raises errors as in `change`."""
        with self._errors_explained():
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.executescript(statements)
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def change(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs one statement for every row: all of them or, if anything fails, none; errors as in `changes`."""
        with self.changes() as change:
            change(statement, rows)

    @contextmanager
    def changes(self) -> Generator[Callable[[str, Sequence[tuple[Any, ...]]], object], None, None]:
        """Context of one transaction: a function that runs a statement for every row.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        with self._errors_explained(), self.transaction() as connection:
            yield connection.executemany

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query."""
        with self._errors_explained():
            yield from self._connection.execute(query, values)

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Context whose changes are all written, or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has already ended it
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors_explained(self) -> Generator[None, None, None]:
        """Turns SQLite's errors into messages that say what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        except UnicodeDecodeError as error:  # in text, a column's name or an error message
            raise self._damaged(error) from error

    def _failure(self, error: sqlite3.DatabaseError) -> OutputError | UsageError:
        if "locked" in str(error):
            return UsageError(
                f"another process is writing the same result ({self.what} '{self.path}'), or the file system does not "
                "support locks; wait for it, or choose an output on another disk"
            )
        if not isinstance(error, sqlite3.OperationalError):
            return self._damaged(error)
        # Errors raised by Python's sqlite3 itself have no code.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and self.path is not None:
            return OutputError(
                f"output folder '{self.path.parent}' cannot be written to: no file can be created in it; check its "
                "permissions, or choose another folder"
            )
        full = code == sqlite3.SQLITE_FULL
        fix = "make space" if full else "check its disk and its folder's permissions, or choose another output"
        return OutputError(
            f"{self.what} '{self.path}' cannot be written: {error}; {fix}, then run the same command again to resume"
        )

    def _damaged(self, error: Exception) -> DamagedError:
        return DamagedError(f"{self.what} '{self.path}' is damaged ({error}); use --restart to start over")


def settle(path: Path, wait_s: float) -> None:
    """Makes an SQLite file consist of one file: what its WAL mode keeps in a second one is written into it.

    A second file that stays would be taken for a part of whatever replaces the first.

    Args:
        path: an existing file.
        wait_s: how long to wait for another program that uses it.

    Raises:
        sqlite3.Error: "database is locked" if another program has it open in WAL mode, as QGIS does; others if it is
            not an SQLite file, or cannot be written to.
    """
    with closing(sqlite3.connect(path.absolute(), timeout=wait_s)) as base:
        if base.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            base.execute("PRAGMA journal_mode = DELETE")


def delete_database(path: Path) -> None:
    """Deletes the file and those that SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
