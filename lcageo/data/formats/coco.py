"""COCO JSON: images, categories and boxes (x, y, width, height); with `labelled_categories` for partial labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcageo.data.annotations import (
    MAX_SIDE_PX,
    Box,
    LabelledSet,
    ObjectList,
    Problem,
    ProblemKind,
    refuse,
)
from lcageo.data.formats.json_lines import record_lines
from lcageo.data.images import is_file
from lcageo.errors import DataError

Record = dict[str, Any]
Id = int | str


def read_coco(path: Path, images: Path | None = None, strict: bool = False) -> LabelledSet:
    """All images of a COCO file, with the classes in the order of their ids.

    Broken records are skipped and become problems that name line, position in the list, and id. An image with
    `labelled_categories` (a list of names) is annotated for these only, any other for all of the file's categories.

    Args:
        path: the JSON file.
        images: folder of the images; None: `images` next to the file, then the file's own folder.
        strict: whether broken records are an error instead.

    Raises:
        DataError: if the file is not COCO JSON, or if strict and any record is broken.
    """
    text, content = _load(path)
    reader = _Reader(path, (images,) if images is not None else (path.parent / "images", path.parent))
    reader.take_categories(content["categories"], content["annotations"])
    reader.take_images(content["images"])
    reader.take_annotations(content["annotations"])
    problems = reader.problems(text)
    problems += [
        Problem(ProblemKind.NOTHING_LEFT, entry.image, "", why)
        for entry in reader.images.values()
        if (why := entry.objects.nothing_left) is not None
    ]
    if strict:
        refuse([problem for problem in problems if problem.kind is not ProblemKind.CLASS_LEFT_OUT])
    usable = [entry for entry in reader.images.values() if entry.objects.nothing_left is None]
    annotations = [entry.objects.annotation(entry.image, entry.labelled) for entry in usable]
    return LabelledSet(str(path), tuple(reader.names.values()), tuple(annotations), tuple(problems))


def _load(path: Path) -> tuple[str, dict[str, list[Any]]]:
    """The file's text and its parsed content."""
    try:
        written = path.read_bytes()
        text = written.decode(json.detect_encoding(written), "surrogatepass")  # as json itself does
        content = json.loads(text)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
    # json also raises ValueError for numbers with thousands of digits, and RecursionError for deep nesting.
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "categories", "annotations")
    ):
        raise DataError(f"'{path}' is not a COCO file, which is an object with lists images, categories, annotations")
    return text, content


@dataclass(slots=True)
class _ImageEntry:
    image: Path
    labelled: tuple[int, ...]
    objects: ObjectList


@dataclass(frozen=True, slots=True)
class _Fault:
    """A problem whose line has not been looked up yet."""

    kind: ProblemKind
    table: str
    position: int
    record: Any
    what: str


class _Reader:
    """Reads the lists of one file, and collects its classes, images and faults."""

    def __init__(self, path: Path, folders: Sequence[Path]) -> None:
        self.names: dict[Id, str] = {}
        """Category id -> class name, in the order of the ids, which is the order of the classes."""
        self.images: dict[Id, _ImageEntry] = {}
        self._path = path
        self._faults: list[_Fault] = []
        self._folders = folders
        self._labels: dict[Id, int] = {}
        self._left_out: set[Id] = set()
        """Ids of skipped images: their boxes are skipped without further messages."""

    def take_categories(self, records: Sequence[Any], annotations: Sequence[Any]) -> None:
        """Reads the classes, in the order of their ids; a group of classes that no box has is none itself."""
        found: dict[Id, str] = {}
        used = (record.get("category_id") for record in annotations if isinstance(record, dict))
        boxed = {number for number in used if isinstance(number, int | str)}
        for position, record in enumerate(records):
            try:
                number, name = _id(record, "id"), _text(record, "name")
                if number in found or name in found.values():
                    raise DataError(f"id {_short(number)} or name {_short(name)} was used before")
                groups = _members(name, records)
                if groups and number not in boxed:
                    what = f"{_short(name)} has no box and is the group of {', '.join(groups)}; left out"
                    self._add_fault(ProblemKind.CLASS_LEFT_OUT, "categories", position, record, what)
                    continue
                found[number] = name
            except DataError as error:
                self._add_fault(ProblemKind.BROKEN_RECORD, "categories", position, record, f"{error}; category skipped")
        ordered = sorted(found, key=lambda number: (isinstance(number, str), number))
        self.names = {number: found[number] for number in ordered}
        self._labels = {number: label for label, number in enumerate(ordered)}

    def take_images(self, records: Sequence[Any]) -> None:
        """Reads the images; broken records become problems."""
        for position, record in enumerate(records):
            try:
                number = _id(record, "id")
                if number in self.images or number in self._left_out:
                    raise DataError(f"id {_short(number)} was used before")
                self._left_out.add(number)  # until its record turns out to be valid
                name = _text(record, "file_name")
                objects = ObjectList(_side(record, "width"), _side(record, "height"), _gsd_m(record))
                labelled = self._labelled(position, record)
            except DataError as error:
                self._add_fault(ProblemKind.BROKEN_RECORD, "images", position, record, f"{error}; image skipped")
                continue
            image = next((folder / name for folder in self._folders if is_file(folder / name)), None)
            if image is None:
                what = f"no file {name!r} in {' or '.join(map(str, self._folders))}; image skipped"
                self._add_fault(ProblemKind.MISSING_IMAGE, "images", position, record, what)
            else:
                self.images[number] = _ImageEntry(image, labelled, objects)
                self._left_out.remove(number)

    def _labelled(self, position: int, record: Record) -> tuple[int, ...]:
        wanted = record.get("labelled_categories")
        if wanted is None:
            return tuple(range(len(self.names)))
        if not isinstance(wanted, list):
            raise DataError(f"labelled_categories is {_short(wanted)}, not a list of names")
        label = {name: label for label, name in enumerate(self.names.values())}
        known = {label[name] for name in wanted if isinstance(name, str) and name in label}
        for name in wanted:
            if not (isinstance(name, str) and name in label):
                what = f"labelled_categories has {_short(name)}, which is not a category of this file"
                self._add_fault(ProblemKind.UNKNOWN_CLASS, "images", position, record, what)
        return tuple(sorted(known))

    def take_annotations(self, records: Sequence[Any]) -> None:
        """Reads the boxes; broken records become problems."""
        for position, record in enumerate(records):
            try:
                found = self._add(record)
            except DataError as error:
                found = ProblemKind.BROKEN_RECORD, f"{error}; box skipped"
            if found is not None:
                self._add_fault(found[0], "annotations", position, record, found[1])

    def _add(self, record: Any) -> tuple[ProblemKind, str] | None:
        image = _id(record, "image_id")
        if image in self._left_out:
            return None
        entry = self.images.get(image)
        if entry is None:
            raise DataError(f"image_id {_short(image)} is not an image of this file")
        try:
            category, box = _id(record, "category_id"), _box(record)
        except DataError:
            entry.objects.skipped += 1
            raise
        label = self._labels.get(category)
        if label is None:
            entry.objects.skipped += 1
            what = f"category_id {_short(category)} is not a category of this file; box skipped"
            return ProblemKind.UNKNOWN_CLASS, what
        if label not in entry.labelled:
            name = self.names[category]
            return ProblemKind.UNLABELLED_CLASS, f"{name!r} is not in the labelled_categories of its image; box skipped"
        return entry.objects.add(box, label, difficult=record.get("iscrowd") in (1, True))

    def _add_fault(self, kind: ProblemKind, table: str, position: int, record: Any, what: str) -> None:
        self._faults.append(_Fault(kind, table, position, record, what))

    def problems(self, text: str) -> list[Problem]:
        """The problems found so far, with their lines in the file's text."""
        lines = {table: record_lines(text, table) for table in {fault.table for fault in self._faults}}
        problems = []
        for fault in self._faults:
            number = fault.record.get("id") if isinstance(fault.record, dict) else None
            where = f"line {lines[fault.table][fault.position]}, {fault.table}[{fault.position}]"
            where += f" (id {_short(number)})" if number is not None else ""
            problems.append(Problem(fault.kind, self._path, where, fault.what))
        return problems


def _members(name: str, categories: Sequence[Any]) -> list[str]:
    """Other categories that name this one as their supercategory, as Roboflow writes them."""
    others = (one for one in categories if isinstance(one, dict) and one.get("name") != name)
    return [_short(one.get("name")) for one in others if one.get("supercategory") == name]


def _field(record: Any, key: str) -> Any:
    if not isinstance(record, dict):
        raise DataError(f"the record is {_short(record)}, not an object")
    if key not in record:
        raise DataError(f"{key} is missing")
    return record[key]


def _id(record: Any, key: str) -> Id:
    value = _field(record, key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DataError(f"{key} is {_short(value)}, not a whole number or text")
    return value


def _gsd_m(record: Record) -> float | None:
    """Metres per pixel, as `lcageo chips` writes them; other sets may use the name for something else."""
    value = record.get("gsd_m")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < float("inf") else None


def _text(record: Any, key: str) -> str:
    value = _field(record, key)
    # JSON can encode lone surrogates, which no file name or terminal accepts.
    if not isinstance(value, str) or not value or value.encode(errors="ignore").decode() != value:
        raise DataError(f"{key} is {_short(value)}, not a non-empty text")
    return value


def _side(record: Any, key: str) -> int:
    value = _field(record, key)
    if not _is_number(value) or not 1 <= value <= MAX_SIDE_PX or value != int(value):
        raise DataError(f"{key} is {_short(value)}, not a positive whole number of pixels")
    return int(value)


def _box(record: Any) -> Box:
    value = _field(record, "bbox")
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        raise DataError(f"bbox is {_short(value)}, not four numbers x, y, width, height")
    x, y, width, height = map(float, value)
    return x, y, x + width, y + height


def _is_number(value: Any) -> bool:
    # The comparison also rejects NaN, infinity, and integers that no float can hold.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_SIDE_PX


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
