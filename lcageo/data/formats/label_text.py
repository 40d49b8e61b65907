"""The lines of files of labels in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.errors import DataError


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
