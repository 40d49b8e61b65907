"""Finds the images of a set, whose names other tools wrote on other machines."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lcageo.data.images import is_file
from lcageo.data.walking import files_below

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".gif", ".vrt", ".img", ".jfif"}
)
_SELDOM_SUFFIXES = frozenset(
    {".avif", ".heic", ".heif", ".jxl", ".dng", ".psd", ".j2k", ".jpe", ".mpo", ".pgm", ".ppm", ".tga", ".ecw", ".sid"}
)
"""Suffixes of images that may not be read, which is then a problem, or whose name a usual one has as well."""
_Parts = tuple[str, ...]
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""Label Studio puts eight digits before the name of a file that was uploaded."""


class ImageFinder:
    """Finds images in some folders by the names in records."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Reads nothing yet.

        Args:
            folders: where to look, the likeliest first. Folders in them are searched where a name is not found as it is
                written.
        """
        self.folders = tuple(dict.fromkeys(folders))
        self.renamed = 0
        """Number of images that were found under another path than that of their records."""
        self.refused: dict[str, Path] = {}
        """Names that a file fits by a part of their path only, which is that of another record."""
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, names: Iterable[str], taken: Collection[Path] = ()) -> dict[str, Path]:
        """The files that records call by these names, without the names that no file has, or several fit.

        Names of one file have one path. A file that a record names as it lies there is not given to another by a part
        of its path, nor is one that two names fit equally well.

        Args:
            names: all names in the records.
            taken: files that are known to be those of other records.
        """
        names = list(dict.fromkeys(names))
        written = {name: file for name in names if (file := self._as_written(name)) is not None}
        first: dict[str, Path] = {}
        found = {name: first.setdefault(os.path.realpath(file), file) for name, file in written.items()}
        owners: dict[str, set[_Parts]] = {os.path.realpath(file): set() for file in taken}
        for name, file in written.items():
            owners.setdefault(os.path.realpath(file), set()).add(_spelt(name))
        claims: dict[str, dict[str, Path]] = {}
        for name in names:
            if name not in found and (file := self._by_parts(name)) is not None:
                claims.setdefault(os.path.realpath(file), {})[name] = file
        for place, claimed in claims.items():
            rightful = _rightful(claimed, owners.get(place))
            found |= {name: first.setdefault(place, claimed[name]) for name in rightful}
            self.renamed += len(rightful)
            self.refused |= {name: file for name, file in claimed.items() if name not in rightful}
        return found

    def missing(self, name: str) -> str:
        """Why `find` has no file for a name."""
        if (file := self.refused.get(name)) is not None:
            return f"no file {name!r}; '{file}' may be meant, but another record fits it, too"
        return f"no file {name!r} in {' or '.join(map(str, self.folders))}"

    def all(self) -> dict[Path, Path]:
        """Every image in the folders and below them, sorted, and the folder where it was found."""
        found: dict[Path, Path] = {}
        for folder in self.folders:
            for path in images_below(folder):
                found.setdefault(path, folder)
        return dict(sorted(found.items()))

    def _as_written(self, name: str) -> Path | None:
        return next((folder / name for folder in self.folders if is_file(folder / name)), None)

    def _by_parts(self, name: str) -> Path | None:
        """The file with the longest end of a name; None if there is none, or several."""
        return next((path for parts in _readings(name) if (path := self._of_end(parts)) is not None), None)

    def _of_end(self, parts: _Parts) -> Path | None:
        named = self._index().get(parts[-1].casefold(), [])
        for first in range(len(parts)):
            tail = parts[first:]
            direct = [folder.joinpath(*tail) for folder in self.folders if is_file(folder.joinpath(*tail))]
            ends = direct[:1] or [path for path in named if path.parts[-len(tail) :] == tail]
            if ends:
                return ends[0] if len(ends) == 1 else None
        return named[0] if len(named) == 1 else None

    def _index(self) -> dict[str, list[Path]]:
        """Images by name in lower case."""
        if self._by_name is None:
            self._by_name = {}
            for path in self.all():
                self._by_name.setdefault(path.name.casefold(), []).append(path)
        return self._by_name


def images_below(folder: Path) -> list[Path]:
    """The images in a folder and in the folders in it, sorted; hidden ones are passed over."""
    found = [path for path in files_below(folder) if is_image(path.name)]
    usual = {path.with_suffix("") for path in found if path.suffix.lower() in IMAGE_SUFFIXES}
    return sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES or path.with_suffix("") not in usual)


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return (suffix in IMAGE_SUFFIXES or suffix in _SELDOM_SUFFIXES) and not name.startswith(".")


def _rightful(claimed: Mapping[str, Path], owners: Collection[_Parts] | None) -> list[str]:
    """Of the names that a file fits by a part of their path those that mean it.

    Args:
        claimed: the names, each with the file.
        owners: names of records that have the file as it lies there, by their parts; None: there are none.
    """
    if owners is not None:
        return [name for name in claimed if _spelt(name) in owners]
    shared = {name: _shared(file, name) for name, file in claimed.items()}
    best = [name for name, length in shared.items() if length == max(shared.values())]
    return best if len(set(map(_spelt, best))) == 1 else []


def _shared(file: Path, name: str) -> int:
    """How many of the last parts of a file's path a name has, in the reading that has most."""

    def length(parts: _Parts) -> int:
        equal = [one.casefold() == other.casefold() for one, other in zip(file.parts[::-1], parts[::-1], strict=False)]
        return equal.index(False) if False in equal else len(equal)

    return max(map(length, _readings(name)))


def _spelt(name: str) -> _Parts:
    """A name as parts of a path, whichever slashes it has."""
    return next(_readings(name), ())


def _readings(name: str) -> Iterator[_Parts]:
    """What a name may mean, as parts of a path: with backslashes, in a URL, with the digits of an upload."""
    text = name.partition("?d=")[2] or name  # as Label Studio names files of its own disk
    text = re.sub(r"^[a-z0-9]+://[^/]*", "", text, flags=re.IGNORECASE)
    seen: set[_Parts] = set()
    for reading in (text, unquote(text), unquote(text.partition("?")[0])):
        parts = tuple(part for part in re.split(r"[/\\]", reading) if part not in ("", ".", "..") and part[-1:] != ":")
        if not parts:
            continue
        uploaded = _UPLOADED.fullmatch(parts[-1])
        for one in (parts, (*parts[:-1], uploaded[1]) if uploaded else parts):
            if one not in seen:
                seen.add(one)
                yield one
