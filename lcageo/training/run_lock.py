"""A lock on the folder of a run: two trainings in one folder would remove each other's weights."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from lcageo.errors import OutputError, UsageError

LOCK_FILE = ".training"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Creates a folder, and keeps other processes from training in it until the end of the context.

    Raises:
        UsageError: if another process trains in it.
        OutputError: if it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the run's folder '{folder}' cannot be created: {error.strerror}") from error
    with ExitStack() as stack:
        try:
            # SQLite's lock ends with the process, however that dies, on every system.
            lock = stack.enter_context(closing(sqlite3.connect((folder / LOCK_FILE).absolute(), timeout=0)))
            lock.execute("PRAGMA journal_mode = MEMORY")  # writes nothing: the disk may be full
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise OutputError(f"the run's folder '{folder}' cannot be written to: {error}") from error
            raise UsageError(
                f"another process is training in '{folder}'; wait for it, or choose another --out"
            ) from error
        yield
