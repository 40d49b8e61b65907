"""Results appear together and complete, or not at all."""

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
    """Folder beside the path, so that moving the files is one atomic step of the file system."""
    belongs: tuple[Path, ...]
    made_from: tuple[int, int, int] | None
    """`_state` of the existing file when it was copied; None if the draft is not a copy of it."""


class Publication:
    """Files that are written to hidden folders first, and moved to their places together at the end.

        with Publication() as publication:
            write(publication.draft(path))
            publication.publish()

    A failure before `publish` leaves nothing behind, and older files intact.
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
        """Where to write the file that will be at `path`; other files in the same folder are moved with it.

        Args:
            path: final path of the file.
            belongs: files of an older result; those that are not written again are removed.
            extends: whether the new file extends the existing one, which then must not change in the meantime.

        Raises:
            OutputError: if the folder cannot be written to, or the path is a folder.
        """
        if path.is_dir():  # noticed now, since moving the other files would succeed first
            raise OutputError(f"output '{path}' cannot be written: it is a folder; choose another name")
        try:
            state = _state(path) if extends else None
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent))
        except OSError as error:
            raise OutputError(f"output '{path}' cannot be written: {error.strerror}; choose another folder") from error
        self._drafts.append(_Draft(path, Path(folder), tuple(belongs), state))
        return Path(folder) / path.name

    def draft_of(self, target: FileTarget) -> FileTarget:
        """The same target in the folder of its draft; an older result is replaced."""
        return target.at(self.draft(target.path, target.files))

    def transaction(self, table: DatabaseTable) -> TableTransaction:
        """A transaction on a table, which is committed with the publication.

        Raises:
            UsageError: if the extra 'postgis' is not installed.
            OutputError: if the database cannot be reached.
        """
        from lcageo.vector.postgis import TableTransaction  # imports geopandas: only when needed

        self._transactions.append(self._stack.enter_context(TableTransaction(table)))
        return self._transactions[-1]

    def publish(self) -> None:
        """Commits all tables, then moves all files into place: of the two, the commit is more likely to fail.

        Raises:
            OutputError: if a database refuses, a file cannot be moved, or a file that is extended has changed.
        """
        for transaction in self._transactions:
            transaction.commit()
        for draft in self._drafts:
            if draft.made_from is not None and draft.made_from != _state(draft.path):
                raise OutputError(f"'{draft.path}' was changed by another program meanwhile; run the command again")
        for draft in self._drafts:
            try:
                _publish(draft)
            except OSError as error:
                raise OutputError(
                    f"output '{draft.path}' cannot be moved into place: {error.strerror}; is it open elsewhere?"
                ) from error


def check_output(path: Path, files: Sequence[Path], overwrite: bool, folder_is_made: bool = False) -> None:
    """Checks, before any work is done, that a result can be written.

    Args:
        path: the main file.
        files: all files of the result.
        overwrite: whether they may be replaced.
        folder_is_made: whether a missing folder will be created.

    Raises:
        UsageError: if one of the files exists, unless `overwrite`.
        OutputError: if the folder is missing or cannot be written to.
    """
    existing = [file for file in files if file.exists()]
    if existing and not overwrite:
        raise UsageError(f"output '{existing[0]}' exists; use --overwrite to replace it, or choose another output")
    if folder_is_made and not path.parent.exists():
        return
    if not path.parent.is_dir():
        raise OutputError(f"output folder '{path.parent}' does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"output folder '{path.parent}' cannot be written to; choose another folder")


def make_folder(folder: Path) -> None:
    """Creates a folder for results if it does not exist.

    Raises:
        OutputError: if it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder '{folder}' cannot be created: {error.strerror}; choose another") from error


def _state(path: Path) -> tuple[int, int, int]:
    """Inode, size and time of a file, to notice a change."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _publish(draft: _Draft) -> None:
    written = {file.name for file in draft.folder.iterdir()}
    for older in draft.belongs:
        if older.name not in written:
            older.unlink(missing_ok=True)  # the new layer must not get an old one's projection or index
    # The main file comes last: once it exists, the result is complete.
    for name in sorted(written, key=lambda name: name == draft.path.name):
        if not is_saved_style(draft.path.parent / name):
            (draft.folder / name).replace(draft.path.parent / name)
