"""Labelled sets as users name them: DIOR folders and COCO files, one or several, under one list of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lcageo.data.annotations import LabelledSet
from lcageo.data.classmap import ClassMap, joined
from lcageo.data.coco import read_coco
from lcageo.data.dior import DiorSplit, is_dior, read_dior
from lcageo.errors import DataError


def read_sets(
    sources: Sequence[Path],
    split: DiorSplit,
    classes: Sequence[str] | None = None,
    class_map: ClassMap | None = None,
    strict: bool = False,
) -> LabelledSet:
    """Reads all images of some sources.

    Args:
        sources: folders laid out as DIOR, and COCO files (.json).
        split: which list of a DIOR folder to read; a COCO file is a single split.
        classes: the wanted classes, in order; None: all that occur.
        class_map: names to merge.
        strict: whether broken records are an error; otherwise they are skipped and become problems.

    Raises:
        DataError: if a source is neither of these, cannot be read, or if strict and anything is broken.
    """
    return joined([read_source(source, split, strict) for source in sources], classes, class_map)


def read_source(source: Path, split: DiorSplit, strict: bool = False) -> LabelledSet:
    """Reads the images of one source, with its own classes; arguments and errors as in `read_sets`."""
    if source.suffix.lower() == ".json":
        return read_coco(source, strict=strict)
    if is_dior(source):
        return read_dior(source, split, strict)
    what = "does not exist" if not source.exists() else "is not a labelled set"
    raise DataError(f"data '{source}' {what}; give a COCO file (.json) or a folder laid out as DIOR")
