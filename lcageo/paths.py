"""Names of files on disk, which may look like URLs, or like names that only GDAL understands."""

from __future__ import annotations

from pathlib import Path


def on_disk(name: str) -> Path | None:
    """The absolute path of an existing file or folder; None for URLs, GDAL's own names, and what does not exist.

    GDAL and SQLite take an absolute path as it is, but 'GPKG:a.gpkg' or 'file:a.gpkg' as something else.
    """
    try:
        found = not name.startswith("/vsi") and Path(name).exists()
    except (OSError, ValueError):  # too long, or with a null byte: no file system has it
        return None
    return Path(name).absolute() if found else None
