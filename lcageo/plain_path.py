"""Paths without characters that pyogrio interprets, for files whose own paths have some.

pyogrio takes every path for a URL or a path inside of an archive: it drops what precedes '!' and what follows ';', and
removes tabs and line ends (its util.vsi_path; its issue 632). GDAL and SQLite take an absolute path as it is.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lcageo.layer_source import LayerSource

_INTERPRETED = re.compile("[!;?\t\r\n]|^//")
_STEM = "layer"


@contextmanager
def plain_path(path: Path) -> Generator[str, None, None]:
    """Context with a path under which pyogrio reads an existing file: its own, or that of a link to it.

    Args:
        path: a file, a URL, or a path of GDAL's own, such as /vsizip/a.zip/a.shp.
    """
    remote = LayerSource.of(path).gdal_path
    if remote is not None:
        yield remote
        return
    path = path.absolute()
    if not _is_interpreted(path):
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="lcageo-") as folder:
        for file in path.parent.iterdir():
            if file.name.startswith(path.stem):  # with what belongs to it, such as the .dbf of a shapefile
                Path(folder, _STEM + file.name.removeprefix(path.stem)).symlink_to(file)
        yield str(Path(folder, _STEM + path.suffix))


@contextmanager
def plain_draft(path: Path) -> Generator[Path, None, None]:
    """Context with a path under which pyogrio writes a file: its own, or one whose files are renamed at the end.

    Args:
        path: a file in a folder of its own; if it exists, it is at the other path meanwhile.
    """
    path = path.absolute()
    if not _is_interpreted(path):
        yield path
        return
    inside = path.parent / _STEM
    inside.mkdir()
    if path.exists():
        path.rename(inside / (_STEM + path.suffix))
    with tempfile.TemporaryDirectory(prefix="lcageo-") as folder:
        link = Path(folder, _STEM)
        link.symlink_to(inside, target_is_directory=True)
        yield link / (_STEM + path.suffix)
    for file in inside.iterdir():
        file.rename(path.with_name(path.stem + file.name.removeprefix(_STEM)))
    inside.rmdir()


def _is_interpreted(path: Path) -> bool:
    return sys.platform != "win32" and _INTERPRETED.search(str(path)) is not None  # with a drive letter, it is not
