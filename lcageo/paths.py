"""Files on disk: their names, which may look like URLs or like names that only GDAL understands, and their safety."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Sequence
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of the longest name of a file that file systems allow."""


def on_disk(name: str) -> Path | None:
    """The absolute path of an existing file or folder; None for URLs, GDAL's own names, and what does not exist.

    GDAL and SQLite take an absolute path as it is, but 'GPKG:a.gpkg' or 'file:a.gpkg' as something else.
    """
    try:
        found = name != "" and not name.startswith("/vsi") and Path(name).exists()  # Path("") is the current folder
    except (OSError, ValueError):  # too long, or with a null byte: no file system has it
        return None
    return Path(name).absolute() if found else None


def expanded(names: Sequence[str], by_us: bool = os.name == "nt") -> list[str]:
    """The files that patterns such as *.tif stand for, on Windows, whose command line does not expand them.

    A pattern without files stays, so that whoever opens it says so.
    """
    found: list[str] = []
    for name in names:
        is_pattern = by_us and glob.has_magic(name) and "://" not in name and on_disk(name) is None
        files = sorted(glob.glob(name)) if is_pattern else []  # noqa: PTH207  # absolute patterns, too
        found += files or [name]
    return found


def is_possible(path: Path) -> bool:
    """Whether a file may have this name, which is longer if it is made from another's."""
    return len(os.fsencode(path.name)) <= LONGEST_NAME


def make_durable(file: Path) -> None:
    """Waits until a file is on the disk, so that a failure of the machine cannot cost what it replaces."""
    with file.open("rb+") as content:
        try:
            os.fsync(content.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot say
                raise
