"""Finds the images of a set, whose names other tools wrote on other machines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lcageo.data.formats.walking import files_below
from lcageo.data.images import is_file

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".gif", ".vrt", ".img", ".jfif"}
)
_SELDOM_SUFFIXES = frozenset(
    {".avif", ".heic", ".heif", ".jxl", ".dng", ".psd", ".j2k", ".jpe", ".mpo", ".pgm", ".ppm", ".tga", ".ecw", ".sid"}
)
"""Suffixes of images that may not be read, which is then a problem, or whose name a usual one has as well."""
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""Label Studio puts eight digits before the name of a file that was uploaded."""


class ImageFinder:
    """Finds images in some folders by the names in records, or by the stem of a file of labels."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Reads nothing yet.

        Args:
            folders: where to look, the likeliest first. Folders in them are searched where a name is not found as it is
                written.
        """
        self.folders = tuple(dict.fromkeys(folders))
        self.renamed = 0
        """Number of images that were found under another path than that of their records."""
        self._by_name: dict[str, list[Path]] | None = None
        self._by_stem: dict[str, list[Path]] = {}

    def find(self, name: str) -> Path | None:
        """The file that a record calls `name`; None if there is none, or several that it may mean."""
        for folder in self.folders:
            if is_file(folder / name):
                return folder / name
        found = next((path for parts in _readings(name) if (path := self._by_parts(parts)) is not None), None)
        self.renamed += found is not None
        return found

    def of_stem(self, stem: str, within: Sequence[Path]) -> Path | None:
        """The image whose name is `stem` and a suffix of images; None if there is none, or several.

        Args:
            stem: of the file of labels, such as '0001'.
            within: folders where the file of labels has its images, if several images have that name.
        """
        self._index()
        found = self._by_stem.get(stem.casefold(), [])
        if len(found) > 1:
            found = [path for path in found if path.parent in within]
        return found[0] if len(found) == 1 else None

    def all(self) -> list[Path]:
        """Every image in the folders and below them, sorted."""
        return sorted(path for paths in self._index().values() for path in paths)

    def _by_parts(self, parts: tuple[str, ...]) -> Path | None:
        tails = [parts[first:] for first in range(len(parts))]
        for tail in tails:
            for folder in self.folders:
                path = folder.joinpath(*tail)
                if is_file(path):
                    return path
        named = self._index().get(parts[-1].casefold(), []) if parts else []
        for tail in tails:
            ends = [path for path in named if path.parts[-len(tail) :] == tail]
            if len(ends) == 1:
                return ends[0]
        return named[0] if len(named) == 1 else None

    def _index(self) -> dict[str, list[Path]]:
        """Images by name in lower case; also fills the one by stem."""
        if self._by_name is None:
            self._by_name = {}
            for path in dict.fromkeys(path for folder in self.folders for path in images_below(folder)):
                self._by_name.setdefault(path.name.casefold(), []).append(path)
                self._by_stem.setdefault(path.stem.casefold(), []).append(path)
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


def _readings(name: str) -> Iterator[tuple[str, ...]]:
    """What a name may mean, as parts of a path: with backslashes, in a URL, with the digits of an upload."""
    text = name.partition("?d=")[2] or name  # as Label Studio names files of its own disk
    text = re.sub(r"^[a-z0-9]+://[^/]*", "", text, flags=re.IGNORECASE)
    seen: set[tuple[str, ...]] = set()
    for reading in (text, unquote(text), unquote(text.partition("?")[0])):
        parts = tuple(part for part in re.split(r"[/\\]", reading) if part not in ("", ".", "..") and part[-1:] != ":")
        if not parts:
            continue
        uploaded = _UPLOADED.fullmatch(parts[-1])
        for one in (parts, (*parts[:-1], uploaded[1]) if uploaded else parts):
            if one not in seen:
                seen.add(one)
                yield one
