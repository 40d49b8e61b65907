"""Writes a labelled set in another format, with copies of its images, so that it can be used elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lcageo.config import FormatName
from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.classmap import joined
from lcageo.data.formats.coco_writer import CocoImage, coco_text
from lcageo.data.formats.layout import split_of
from lcageo.data.formats.voc_writer import write_voc
from lcageo.data.formats.yolo_writer import Named, write_yolo

TARGETS = (FormatName.COCO, FormatName.YOLO, FormatName.VOC)
"""Formats that can be written."""


def convert_sets(
    sets: Mapping[str, LabelledSet],
    folder: Path,
    to: FormatName,
    on_image: Callable[[int], object] = lambda count: None,
) -> tuple[str, ...]:
    """Writes the splits of a set in one of TARGETS; boxes stay the same to the last bit.

    Args:
        sets: the splits by name; one that is not named for a split is called train.
        folder: an empty folder, which receives the set.
        to: the format.
        on_image: called with 1 after each image that was copied.

    Returns:
        What the format cannot say, and is lost.

    Raises:
        OSError: if a file cannot be copied or written.
    """
    classes = joined(list(sets.values())).classes
    common = {name: joined([one], classes) for name, one in sets.items()}
    named = _named({split_of(name) or "train": one.annotations for name, one in common.items()})
    write = {FormatName.COCO: _write_coco, FormatName.YOLO: write_yolo, FormatName.VOC: write_voc}[to]
    for split, place in write(folder, named, classes).items():
        place.mkdir(parents=True, exist_ok=True)
        for name, annotation in named[split]:
            shutil.copyfile(annotation.image, place / name)
            on_image(1)
    return _lost([annotation for images in named.values() for _, annotation in images], len(classes), to)


def _named(splits: Mapping[str, Sequence[Annotation]]) -> dict[str, Named]:
    """The images with names whose stems differ: numbered where images of several folders have one name."""
    taken: set[str] = set()
    named: dict[str, Named] = {}
    for split, unnamed in splits.items():
        images = []
        for annotation in unnamed:
            stem, suffix, number = annotation.image.stem, annotation.image.suffix, 1
            while stem.casefold() in taken:
                number += 1
                stem = f"{annotation.image.stem}-{number}"
            taken.add(stem.casefold())
            images.append((stem + suffix, annotation))
        named[split] = images
    return named


def _write_coco(folder: Path, splits: Mapping[str, Named], classes: Sequence[str]) -> dict[str, Path]:
    """Writes a file per split, as `lcageo chips` does."""
    for split, images in splits.items():
        records = [
            CocoImage(
                name,
                one.width,
                one.height,
                one.boxes_xyxy.astype(np.float64),
                one.labels,
                one.difficult,
                {} if one.gsd_m is None else {"gsd_m": one.gsd_m},
                one.labelled_classes,
            )
            for name, one in images
        ]
        text = coco_text(records, classes, {"description": "converted by lcageo"}, digits=None)
        (folder / f"{split}.json").write_text(text, encoding="utf-8")
    return dict.fromkeys(splits, folder / "images")


def _lost(annotations: Sequence[Annotation], classes: int, to: FormatName) -> tuple[str, ...]:
    """What the new set does not say, with counts."""
    if to is FormatName.COCO:
        return ()
    difficult = sum(int(one.difficult.sum()) for one in annotations)
    partly = sum(len(one.labelled_classes) < classes for one in annotations)
    with_gsd = sum(one.gsd_m is not None for one in annotations)
    unignored = difficult if to is FormatName.YOLO else 0  # VOC says so itself
    counts = {
        "boxes to be ignored (crowds, difficult) that are ordinary boxes now": unignored,
        "images annotated for some of the classes only, which the format cannot say": partly,
        "images with a resolution in metres, which the format cannot say": with_gsd,
    }
    return tuple(f"{what}: {count:,}" for what, count in counts.items() if count)
