"""Labelled sets as users name them, in any of the known formats, one or several, under one list of classes.

A new format is a module in `formats` that reads it and an entry in FORMATS, under a name in `config.FormatName`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lcageo.config import FormatName
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.classmap import ClassMap, joined
from lcageo.data.formats.coco_folder import coco_splits, is_coco, read_coco_set
from lcageo.data.formats.csv_table import csv_splits, is_csv, read_csv
from lcageo.data.formats.dior import is_dior, listed_splits, read_dior
from lcageo.data.formats.dota import dota_splits, is_dota, read_dota
from lcageo.data.formats.layout import Reading
from lcageo.data.formats.unread import way_out
from lcageo.data.formats.voc_folder import is_voc, read_voc_folder, voc_splits
from lcageo.data.formats.yolo import is_yolo, read_yolo, yolo_splits
from lcageo.data.pixels import with_stretch
from lcageo.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class DataFormat:
    """One way in which labelled images are stored."""

    description: str
    """Name of the format with its article, for messages."""
    recognises: Callable[[Path], bool]
    """Whether a path is such a set; it need not exist."""
    read: Callable[[Path, SplitName, Reading], LabelledSet]
    """Reads one split of a set; if it has one part only, all of it."""
    splits: Callable[[Path, Path | None], tuple[SplitName, ...]]
    """The splits that a set has, without overlap; empty where it has one part only. The second argument is the folder
    of images that the user names: formats without a list of images look there."""


FORMATS: Mapping[FormatName, DataFormat] = {
    FormatName.COCO: DataFormat("a COCO file (.json) or a folder of COCO files", is_coco, read_coco_set, coco_splits),
    FormatName.DIOR: DataFormat("a folder laid out as DIOR", is_dior, read_dior, listed_splits),
    FormatName.YOLO: DataFormat("a YOLO set (data.yaml, or images/ and labels/)", is_yolo, read_yolo, yolo_splits),
    FormatName.VOC: DataFormat("a folder of VOC XML files", is_voc, read_voc_folder, voc_splits),
    FormatName.DOTA: DataFormat("a folder laid out as DOTA", is_dota, read_dota, dota_splits),
    FormatName.CSV: DataFormat("a CSV table of boxes", is_csv, read_csv, csv_splits),
}
"""The first that recognises a path reads it, unless the user names another."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What a user says of the sources besides their paths."""

    images: Path | None = None
    """Folder of the images; None: where the format has them."""
    format: FormatName | None = None
    """None: the one that recognises a source."""

    def __post_init__(self) -> None:
        if self.images is not None and not self.images.is_dir():
            raise UsageError(f"the folder of images '{self.images}' (--images) does not exist; check its path")


def read_sets(
    sources: Sequence[Path],
    split: SplitName,
    classes: Sequence[str] | None = None,
    class_map: ClassMap | None = None,
    strict: bool = False,
    naming: Naming | None = None,
) -> LabelledSet:
    """Reads all images of some sources.

    Args:
        sources: files and folders in any of FORMATS.
        split: which split to read of sources that have several.
        classes: the wanted classes, in order; None: all that occur.
        class_map: names to merge.
        strict: whether broken records are an error; otherwise they are skipped and become problems.
        naming: what the user says of the sources; None: nothing.

    Raises:
        DataError: if a source is in none of FORMATS, cannot be read, or if strict and anything is broken.
    """
    return joined([read_source(source, split, strict, naming) for source in sources], classes, class_map)


def read_source(source: Path, split: SplitName, strict: bool = False, naming: Naming | None = None) -> LabelledSet:
    """Reads the images of one source, with its own classes; arguments and errors as in `read_sets`."""
    naming = naming or Naming()
    form = format_of(source, naming)
    if form is None:
        what = "does not exist" if not source.exists() else "is not a labelled set"
        *others, last = (form.description for form in FORMATS.values())
        instead = way_out(source) or f"give {', '.join(others)}, or {last}; most labelling tools export COCO or YOLO"
        raise DataError(f"data '{source}' {what}; {instead}")
    labelled = form.read(source, split, Reading(naming.images, strict))
    return replace(labelled, annotations=with_stretch(labelled.annotations))


def format_of(source: Path, naming: Naming | None = None) -> DataFormat | None:
    """The format that the user names, else the one that recognises a source."""
    if naming is not None and naming.format is not None:
        return FORMATS[naming.format]
    return next((form for form in FORMATS.values() if form.recognises(source)), None)


def splits_in(source: Path, naming: Naming | None = None) -> tuple[SplitName, ...]:
    """The splits of a source, of which one is read at a time; empty if it has one part only."""
    form = format_of(source, naming)
    return () if form is None else form.splits(source, None if naming is None else naming.images)
