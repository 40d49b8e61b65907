"""Files of labels in plain text, one beside each image or in a folder of their own: where they are, and their lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.images import is_file
from lcageo.errors import DataError

SNIFFED = 200
"""Number of text files that are looked into to recognise a format; most are labels, and few of these are empty."""
_OTHERS = frozenset({"classes.txt", "train.txt", "val.txt", "test.txt", "trainval.txt", "requirements.txt"})
"""Text files beside labels that are none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not empty."""

    number: int
    """From 1."""
    words: tuple[str, ...]


def read_lines(path: Path) -> list[Line]:
    """The lines of a text file, split at white space.

    Raises:
        DataError: if it cannot be read, or is not text.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"is not text in UTF-8: {error}") from error
    return [Line(number, tuple(line.split())) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def numbers(words: Sequence[str]) -> list[float]:
    """Words as finite numbers.

    Raises:
        DataError: if one is none.
    """
    values = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e9:  # also refuses NaN
            raise DataError(f"{word[:40]!r} is not a number")
        values.append(value)
    return values


def first_words(folder: Path) -> tuple[str, ...]:
    """The words of the first line of labels in a folder; empty if there is none."""
    for path in _texts(folder):
        try:
            lines = [line for line in read_lines(path) if ":" not in line.words[0]]  # DOTA's files have a head
        except DataError:
            continue
        if lines:
            return lines[0].words
    return ()


def labels_by_stem(folder: Path) -> Mapping[str, Path]:
    """Files of labels below a folder by their stem in lower case; of several with one stem, the first."""
    found: dict[str, Path] = {}
    for path in _texts(folder, most=None):
        found.setdefault(path.stem.casefold(), path)
    return found


def label_file(image: Path, folders: Sequence[str] = ("labels",)) -> Path | None:
    """The file of labels of an image: with 'images' in its path replaced, else beside it; None if there is none.

    Args:
        image: its path.
        folders: names of the folder that stands beside 'images'.
    """
    candidates = [image.with_suffix(".txt")]
    for depth in range(len(image.parts) - 2, 0, -1):
        if image.parts[depth].lower() in ("images", "jpegimages"):
            for name in reversed(folders):
                path = Path(*image.parts[:depth], name, *image.parts[depth + 1 :])
                candidates.insert(0, path.with_suffix(".txt"))
            break
    return next((path for path in candidates if is_file(path)), None)


def _texts(folder: Path, most: int | None = SNIFFED) -> Iterator[Path]:
    """Text files below a folder that may be labels, at most `most`."""
    count = 0
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".txt") and name.lower() not in _OTHERS and not name.lower().startswith("readme"):
                yield Path(place, name)
                count += 1
                if most is not None and count >= most:
                    return
