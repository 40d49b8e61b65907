"""Walks through the folders of a set, some of which may be links to folders elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Files in a folder and in the folders in it, also in those that are links; hidden folders are passed over.

    Each folder is entered once: links in a circle come to an end, and a link to a folder of the set doubles nothing.
    Links come last, so that a folder is met under its own path if it has one here.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        # Links are put off here, not by os.walk, which also passes over Windows' junctions.
        for place, inner, names in os.walk(waiting.pop(0), followlinks=True):
            if _is_known(place, entered):
                inner.clear()
                continue
            shown = sorted(name for name in inner if not name.startswith("."))
            waiting += [Path(place, name) for name in shown if Path(place, name).is_symlink()]
            inner[:] = [name for name in shown if not Path(place, name).is_symlink()]
            yield from (Path(place, name) for name in sorted(names))


def _is_known(place: str, entered: set[tuple[int, int]]) -> bool:
    """Whether a folder was entered before; it is from now on."""
    try:
        status = Path(place).stat()
    except OSError:
        return True
    key = status.st_dev, status.st_ino
    known = key in entered
    entered.add(key)
    return known
