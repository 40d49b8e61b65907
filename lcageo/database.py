"""An SQLite file that survives a kill at any moment, and that one process at a time works with."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lcageo.errors import DamagedError, OutputError, UsageError


class Database:
    """A connection whose errors say what to do. `what` names the file in them: 'journal', for instance."""

    def __init__(self, what: str, path: Path | None = None) -> None:
        """Opens or makes the file at `path`; None: in memory.

        Raises:
            UsageError: if another process works with it.
            OutputError: if it cannot be made.
            DamagedError: if it is damaged.
        """
        self.what, self.path = what, path
        with self._failures_told():
            self._connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None)
        if path is not None:
            try:
                with self._failures_told():
                    # Exclusive before WAL: the lock is then held until the connection or the process ends.
                    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                        self._connection.execute(f"PRAGMA {pragma}")
                    with self.transaction():
                        pass  # takes the lock now, not with the first change
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Lets go of the file, which stays."""
        self._connection.close()

    def script(self, statements: str) -> None:
        """Runs statements without values; errors as of `change`."""
        with self._failures_told():
            self._connection.executescript(statements)

    def change(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs one statement for every row: all of them or, whatever happens, none.

        Raises:
            OutputError: if the disk is full or cannot be written to.
        """
        with self._failures_told(), self.transaction():
            self._connection.executemany(statement, rows)

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """What a query gives, row by row."""
        with self._failures_told():
            yield from self._connection.execute(query, values)

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """All that is done while entered, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has already ended it
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _failures_told(self) -> Generator[None, None, None]:
        """Turns SQLite's errors into what a user should know and do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        except UnicodeDecodeError as error:  # of text, of a column's name, of an error's message
            raise self._damaged(error) from error

    def _failure(self, error: sqlite3.DatabaseError) -> OutputError | UsageError:
        if "locked" in str(error):
            return UsageError(
                f"another process makes the same result ({self.what} '{self.path}'), or its file system has no locks; "
                "wait for it, or give an output on another disk"
            )
        if not isinstance(error, sqlite3.OperationalError):
            return self._damaged(error)
        # Python's own errors have no code.
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        mend = "make space" if full else "check its folder's rights and disk, or choose another output"
        told = f"{self.what} '{self.path}' cannot be written: {error}"
        return OutputError(f"{told}; {mend}, and the same command goes on")

    def _damaged(self, error: Exception) -> DamagedError:
        return DamagedError(f"{self.what} '{self.path}' is damaged ({error}); give --restart to begin anew")


def delete_database(path: Path) -> None:
    """Deletes the file and what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
