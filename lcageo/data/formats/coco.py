"""COCO JSON: images, categories and boxes (x, y, width, height); with `labelled_categories` for partial labels."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcageo.data.annotations import (
    REMARKS,
    Box,
    LabelledSet,
    ObjectList,
    Problem,
    ProblemKind,
    refuse,
    turned_bounds,
)
from lcageo.data.formats.coco_fields import (
    Id,
    Record,
    are_masks_of_objects,
    box_of,
    gsd_m_of,
    is_ignored,
    is_mask_of_cvat,
    known_id,
    members,
    plain_id,
    record_id,
    rotation_of,
    short,
    side_of,
    text_of,
    valid_box,
)
from lcageo.data.formats.coco_shapes import box_of_shape
from lcageo.data.formats.image_files import ImageFinder
from lcageo.data.formats.json_lines import record_lines
from lcageo.data.formats.unread import way_out
from lcageo.data.images import image_size
from lcageo.errors import DataError


def read_coco(path: Path, images: Path | None = None, strict: bool = False) -> LabelledSet:
    """All images of a COCO file, with the classes in the order of their ids.

    What tools write differently is read all the same, and counted: ids like 1.0, boxes that only a polygon or an RLE
    has, sizes that only the image has, paths of other machines, categories of one name, objects that are all marked as
    crowds. Other broken records are skipped and become problems that name line, position in the list, and id. An image
    with `labelled_categories` (a list of names) is annotated for these only, any other for all of the file's
    categories.

    Args:
        path: the JSON file.
        images: folder of the images; None: those near the file that tools use.
        strict: whether broken records are an error instead.

    Raises:
        DataError: if the file is not COCO JSON, or if strict and any record is broken.
    """
    text, content = _load(path)
    reader = _Reader(path, image_folders(path) if images is None else (images,))
    reader.take_categories(content["categories"], content["annotations"])
    reader.take_images(content["images"])
    reader.take_annotations(content["annotations"])
    problems = reader.problems(text)
    problems += [
        Problem(ProblemKind.OBJECTS_LOST, entry.image, "", why)
        for entry in reader.entries.values()
        if (why := entry.objects.unusable) is not None
    ]
    if strict:
        refuse([one for one in problems if one.kind not in REMARKS])
    usable = [entry for entry in reader.entries.values() if entry.objects.unusable is None]
    annotations = [entry.objects.annotation(entry.image, entry.labelled) for entry in usable for _ in range(entry.uses)]
    return LabelledSet(str(path), reader.classes, tuple(annotations), tuple(problems))


def image_folders(path: Path) -> tuple[Path, ...]:
    """Where the images of a COCO file may lie: `images` next to it, its own folder, and beside its `annotations`."""
    folder = path.parent
    if folder.name.lower() not in ("annotations", "labels"):
        return folder / "images", folder
    # As COCO has them (annotations/instances_train2017.json, train2017/) and CVAT (images/, images/train/).
    part = path.stem.partition("_")[2] or path.stem
    root = folder.parent
    places = (root / "images" / part, root / part, root / "images", folder / "images", root, folder)
    return tuple(place for place in places if place.is_dir())


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
        what = (
            f"; {out}" if (out := way_out(path)) else ", which is an object with lists images, categories, annotations"
        )
        raise DataError(f"'{path}' is not a COCO file{what}")
    return text, content


@dataclass(slots=True)
class _ImageEntry:
    image: Path
    labelled: tuple[int, ...]
    objects: ObjectList
    records: int = 1

    @property
    def uses(self) -> int:
        """How often the image counts: one without objects once for each record, as nothing is repeated but the image.

        `examples/lca_s/mine_labels.py` repeats those that a training is to draw more often.
        """
        return 1 if self.objects.boxes else self.records


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
        self.classes: tuple[str, ...] = ()
        """Class names, in the order of their ids."""
        self.images: dict[Id, _ImageEntry] = {}
        """By the ids of their records, of which an image may have several."""
        self.entries: dict[Path, _ImageEntry] = {}
        """By their files."""
        self._path = path
        self._faults: list[_Fault] = []
        self._saved: Counter[str] = Counter()
        self._finder = ImageFinder(folders)
        self._labels: dict[Id, int] = {}
        """Category id -> label; several ids of one name have one label."""
        self._left_out: set[Id] = set()
        """Ids of skipped images: their boxes are skipped without further messages."""
        self._crowds_are_objects = False

    def take_categories(self, records: Sequence[Any], annotations: Sequence[Any]) -> None:
        """Reads the classes, in the order of their ids; a group of classes that no box has is none itself."""
        found: dict[Id, str] = {}
        used = (record.get("category_id") for record in annotations if isinstance(record, dict))
        boxed = {plain_id(number) for number in used if isinstance(number, int | str | float)}
        for position, record in enumerate(records):
            try:
                number, name = self._id(record, "id"), text_of(record, "name")
                if found.get(number, name) != name:
                    raise DataError(f"id {short(number)} was used before")
                groups = members(name, records)
                if groups and number not in boxed:
                    what = f"{short(name)} has no box and is the group of {', '.join(groups)}; left out"
                    self._add_fault(ProblemKind.CLASS_LEFT_OUT, "categories", position, record, what)
                    continue
                self._saved["categories joined with another one of their name"] += name in found.values()
                found[number] = name
            except DataError as error:
                self._add_fault(ProblemKind.BROKEN_RECORD, "categories", position, record, f"{error}; category skipped")
        ordered = sorted(found, key=lambda number: (isinstance(number, str), number))
        self.classes = tuple(dict.fromkeys(found[number] for number in ordered))
        self._labels = {number: self.classes.index(found[number]) for number in ordered}

    def take_images(self, records: Sequence[Any]) -> None:
        """Reads the images; broken records become problems."""
        names = (record.get("file_name") for record in records if isinstance(record, dict))
        files = self._finder.find(name for name in names if isinstance(name, str))
        for position, record in enumerate(records):
            try:
                number = self._id(record, "id")
                if number in self.images or number in self._left_out:
                    raise DataError(f"id {short(number)} was used before")
                self._left_out.add(number)  # until its record turns out to be valid
                name = text_of(record, "file_name")
                labelled = self._labelled(position, record)
                if (image := files.get(name)) is None:
                    what = f"{self._finder.missing(name)}; image skipped"
                    self._add_fault(ProblemKind.MISSING_IMAGE, "images", position, record, what)
                    continue
                entry = self._entry(record, image, labelled)
            except DataError as error:
                self._add_fault(ProblemKind.BROKEN_RECORD, "images", position, record, f"{error}; image skipped")
                continue
            self.images[number] = entry
            self._left_out.remove(number)
        self._saved["images found by a part of their path"] += self._finder.renamed

    def _entry(self, record: Record, image: Path, labelled: tuple[int, ...]) -> _ImageEntry:
        """What an image's objects are collected in, which all records of its file share."""
        size = self._size(record, image)
        if (entry := self.entries.get(image)) is None:
            entry = self.entries[image] = _ImageEntry(image, labelled, ObjectList(*size, gsd_m_of(record)))
            return entry
        objects = entry.objects
        if size != (objects.width, objects.height):
            objects.skip_unread()  # the boxes of this record cannot be placed, and would be missing
            had = f"{objects.width} x {objects.height}"
            raise DataError(f"size is {size[0]} x {size[1]}, but {had} in another record of '{image}'")
        entry.labelled = tuple(sorted({*entry.labelled, *labelled}))
        entry.records += 1
        return entry

    def _size(self, record: Record, image: Path) -> tuple[int, int]:
        """Width and height by the record, else by the image."""
        try:
            return side_of(record, "width"), side_of(record, "height")
        except DataError:
            size = image_size(image)
            self._saved["sizes of images taken from their files"] += 1
            return size

    def _id(self, record: Any, key: str) -> Id:
        number = record_id(record, key)
        self._saved["ids written with a decimal point"] += isinstance(number, float)
        return plain_id(number)

    def _labelled(self, position: int, record: Record) -> tuple[int, ...]:
        wanted = record.get("labelled_categories")
        if wanted is None:
            return tuple(range(len(self.classes)))
        if not isinstance(wanted, list):
            raise DataError(f"labelled_categories is {short(wanted)}, not a list of names")
        label = {name: label for label, name in enumerate(self.classes)}
        known = {label[name] for name in wanted if isinstance(name, str) and name in label}
        for name in wanted:
            if not (isinstance(name, str) and name in label):
                what = f"labelled_categories has {short(name)}, which is not a category of this file"
                self._add_fault(ProblemKind.UNKNOWN_CLASS, "images", position, record, what)
        return tuple(sorted(known))

    def take_annotations(self, records: Sequence[Any]) -> None:
        """Reads the boxes; broken records become problems."""
        self._crowds_are_objects = are_masks_of_objects(records)
        for position, record in enumerate(records):
            try:
                found = self._add(record)
            except DataError as error:
                found = ProblemKind.BROKEN_RECORD, f"{error}; box skipped"
            if found is not None:
                self._add_fault(found[0], "annotations", position, record, found[1])

    def _add(self, record: Any) -> tuple[ProblemKind, str] | None:
        image = known_id(self._id(record, "image_id"), self.images.keys() | self._left_out)
        if image in self._left_out:
            return None
        entry = self.images.get(image)
        if entry is None:
            raise DataError(f"image_id {short(image)} is not an image of this file")
        try:
            category = known_id(self._id(record, "category_id"), self._labels)
            box = self._box(record)
            crowd_is_object = self._crowds_are_objects or is_mask_of_cvat(record)
            difficult = is_ignored(record, crowd_is_object)
        except DataError:
            entry.objects.skip_unread()
            raise
        label = self._labels.get(category)
        if label is None:
            entry.objects.skip_unread()
            what = f"category_id {short(category)} is not a category of this file; box skipped"
            return ProblemKind.UNKNOWN_CLASS, what
        if label not in entry.labelled:
            name = self.classes[label]
            return ProblemKind.UNLABELLED_CLASS, f"{name!r} is not in the labelled_categories of its image; box skipped"
        self._saved["masks that are marked as crowds, as CVAT marks all; read as objects"] += crowd_is_object
        return entry.objects.add(box, label, difficult)

    def _box(self, record: Record) -> Box:
        """The record's box, else the bounds of its shape."""
        if (box := valid_box(record)) is None:
            box = box_of_shape(record.get("segmentation"))
            if box is None:
                return box_of(record)  # raises, or is empty
            self._saved["boxes from the bounds of polygons or masks"] += 1
        elif (degrees := rotation_of(record)) and not record.get("segmentation"):  # else the box is that of the shape
            box = turned_bounds(box, math.radians(degrees))
            self._saved["boxes from the bounds of turned boxes"] += 1
        return box

    def _add_fault(self, kind: ProblemKind, table: str, position: int, record: Any, what: str) -> None:
        self._faults.append(_Fault(kind, table, position, record, what))

    def problems(self, text: str) -> list[Problem]:
        """The problems found so far, with their lines in the file's text."""
        lines = {table: record_lines(text, table) for table in {fault.table for fault in self._faults}}
        problems = []
        for fault in self._faults:
            number = fault.record.get("id") if isinstance(fault.record, dict) else None
            where = f"line {lines[fault.table][fault.position]}, {fault.table}[{fault.position}]"
            where += f" (id {short(number)})" if number is not None else ""
            problems.append(Problem(fault.kind, self._path, where, fault.what))
        joined = sum(entry.records - entry.uses for entry in self.entries.values())
        saved = self._saved + Counter({"records joined with another one of their image": joined})  # positive counts
        return problems + [Problem(ProblemKind.SAVED, self._path, "", f"{what}: {n:,}") for what, n in saved.items()]
