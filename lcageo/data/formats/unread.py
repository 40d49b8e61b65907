"""Formats of labelling tools that are not read, recognised to say what to export instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lcageo.data.images import is_file

_HEAD = 8192
_MOST_FILES = 50
_WAYS: Sequence[tuple[str, tuple[bytes, ...], str]] = (
    ("Label Studio's own", (b"original_width",), "export COCO or 'YOLO with Images' there"),
    ("CVAT's own", (b"<annotations>",), "export 'COCO 1.0' or 'Ultralytics YOLO Detection 1.0' there"),
    ("LabelMe's", (b'"shapes"', b'"imagePath"'), "convert it with labelme2coco or labelme2yolo"),
    ("Datumaro's own", (b'"dm_format_version"',), "export coco_instances or yolo_ultralytics there"),
    ("the VGG Image Annotator's own", (b'"shape_attributes"',), "export COCO there"),
    ("Open Images'", (b"ImageID,Source,LabelName",), "convert it to COCO with Datumaro or FiftyOne"),
)
"""Whose format, what the first bytes of its files have, and the way to one that is read."""


def way_out(path: Path) -> str:
    """What to do with a set that is not read: the format it has and what to export instead; empty if it is unknown.

    Args:
        path: a file, or a folder, which is looked through two levels deep.
    """
    for file in _candidates(path):
        try:
            with file.open("rb") as opened:
                head = opened.read(_HEAD)
        except OSError:
            continue
        for whose, marks, way in _WAYS:
            if all(mark in head for mark in marks):
                return f"it is in {whose} format: {way}"
    return ""


def _candidates(path: Path) -> Iterator[Path]:
    if is_file(path):
        yield path
    elif path.is_dir():
        found = (one for level in ("*", "*/*") for one in sorted(path.glob(level)))
        texts = (one for one in found if one.suffix.lower() in (".json", ".xml", ".csv", ".tsv") and is_file(one))
        yield from (one for one, _ in zip(texts, range(_MOST_FILES), strict=False))
