"""YOLO: a text file per image, with a class number and a box, polygon or oriented box in shares of the image per line.

Source:
    The layouts are those that Ultralytics' documentation ("Object Detection Datasets Overview", and the pages on
    segmentation and oriented boxes) and darknet describe: data.yaml, images/ and labels/, obj.names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import Box, LabelledSet, ObjectList, ProblemKind, SplitName
from lcageo.data.formats.image_files import images_below
from lcageo.data.formats.label_files import (
    IMAGE_FOLDERS,
    LabelFiles,
    first_words,
    folders_of,
    label_file,
    match_labels,
    texts_below,
)
from lcageo.data.formats.label_text import Line, numbers, read_lines
from lcageo.data.formats.layout import Parts, Reading, SetBuilder, by_split, read_parts, splits_of, with_images
from lcageo.data.formats.pairing import key_of
from lcageo.data.formats.yolo_lists import (
    CLASS_FILES,
    images_of_yaml,
    listed_classes,
    named_classes,
    names_images,
    read_yaml,
)
from lcageo.data.images import is_file
from lcageo.errors import DataError

YAML_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
DIGITS = 9
"""Decimal places of edges in pixels that shares leave certain: an edge at 0 is to be 0, not 1e-15."""
FARTHEST = 2.0
"""Coordinates are shares of the image, from 0 to 1; up to this, a box is one that extends beyond it."""
_SCORED, _NO_SCORE = "boxes with a score, which is ignored", "is no score from 0 to 1"
"""How a fifth value of a box is told."""


@dataclass(frozen=True, slots=True)
class _YoloSet:
    """Where a set's images are, and the names of its classes."""

    parts: Parts
    """Images of each split."""
    names: Sequence[str] | None
    """None: the set does not say."""
    folder: Path
    """The set's own folder."""
    lists_images: bool = False
    """Whether data.yaml says where the images are; else they are all in one folder."""
    has_keypoints: bool = False


def is_yolo(path: Path) -> bool:
    """Whether a file or folder is a YOLO set."""
    if not path.is_dir():
        return path.suffix.lower() in (".yaml", ".yml")
    if _yaml_in(path) is not None or any((path / name).is_file() for name in ("obj.names", "data/obj.names")):
        return True
    lists_classes = any((path / name).is_file() for name in CLASS_FILES)
    return _is_label(first_words(path), least=1 if lists_classes else 5)


def yolo_splits(path: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits of a set; empty if it has one part only. `images` is as in Reading."""
    return splits_of(_open(path, images).parts)


def read_yolo(path: Path, split: SplitName, reading: Reading) -> LabelledSet:
    """One split of a YOLO set.

    Images without a file of labels are background, as YOLO's trainers take them; their number becomes a problem that is
    a remark. Polygons and oriented boxes become their bounds.

    Args:
        path: data.yaml, or a folder with it or with images and labels.
        split: which one to read, if the set has several.
        reading: how.

    Raises:
        DataError: if the set has no images or no labels, or if strict and a record is broken.
        UsageError: if PyYAML is required and not installed.
    """
    found = _open(path, reading.images)
    labels = _labels(found, reading.images)

    def read(images: Sequence[Path], name: str) -> LabelledSet:
        return _read(path, found, labels, images, name, reading.strict)

    return read_parts(path, found.parts, split, read, shares_classes=found.names is None)


def _labels(found: _YoloSet, images: Path | None) -> LabelFiles:
    """The files of labels of all images: beside them or in 'labels'; below the set's folder if they lie elsewhere."""
    listed = [image for part in found.parts.values() for image in part]
    if images is not None:
        texts = {text: key_of(text, found.folder) for text in texts_below(found.folder)}
        return match_labels({image: key_of(image, images) for image in listed}, texts, {}, _is_label)
    known = {image: text for image in listed if (text := label_file(image)) is not None}
    places = [found.folder]
    if found.lists_images:
        places = folders_of(known.values(), ("labels",))
        # Images that no split has are no reason to call their labels superfluous.
        listed += [image for folder in folders_of(listed, IMAGE_FOLDERS) for image in images_below(folder)]
    keys = {text: key_of(text) for place in places for text in texts_below(place)}
    return match_labels({image: key_of(image) for image in listed}, keys, known, _is_label, pairs=False)


def _is_label(words: Sequence[str], least: int = 5) -> bool:
    """Whether the words of a line are a class number and a box, `least` numbers or more."""
    try:
        return len(numbers(words)) >= least and words[0].isdecimal()
    except DataError:
        return False


def _read(
    path: Path, found: _YoloSet, labels: LabelFiles, images: Sequence[Path], name: str, strict: bool
) -> LabelledSet:
    builder = SetBuilder(name, list(found.names or ()), grows=found.names is None)
    labels.report(builder, images, path)
    without, example = 0, None
    for image in images:
        if image in labels.unclear:
            continue
        text = labels.of_image.get(image)
        without += text is None
        objects = builder.open(image, image)
        if objects is None:
            continue
        if text is None:
            example = example or image
        elif not _add_lines(builder, objects, text, found):
            continue
        builder.add(image, objects)
    if builder.saved[_SCORED] and (other := next((one for one in builder.problems if _NO_SCORE in one.what), None)):
        raise DataError(
            f"'{name}' has boxes with a fifth value, which is a score from 0 to 1 in some and not in others "
            f"({other.path}, {other.where}): remove it if it numbers tracks, or give turned boxes by their four "
            "corners (YOLO OBB)"
        )
    if without and without == len(images):
        raise DataError(
            f"none of the {without:,} images of '{name}' has a file of labels, such as '{_expected(images[0])}'"
        )
    if without:
        what = (
            f"images without a file of labels: {without:,} of {len(images):,}, such as '{example}'; taken as background"
        )
        builder.problem(ProblemKind.NO_RECORD, path, "", what)
    if found.names is None:
        what = "the set names no classes (classes.txt, or names in data.yaml), which are called by their numbers"
        builder.problem(ProblemKind.SAVED, path, "", what)
    return builder.built(path, strict)


def _add_lines(builder: SetBuilder, objects: ObjectList, text: Path, found: _YoloSet) -> bool:
    """Adds the objects of one file; False, and a problem, if it cannot be read at all."""
    try:
        lines = read_lines(text)
    except DataError as error:
        builder.problem(ProblemKind.BROKEN_RECORD, text, "", f"{error}; image skipped")
        return False
    for line in lines:
        where = f"line {line.number}"
        try:
            number, (x1, y1, x2, y2), repair = _parsed(line, found.has_keypoints)
        except DataError as error:
            builder.unread(objects, ProblemKind.BROKEN_RECORD, text, where, str(error))
            continue
        if found.names is not None and not number < len(found.names):
            what = f"class {number} is not one of the {len(found.names)} that the set names"
            builder.unread(objects, ProblemKind.UNKNOWN_CLASS, text, where, what)
            continue
        if repair:
            builder.saved[repair] += 1
        label = str(number) if found.names is None else found.names[number]
        x1, x2 = (round(x * objects.width, DIGITS) for x in (x1, x2))
        y1, y2 = (round(y * objects.height, DIGITS) for y in (y1, y2))
        builder.add_object(objects, label, (x1, y1, x2, y2), text, where)
    return True


def _parsed(line: Line, has_keypoints: bool) -> tuple[int, Box, str]:
    """Class number, box in shares of the image, and how the line was read otherwise than as a box."""
    first, *rest = numbers(line.words)
    if first != int(first) or first < 0:
        raise DataError(f"class {line.words[0]!r} is not a whole number")
    count, repair = len(rest), ""
    if has_keypoints and count > 4:
        rest = rest[:4]
    elif count == 5:
        if not 0 <= rest[4] <= 1:
            what = f"{_NO_SCORE}: remove it if it numbers a track, or give a turned box by its four corners"
            raise DataError(f"the fifth value of the box, {rest[4]:g}, {what} (YOLO OBB)")
        rest, repair = rest[:4], _SCORED
    if max(map(abs, rest), default=0) > FARTHEST:
        raise DataError(f"{max(rest, key=abs):g} is no share of the image, from 0 to 1; YOLO's coordinates are shares")
    if len(rest) == 4:
        x, y, width, height = rest
        return int(first), (x - width / 2, y - height / 2, x + width / 2, y + height / 2), repair
    if count >= 6 and count % 2 == 0:
        xs, ys = rest[::2], rest[1::2]
        return int(first), (min(xs), min(ys), max(xs), max(ys)), "boxes from the bounds of polygons or oriented boxes"
    raise DataError(f"has {count + 1} values, not a class and a box (4 values) or a polygon (pairs, 3 or more)")


def _open(path: Path, images: Path | None) -> _YoloSet:
    """What a set consists of."""
    file = _yaml_in(path) if path.is_dir() else path
    content = {} if file is None else read_yaml(file)
    folder = path if path.is_dir() else path.parent
    names = named_classes(content, file) if file is not None else listed_classes(folder)
    has_keypoints = "kpt_shape" in content
    if images is None and names_images(content):
        assert file is not None, "content comes from a file"
        parts = with_images(images_of_yaml(content, file), path)
        return _YoloSet(parts, names, folder, lists_images=True, has_keypoints=has_keypoints)
    place = images or folder
    parts = with_images(by_split(images_below(place), place), place)
    return _YoloSet(parts, names, folder, has_keypoints=has_keypoints)


def _yaml_in(folder: Path) -> Path | None:
    known = next((folder / name for name in YAML_NAMES if is_file(folder / name)), None)
    others = sorted(path for path in folder.glob("*.y*ml") if path.suffix.lower() in (".yaml", ".yml"))
    return known or (others[0] if len(others) == 1 and (folder / "images").is_dir() else None)


def _expected(image: Path) -> Path:
    return (image.parent.parent / "labels" / image.name if image.parent.name == "images" else image).with_suffix(".txt")
