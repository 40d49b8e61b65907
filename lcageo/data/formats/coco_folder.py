"""Folders of COCO files, as tools lay them out: `lcageo chips`, COCO itself, CVAT, Label Studio, Roboflow."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.formats.coco import read_coco
from lcageo.data.formats.layout import Parts, Reading, files_by_split, one_each, read_parts, splits_of

_LISTS = (b'"images"', b'"annotations"', b'"categories"')
_OTHERS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")
"""How COCO names files of other tasks than detection, which have the same lists."""


def is_coco(path: Path) -> bool:
    """Whether a path is a JSON file, or a folder with COCO files."""
    return bool(_files(path)) if path.is_dir() else path.suffix.lower() == ".json"


def coco_splits(path: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits of a folder; empty if it has one COCO file only, and for a file."""
    return splits_of(_parts(path))


def read_coco_set(path: Path, split: SplitName, reading: Reading) -> LabelledSet:
    """A COCO file, or a split of a folder of COCO files; arguments and errors as in `read_coco` and `read_parts`."""
    return read_parts(
        path, _parts(path), split, lambda files, name: read_coco(files[0], reading.images, reading.strict)
    )


def _parts(path: Path) -> Parts:
    """The file of each split; errors as in `one_each`."""
    return one_each(_files(path), path, "COCO files") if path.is_dir() else {None: [path]}


def _files(folder: Path) -> Parts:
    """COCO files in a folder, in its folder `annotations`, and in folders that are named for a split."""
    places = [one for one in sorted(folder.iterdir()) if one.name.lower() == "annotations"] if folder.is_dir() else []
    return files_by_split(folder, places, ".json", _has_lists)


def _has_lists(file: Path) -> bool:
    """Whether a file seems to be COCO's, without parsing it: it may have hundreds of megabytes."""
    if file.name.startswith(_OTHERS):
        return False
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            is_object = re.match(rb"(\xef\xbb\xbf)?\s*\{", content) is not None
            return is_object and all(content.find(name) >= 0 for name in _LISTS)
    except (OSError, ValueError):  # no file, or an empty one
        return False
