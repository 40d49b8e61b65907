"""Which rasters belong to a survey, and where their results go."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from lcageo.errors import UsageError
from lcageo.paths import on_disk
from lcageo.remote import is_remote, key, public

PATTERNS = ("*.tif", "*.tiff", "*.jp2", "*.vrt")
LIST_SUFFIX = ".txt"
_APPENDED, _OF_STEM = (".aux.xml", ".msk"), (".tfw", ".tifw", ".wld", ".jgw", ".pgw", ".j2w")
"""What files that GDAL looks for beside a raster have behind its name, or in place of its suffix."""


@dataclass(frozen=True, slots=True)
class SurveyScene:
    """One raster of a survey."""

    path: str
    place: PurePosixPath
    """Path of its results in the survey's folders, without suffix, unless it is taken by another scene."""


def find_scenes(
    sources: Sequence[str], pattern: str | None, recursive: bool, leave_out: Path
) -> tuple[SurveyScene, ...]:
    """The rasters of a survey, each once, in the order of the sources and of their names.

    Args:
        sources: folders, glob patterns, rasters, and text files that list rasters, one per line.
        pattern: which files of a folder are rasters; None: PATTERNS. Case is ignored.
        recursive: whether subfolders are searched as well; results are then in folders of the same names.
        leave_out: the folder of the results.

    Raises:
        UsageError: if a source does not exist, or a folder cannot be read.
    """
    patterns = PATTERNS if pattern is None else (pattern,)
    found: dict[str, SurveyScene] = {}
    for source in sources:
        for path, place in _of_source(source, patterns, recursive, leave_out):
            found.setdefault(key(path), SurveyScene(path, place))
    return tuple(found.values())


def is_list(path: Path) -> bool:
    """Whether a file lists rasters."""
    return path.suffix.lower() == LIST_SUFFIX and path.is_file()


def _of_source(
    source: str, patterns: Sequence[str], recursive: bool, leave_out: Path
) -> Iterator[tuple[str, PurePosixPath]]:
    path = Path(source)
    if path.is_dir():
        for file in _of_folder(path, patterns, recursive, leave_out.resolve()):
            yield str(file), PurePosixPath(file.relative_to(path).with_suffix("").as_posix())
    elif is_list(path):
        yield from ((line, PurePosixPath(Path(public(line)).stem)) for line in _listed(path))
    elif path.exists() or is_remote(source):
        yield source, PurePosixPath(Path(public(source)).stem)
    elif glob.has_magic(source):
        files = sorted(glob.glob(source, recursive=recursive))  # noqa: PTH207  # takes absolute patterns, Path does not
        yield from ((file, PurePosixPath(Path(file).stem)) for file in files if Path(file).is_file())
    else:
        raise UsageError(
            f"'{source}' does not exist; give a folder, a quoted pattern, rasters, or a text file that lists them"
        )


def _of_folder(folder: Path, patterns: Sequence[str], recursive: bool, leave_out: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"folder '{folder}' cannot be read ({error.strerror}); fix its permissions, or leave it out"
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # Links to folders could form a cycle.
            if recursive and not entry.is_symlink() and entry.resolve() != leave_out:
                yield from _of_folder(entry, patterns, recursive, leave_out)
        elif any(fnmatch(entry.name.lower(), pattern.lower()) for pattern in patterns):
            yield entry


def _listed(path: Path) -> Iterator[str]:
    """The rasters that a text file lists, relative to it; empty lines and those that start with # are skipped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"list '{path}' cannot be read ({error}); give a text file with one raster per line"
        ) from error
    for line in (line.strip() for line in lines):
        if line and not line.startswith("#"):
            file = str(path.parent / line)
            yield line if is_remote(line) and on_disk(file) is None else file


def is_away(scene: str, files: Iterable[str]) -> bool:
    """Whether a scene on a disk does not exist, or the folder of a file that belongs to it is missing or empty.

    So it is while a disk or share is away. One file that is missing among others is a hole of a mosaic.
    """
    if not is_remote(scene) and not _is_special(scene) and on_disk(scene) is None:
        return True
    folders = {Path(name).parent for name in files if not is_remote(name) and not _is_special(name)}
    return any(map(_is_missing_or_empty, folders))


def _is_special(name: str) -> bool:
    """Whether a name may be GDAL's own, such as NETCDF:file:variable; a drive's letter is followed by ':', too."""
    return ":" in name[2:]


def _is_missing_or_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return True


def files_beside(path: str) -> list[str]:
    """Files beside a raster on a disk that say where it is or what of it has data, if they exist."""
    if is_remote(path):
        return []
    places = [f"{path}{suffix}" for suffix in _APPENDED] + [str(Path(path).with_suffix(one)) for one in _OF_STEM]
    return [place for place in places if on_disk(place) is not None]
