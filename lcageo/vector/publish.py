"""Results appear together and whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lcageo.errors import OutputError, UsageError
from lcageo.vector.formats import is_saved_style

if TYPE_CHECKING:
    from lcageo.vector.database_table import DatabaseTable
    from lcageo.vector.postgis import TableTransaction
    from lcageo.vector.target import FileTarget


@dataclass(frozen=True, slots=True)
class _Draft:
    path: Path
    folder: Path
    """Beside the path, so that moving its files there is one step of the file system."""
    belongs: tuple[Path, ...]
    made_from: tuple[int, int, int] | None
    """What `_state` said of the path's file when it was copied; None if the draft has nothing of it."""


class Publication:
    """Files that are written beside their places and moved there together at the end.

        with Publication() as publication:
            write(publication.draft(path))
            publication.publish()

    Whatever fails before `publish` leaves nothing behind, and older files whole.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._drafts: list[_Draft] = []
        self._transactions: list[TableTransaction] = []

    def __enter__(self) -> Publication:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def draft(self, path: Path, belongs: Sequence[Path] = (), extends: bool = False) -> Path:
        """Where to write the file that will be at `path`; whatever is written beside it moves along.

        Args:
            path: the file's place.
            belongs: files of an older result there; those that are not written anew are removed.
            extends: whether what is there will be part of the new file, so that it must not change meanwhile.

        Raises:
            OutputError: if nothing can be written there.
        """
        try:
            state = _state(path) if extends else None
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent))
        except OSError as error:
            raise OutputError(f"output '{path}' cannot be written: {error.strerror}; choose another folder") from error
        self._drafts.append(_Draft(path, Path(folder), tuple(belongs), state))
        return Path(folder) / path.name

    def draft_of(self, target: FileTarget) -> FileTarget:
        """The same target in the folder of its draft; what is there of an older result is replaced."""
        return target.at(self.draft(target.path, target.files))

    def transaction(self, table: DatabaseTable) -> TableTransaction:
        """A transaction on a table, which is committed with the publication.

        Raises:
            UsageError: if the extra 'postgis' is not installed.
            OutputError: if the database cannot be reached.
        """
        from lcageo.vector.postgis import TableTransaction  # geopandas: only where it is needed

        self._transactions.append(self._stack.enter_context(TableTransaction(table)))
        return self._transactions[-1]

    def publish(self) -> None:
        """Commits all tables, and moves all files to their places: of the two, the commit is what may still fail.

        Raises:
            OutputError: if a database refuses, a file cannot be moved, or what it extends is no longer as it was.
        """
        for transaction in self._transactions:
            transaction.commit()
        for draft in self._drafts:
            if draft.made_from is not None and draft.made_from != _state(draft.path):
                raise OutputError(
                    f"'{draft.path}' has been changed while it was appended to; run the same command again"
                )
        for draft in self._drafts:
            try:
                _publish(draft)
            except OSError as error:
                raise OutputError(f"output '{draft.path}' cannot be put in place: {error.strerror}") from error


def check_output(path: Path, files: Sequence[Path], overwrite: bool, folder_is_made: bool = False) -> None:
    """Refuses, before any work is done, a result that could not be written.

    Args:
        path: the file.
        files: all that would be written with it.
        overwrite: whether they may be replaced.
        folder_is_made: whether a missing folder will be made.

    Raises:
        UsageError: if one of the files exists, unless `overwrite`.
        OutputError: if the folder is missing or cannot be written to.
    """
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise UsageError(f"output '{there[0]}' exists; give --overwrite to replace it, or another output")
    if folder_is_made and not path.parent.exists():
        return
    if not path.parent.is_dir():
        raise OutputError(f"output folder '{path.parent}' does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"output folder '{path.parent}' cannot be written to; choose another")


def make_folder(folder: Path) -> None:
    """Makes a folder for results, if it is missing.

    Raises:
        OutputError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder '{folder}' cannot be made: {error.strerror}") from error


def _state(path: Path) -> tuple[int, int, int]:
    """What tells a file from its later self."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _publish(draft: _Draft) -> None:
    written = {file.name for file in draft.folder.iterdir()}
    for older in draft.belongs:
        if older.name not in written:
            older.unlink(missing_ok=True)  # another layer's projection or index would falsify the new one
    # The file that is looked for comes last: when it is there, all is.
    for name in sorted(written, key=lambda name: name == draft.path.name):
        if not is_saved_style(draft.path.parent / name):
            (draft.folder / name).replace(draft.path.parent / name)
