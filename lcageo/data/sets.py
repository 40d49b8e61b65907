"""Labelled sets as users name them, in any of the known formats, one or several, under one list of classes.

A new format is a module that reads it and an entry in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.classmap import ClassMap, joined
from lcageo.data.formats.coco import read_coco
from lcageo.data.formats.dior import is_dior, listed_splits, read_dior
from lcageo.errors import DataError


@dataclass(frozen=True, slots=True)
class DataFormat:
    """One way in which labelled images are stored."""

    description: str
    """Name of the format with its article, for messages."""
    recognises: Callable[[Path], bool]
    """Whether a path is such a set; it need not exist."""
    read: Callable[[Path, SplitName, bool], LabelledSet]
    """Reads one split of a set; the last argument says whether broken records are an error."""
    splits: Callable[[Path], tuple[SplitName, ...]] | None = None
    """The splits that a set has, without overlap; None where a set is a single split."""


FORMATS = (
    DataFormat(
        "a COCO file (.json)",
        lambda path: path.suffix.lower() == ".json",
        lambda path, split, strict: read_coco(path, strict=strict),
    ),
    DataFormat("a folder laid out as DIOR", is_dior, read_dior, listed_splits),
)
"""The first that recognises a path reads it."""


def read_sets(
    sources: Sequence[Path],
    split: SplitName,
    classes: Sequence[str] | None = None,
    class_map: ClassMap | None = None,
    strict: bool = False,
) -> LabelledSet:
    """Reads all images of some sources.

    Args:
        sources: files and folders in any of FORMATS.
        split: which split to read of sources that have several.
        classes: the wanted classes, in order; None: all that occur.
        class_map: names to merge.
        strict: whether broken records are an error; otherwise they are skipped and become problems.

    Raises:
        DataError: if a source is in none of FORMATS, cannot be read, or if strict and anything is broken.
    """
    return joined([read_source(source, split, strict) for source in sources], classes, class_map)


def read_source(source: Path, split: SplitName, strict: bool = False) -> LabelledSet:
    """Reads the images of one source, with its own classes; arguments and errors as in `read_sets`."""
    form = format_of(source)
    if form is None:
        what = "does not exist" if not source.exists() else "is not a labelled set"
        raise DataError(f"data '{source}' {what}; give {' or '.join(form.description for form in FORMATS)}")
    return form.read(source, split, strict)


def format_of(source: Path) -> DataFormat | None:
    """The format that recognises a source."""
    return next((form for form in FORMATS if form.recognises(source)), None)


def has_splits(source: Path) -> bool:
    """Whether a source holds several splits, of which one is read."""
    form = format_of(source)
    return form is not None and form.splits is not None
