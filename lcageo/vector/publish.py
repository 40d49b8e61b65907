"""Results appear together and complete, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lcageo.database import settle
from lcageo.errors import OutputError, UsageError
from lcageo.paths import is_possible, make_durable
from lcageo.vector.formats import SHARED, STYLE_SUFFIX, is_saved_style

if TYPE_CHECKING:
    from lcageo.vector.database_table import DatabaseTable
    from lcageo.vector.postgis import TableTransaction
    from lcageo.vector.target import FileTarget

BUSY_S = 10.0
"""Seconds to wait for another program that uses a GeoPackage."""
_SQLITE = (".gpkg",)
"""Suffixes of files that SQLite keeps other files beside."""
_DRAFT, _LOCK, OLDER = ".lcageo-draft", ".lock", ".older"
"""End of the name of a folder of drafts, and what it holds besides them."""


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
            path: final path of the file; of a link, the file that it leads to is written.
            belongs: files of an older result; those that are not written again are removed.
            extends: whether the new file extends the existing one, which then must not change in the meantime.

        Raises:
            OutputError: if the folder cannot be written to, or the path is a folder.
            UsageError: if another process is writing the same file.
        """
        if path.is_symlink():  # a move would replace the link, not its file
            path = Path(os.path.realpath(path))
        if path.is_dir():  # noticed now, since moving the other files would succeed first
            raise OutputError(f"output '{path}' cannot be written: it is a folder; choose another name")
        try:
            state = _state(path) if extends else None
            folder = self._stack.enter_context(draft_folder(path.parent, path.name))
        except OSError as error:
            raise OutputError(f"output '{path}' cannot be written: {error.strerror}; choose another folder") from error
        self._drafts.append(_Draft(path, folder, tuple(belongs), state))
        return folder / path.name

    def draft_of(self, target: FileTarget) -> FileTarget:
        """The same target in the folder of its draft; an older result is replaced."""
        return target.at(self.draft(target.path, (*target.files, *target.belonging)))

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

        If a file cannot be moved, those that were moved before it are taken back.

        Raises:
            OutputError: if a database refuses, a file cannot be moved, or a file that is extended has changed.
            UsageError: if another program has a GeoPackage open that is to be replaced.
        """
        for draft in self._drafts:
            refuse_open(draft.path)
        for transaction in self._transactions:
            transaction.commit()
        for draft in self._drafts:
            if draft.made_from is not None and draft.made_from != _state(draft.path):
                raise OutputError(f"'{draft.path}' was changed by another program meanwhile; run the command again")
        with ExitStack() as undo:
            for draft in self._drafts:
                try:
                    _publish(draft, undo)
                except OSError as error:
                    raise OutputError(
                        f"output '{draft.path}' cannot be moved into place: {error.strerror}; is it open elsewhere?"
                    ) from error
            undo.pop_all()


def draft_path(parent: Path, name: str) -> Path:
    """Path of the folder for the drafts of what will be at `name`; shortened where no file system would allow it."""
    folder = parent / f".{name}{_DRAFT}"
    if is_possible(folder):
        return folder
    return parent / f".{name[:32]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{_DRAFT}"


@contextmanager
def draft_folder(
    parent: Path, name: str, finish: Callable[[Path], None] = lambda begun: None
) -> Generator[Path, None, None]:
    """Context with an empty, hidden folder for what will be at `name`; what a killed process left there is removed.

    Args:
        parent: where the folder is made.
        name: of the result.
        finish: called before that with the folder, to make use of what is in it.

    Raises:
        OSError: if it cannot be created.
        UsageError: if another process is using it.
    """
    folder = draft_path(parent, name)
    folder.mkdir(exist_ok=True)
    with ExitStack() as last, ExitStack() as stack:
        try:
            # SQLite's lock ends with the process, on every system.
            lock = stack.enter_context(closing(sqlite3.connect((folder / _LOCK).absolute(), timeout=0)))
            lock.execute("PRAGMA journal_mode = MEMORY")  # writes nothing: the disk may be full
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UsageError(f"another process is writing '{parent / name}'; wait for it to end") from error
            raise OSError(error.args[0], str(error)) from error
        last.callback(_remove_unlocked, folder)  # when the lock is closed
        finish(folder)
        _clear(folder)
        try:
            yield folder
        finally:
            _clear(folder)


def _remove_unlocked(folder: Path) -> None:
    """Removes an empty folder of drafts."""
    with suppress(OSError):  # another process may be using it by now
        (folder / _LOCK).unlink()
        folder.rmdir()


def remove_abandoned(folder: Path) -> None:
    """Removes the drafts that killed processes left in a folder, whatever their names; others in use stay."""
    with suppress(OSError):
        for entry in list(folder.glob(f".*{_DRAFT}")):
            with suppress(UsageError), draft_folder(folder, entry.name[1:].removesuffix(_DRAFT)):
                pass


def refuse_open(path: Path) -> None:
    """Refuses to replace a GeoPackage while another program has it open, and takes the files beside it into it.

    Raises:
        UsageError: if it is open in SQLite's WAL mode.
    """
    if path.suffix.lower() not in _SQLITE or not path.is_file():
        return
    try:
        settle(path, BUSY_S)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise is_open_elsewhere(path) from error
    except sqlite3.Error:  # not an SQLite file, or a damaged one, which is replaced
        pass


def is_open_elsewhere(path: Path) -> UsageError:
    """The error for a file that another program has open."""
    return UsageError(f"'{path}' is open in another program; close it there, then run this again")


def shared_companions(path: Path, files: Sequence[Path]) -> list[Path]:
    """Files that describe whichever layer has this stem, if no other file has it.

    Args:
        path: the main file.
        files: all files that it consists of.
    """
    shared = [path.with_suffix(suffix) for suffix in SHARED if path.with_suffix(suffix) not in files]
    existing = [file for file in shared if file.exists()]
    if not existing or not path.exists():
        return []
    own = {file.name for file in (*files, *shared, path.with_suffix(STYLE_SUFFIX))}
    same = (file.name for file in path.parent.iterdir() if file.stem == path.stem)
    return [] if set(same) - own else existing


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


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[tuple[str | Path, str]]) -> None:
    """Refuses outputs that would replace what the command reads, under whatever name.

    Args:
        outputs: files, and folders whose contents are replaced.
        inputs: paths and what each of them is, for the message; those that are not on a disk are passed over.

    Raises:
        UsageError: if an output is an input, or a folder that holds one.
    """
    written = {key: output for output in outputs for key in _names(output)}
    for path, what in inputs:
        keys = _names(path)
        if found := next((written[key] for key in keys if key in written), None):
            raise UsageError(f"output '{found}' is {what}; choose another file")
        around = (folder for key in keys if isinstance(key, Path) for folder in key.parents)
        if found := next((written[folder] for folder in around if folder in written), None):
            raise UsageError(f"output '{found}' would be replaced, and '{path}' in it is {what}; choose another folder")


def make_folder(folder: Path) -> None:
    """Creates a folder for results if it does not exist.

    Raises:
        OutputError: if it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output folder '{folder}' cannot be created: {error.strerror}; choose another") from error


def _names(path: str | Path) -> list[Path | tuple[int, int]]:
    """What identifies a file: where it is, without links, and, if it exists, its number on its disk."""
    if str(path).startswith("/vsi"):
        return []
    names: list[Path | tuple[int, int]] = []
    with suppress(OSError, ValueError, RuntimeError):  # a loop of links, a name that no file system allows
        names.append(Path(path).resolve())
        status = Path(path).stat()
        names.append((status.st_dev, status.st_ino))
    return names


def _state(path: Path) -> tuple[int, int, int]:
    """Inode, size and time of a file, to notice a change."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _clear(folder: Path) -> None:
    """Empties a folder of drafts; its lock stays."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif not entry.name.startswith(_LOCK):
            entry.unlink()


def _publish(draft: _Draft, undo: ExitStack) -> None:
    """Moves a draft's files into place, and removes those of the older result; `undo` takes that back."""
    written = {file.name for file in draft.folder.iterdir() if not file.name.startswith(_LOCK)}
    shared = shared_companions(draft.path, draft.belongs) if draft.belongs else []
    for name in written:
        make_durable(draft.folder / name)
    older = draft.folder / OLDER
    older.mkdir()
    for file in dict.fromkeys((*draft.belongs, *shared)):
        if file.name not in written and file.exists():
            _set_aside(file, older, undo)
            file.unlink(missing_ok=True)  # the new layer must not get an old one's projection or index
    # The main file comes last: once it exists, the result is complete.
    for name in sorted(written, key=lambda name: name == draft.path.name):
        place = draft.path.parent / name
        if is_saved_style(place):
            continue
        if place.exists():
            _set_aside(place, older, undo)
        else:
            undo.callback(place.unlink, missing_ok=True)
        (draft.folder / name).replace(place)


def _set_aside(file: Path, folder: Path, undo: ExitStack) -> None:
    """Keeps a file that is about to be replaced or removed until `undo` is closed, which puts it back."""
    kept = folder / file.name
    try:
        kept.hardlink_to(file)  # so that one or the other is always in place
    except OSError:  # a file system without links
        file.replace(kept)
    # It is still there where it could not be replaced, as an open file on Windows.
    undo.callback(lambda: None if file.exists() and file.samefile(kept) else kept.replace(file))
