"""DOTA: a text file per image, with four corners, a class name and a mark of difficulty per line.

Source:
    Xia et al.: DOTA: a large-scale dataset for object detection in aerial images, CVPR 2018, and the set's own page:
    `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` after a head of `imagesource:` and `gsd:`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lcageo.data.annotations import LabelledSet, ObjectList, ProblemKind, SplitName
from lcageo.data.formats.image_files import images_below
from lcageo.data.formats.label_files import LabelFiles, first_words, is_head, label_file, match_labels, texts_below
from lcageo.data.formats.label_text import numbers, read_lines
from lcageo.data.formats.layout import Parts, Reading, SetBuilder, by_split, read_parts, splits_of, with_images
from lcageo.data.formats.pairing import LABEL_FOLDERS, key_of
from lcageo.errors import DataError


def is_dota(path: Path) -> bool:
    """Whether a folder has labels as DOTA has them."""
    return path.is_dir() and _is_label(first_words(path))


def _is_label(line: Sequence[str]) -> bool:
    """Whether the words of a line are four corners and a class name."""
    words = _words(line)
    return len(words) >= 9 and all(map(_is_number, words[:8])) and not _is_number(words[8])


def dota_splits(path: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits that a folder has folders for; empty if it has none. `images` is as in Reading."""
    return splits_of(_parts(path, images))


def read_dota(path: Path, split: SplitName, reading: Reading) -> LabelledSet:
    """One split of a DOTA folder, with the classes in alphabetical order; boxes are the bounds of the corners.

    Images without a file of labels are left out: DOTA has one for empty images, too.

    Args:
        path: the folder, with images/ and labelTxt/ in it or in a folder for each split.
        split: which one to read, if there are several.
        reading: how.

    Raises:
        DataError: if there are no images, or if strict and a record is broken.
    """
    parts = _parts(path, reading.images)
    labels = _labels(path, [image for part in parts.values() for image in part], reading.images or path)

    def read(images: Sequence[Path], name: str) -> LabelledSet:
        return _read(path, labels, images, name, reading.strict)

    return read_parts(path, parts, split, read, shares_classes=True)


def _parts(path: Path, images: Path | None) -> Parts:
    place = path if images is None else images
    return with_images(by_split(images_below(place), place), place)


def _labels(path: Path, images: Sequence[Path], root: Path) -> LabelFiles:
    """The files of labels of all images: beside them, in the folder beside 'images', or elsewhere in the set."""
    known = {image: text for image in images if (text := label_file(image, LABEL_FOLDERS)) is not None}
    texts = {text: key_of(text, path) for text in texts_below(path)}
    return match_labels({image: key_of(image, root) for image in images}, texts, known, _is_label)


def _read(path: Path, labels: LabelFiles, images: Sequence[Path], name: str, strict: bool) -> LabelledSet:
    builder = SetBuilder(name)
    labels.report(builder, images, path)
    without = []
    for image in images:
        if image in labels.unclear:
            continue
        text = labels.of_image.get(image)
        if text is None:
            without.append(image)
        elif (objects := builder.open(image, image)) is not None and _add_lines(builder, objects, text):
            builder.add(image, objects)
    if without:
        what = f"images without a file of labels: {len(without):,} of {len(images):,}, such as '{without[0]}'; left out"
        builder.problem(ProblemKind.NO_RECORD, path, "", what)
    return builder.built(path, strict)


def _add_lines(builder: SetBuilder, objects: ObjectList, text: Path) -> bool:
    """Adds the objects of one file; False, and a problem, if it cannot be read at all."""
    try:
        lines = read_lines(text)
    except DataError as error:
        builder.problem(ProblemKind.BROKEN_RECORD, text, "", f"{error}; image skipped")
        return False
    for line in lines:
        if is_head(line.words):
            key, _, value = " ".join(line.words).partition(":")
            objects.gsd_m = _gsd_m(value) if key.lower() == "gsd" else objects.gsd_m
            continue
        words = _words(line.words)
        try:
            if len(words) < 9:
                raise DataError(f"has {len(words)} values, not four corners, a class name and a mark of difficulty")
            values = numbers(words[:8])
            has_mark = len(words) > 9 and _is_number(words[-1])
            name = " ".join(words[8:-1] if has_mark else words[8:])  # some tools write names with spaces
            difficult = has_mark and float(words[-1]) != 0
        except DataError as error:
            builder.unread(objects, ProblemKind.BROKEN_RECORD, text, f"line {line.number}", str(error))
            continue
        xs, ys = values[::2], values[1::2]
        box = min(xs), min(ys), max(xs), max(ys)
        builder.add_object(objects, name, box, text, f"line {line.number}", difficult)
    return True


def _words(words: Sequence[str]) -> list[str]:
    """The words of a line, which some tools separate by commas."""
    return [word for part in words for word in part.split(",") if word]


def _is_number(word: str) -> bool:
    try:
        numbers([word])
    except DataError:
        return False
    return True


def _gsd_m(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # DOTA writes 'null' or 'None' where it is not known
        return None
    return value if 0 < value < 1000 else None
