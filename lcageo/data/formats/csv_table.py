"""CSV tables with a box per row, as DeepForest, Keras RetinaNet, TensorFlow and Roboflow have them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import Box, LabelledSet, ObjectList, ProblemKind, SplitName
from lcageo.data.formats.image_files import ImageFinder, is_image
from lcageo.data.formats.label_text import numbers
from lcageo.data.formats.layout import Parts, Reading, SetBuilder, files_by_split, one_each, read_parts, splits_of
from lcageo.data.formats.unread import way_out
from lcageo.errors import DataError

_IMAGE = ("image_path", "image", "filename", "file_name", "file", "image_name", "img", "path", "image_id")
_LABEL = ("label", "class", "class_name", "category", "name", "label_name", "type")
_EDGES = (
    ("xmin", "x_min", "x1", "left"),
    ("ymin", "y_min", "y1", "top"),
    ("xmax", "x_max", "x2", "right"),
    ("ymax", "y_max", "y2", "bottom"),
)
_SIDES = (
    ("x", "left", *_EDGES[0]),
    ("y", "top", *_EDGES[1]),
    ("w", "width", "box_width"),
    ("h", "height", "box_height"),
)
_CLASSES_HINT = "image, x1, y1, x2, y2, label"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Positions of the columns."""

    image: int
    label: int
    box: tuple[int, int, int, int]
    has_sides: bool = False
    """Whether the last two are width and height, not edges."""


def is_csv(path: Path) -> bool:
    """Whether a path is a CSV file, or a folder with CSV files of boxes."""
    return bool(_files(path)) if path.is_dir() else path.suffix.lower() in (".csv", ".tsv")


def csv_splits(path: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits that a folder has tables for; empty for one table."""
    return splits_of(_parts(path))


def read_csv(path: Path, split: SplitName, reading: Reading) -> LabelledSet:
    """A CSV table of boxes, or a split of a folder of them, with the classes in alphabetical order.

    Columns are found by their names; without a head they are image, x1, y1, x2, y2 and label. A row with an image and
    nothing else, or with a box of four zeros, says that the image shows nothing.

    Args:
        path: the table, or the folder.
        split: which one to read, if there are several.
        reading: how.

    Raises:
        DataError: if there is no column of images, labels or boxes, or if strict and a row is broken.
    """
    parts = _parts(path)
    return read_parts(path, parts, split, lambda files, name: _read(files[0], name, reading), shares_classes=True)


def _parts(path: Path) -> Parts:
    """The table of each split; errors as in `one_each`."""
    return one_each(_files(path), path, "tables of boxes") if path.is_dir() else {None: [path]}


def _files(folder: Path) -> Parts:
    return files_by_split(folder, (), ".csv", _is_table)


def _is_table(file: Path) -> bool:
    try:
        return bool(_columns(file, _rows(file)[:1]))
    except DataError:
        return False


def _read(path: Path, title: str, reading: Reading) -> LabelledSet:
    rows = _rows(path)
    columns = _columns(path, rows)
    builder = SetBuilder(title)
    folder = path.parent
    finder = ImageFinder([folder, folder / "images"] if reading.images is None else [reading.images])
    first = 0 if is_image(rows[0][columns.image]) else 1  # without a head, the first row has an image, too
    named = [
        (number, row, row[columns.image].strip() if len(row) > columns.image else "")
        for number, row in enumerate(rows[first:], first + 1)
        if any(cell.strip() for cell in row)
    ]
    images = finder.find(name for _, _, name in named)
    missing: set[str] = set()
    opened: dict[Path, ObjectList | None] = {}
    for number, row, name in named:
        if (image := images.get(name)) is None:
            if name not in missing:
                missing.add(name)
                builder.problem(
                    ProblemKind.MISSING_IMAGE, path, f"line {number}", f"{finder.missing(name)}; image skipped"
                )
            continue
        if image not in opened:
            opened[image] = builder.open(image, path)
        if (objects := opened[image]) is not None:
            _add_row(builder, objects, row, columns, path, number)
    if finder.renamed:
        builder.saved["images found by a part of their path"] = finder.renamed
    for image, objects in opened.items():
        if objects is not None:
            builder.add(image, objects)
    return builder.built(path, reading.strict)


def _add_row(
    builder: SetBuilder, objects: ObjectList, row: Sequence[str], columns: _Columns, path: Path, number: int
) -> None:
    where = f"line {number}"
    cells = [row[place].strip() if place < len(row) else "" for place in columns.box]
    label = row[columns.label].strip() if columns.label < len(row) else ""
    try:
        if not any(cells) or (values := numbers(cells)) == [0.0] * 4:
            return  # the image shows nothing
        if not label:
            raise DataError("has a box without a label")
    except DataError as error:
        builder.unread(objects, ProblemKind.BROKEN_RECORD, path, where, str(error))
        return
    x1, y1, x2, y2 = values
    box: Box = (x1, y1, x1 + x2, y1 + y2) if columns.has_sides else (x1, y1, x2, y2)
    builder.add_object(objects, label, box, path, where)


def _rows(path: Path) -> list[list[str]]:
    """All rows of a table, whatever separates its columns; line numbers are those of rows without line breaks."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"'{path}' is not text in UTF-8: {error}; save it as CSV in UTF-8") from error
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"'{path}' is not a CSV table: {error}") from error
    if not rows or not rows[0]:
        raise DataError(f"'{path}' is empty; its first row should name columns such as {_CLASSES_HINT}")
    return rows


def _columns(path: Path, rows: Sequence[Sequence[str]]) -> _Columns:
    """Which columns hold what.

    Raises:
        DataError: naming those that were not found.
    """
    head = {cell.strip().lower(): place for place, cell in reversed(list(enumerate(rows[0])))}
    if len(rows[0]) == 6 and is_image(rows[0][0]):
        return _Columns(0, 5, (1, 2, 3, 4))
    image, label = _first(head, _IMAGE), _first(head, _LABEL)
    edges = [_first(head, names) for names in _EDGES]
    sides = [_first(head, names) for names in _SIDES]
    box = edges if None not in edges else sides
    if image is None or label is None or None in box:
        lacks = ["image"] * (image is None) + ["label"] * (label is None) + ["x1, y1, x2, y2"] * (None in box)
        instead = way_out(path) or f"name them {_CLASSES_HINT}"
        raise DataError(f"'{path}' has no column for {', '.join(lacks)} among {', '.join(rows[0])}; {instead}")
    x1, y1, x2, y2 = (place for place in box if place is not None)
    return _Columns(image, label, (x1, y1, x2, y2), has_sides=None in edges)


def _first(head: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((head[name] for name in names if name in head), None)
