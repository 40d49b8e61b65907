"""Folders of VOC XML files, as labelImg, CVAT, Roboflow and Pascal VOC itself lay them out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lcageo.data.annotations import Box, LabelledSet, ProblemKind, SplitName
from lcageo.data.formats.image_files import ImageFinder
from lcageo.data.formats.layout import Reading, SetBuilder, by_split, read_parts, splits_of
from lcageo.data.formats.voc import Node, VocObject, read_voc, voc_object, voc_size
from lcageo.data.images import is_file
from lcageo.errors import DataError

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs")
_LISTED = re.compile(r"(.+?)(?:\s+-?[01])?")
"""A line of a list: the image's name, which may have spaces, and in lists of one class whether it occurs."""
_SNIFFED = 50
"""Number of XML files that are looked into to recognise the format."""


def is_voc(path: Path) -> bool:
    """Whether a folder has VOC records."""
    return path.is_dir() and any(_is_record(file) for file, _ in zip(_records(path), range(_SNIFFED), strict=False))


def voc_splits(path: Path, images: Path | None = None) -> tuple[SplitName, ...]:
    """The splits that a folder has lists of (ImageSets/Main) or folders for; empty if it has none of either."""
    return splits_of(_parts(path))


def read_voc_folder(path: Path, split: SplitName, reading: Reading) -> LabelledSet:
    """One split of a folder of VOC records, with the classes in alphabetical order.

    Images without a record are left out: nobody has said what they show.

    Args:
        path: the folder, with XML files anywhere in it.
        split: which one to read, if there are several.
        reading: how.

    Raises:
        DataError: if strict and a record is broken.
        UsageError: if defusedxml is not installed.
    """
    parts = _parts(path)
    records = {file: _record(file) for files in parts.values() for file in files}
    # One answer for all splits: a split without an object at the border cannot tell.
    shift = _first_pixel(root for root in records.values() if isinstance(root, Node))

    def read(files: Sequence[Path], name: str) -> LabelledSet:
        return _read(path, {file: records[file] for file in files}, name, reading, shift)

    return read_parts(path, parts, split, read, shares_classes=True)


def _record(file: Path) -> Node | DataError:
    """The record in a file, or why it cannot be read."""
    try:
        return read_voc(file)
    except DataError as error:
        return error


def _read(
    path: Path, records: Mapping[Path, Node | DataError], name: str, reading: Reading, shift: float
) -> LabelledSet:
    builder = SetBuilder(name)
    finder = ImageFinder(_image_folders(path) if reading.images is None else [reading.images])
    roots: dict[Path, Node] = {}
    without = []
    for file, record in records.items():
        if isinstance(record, Node):
            roots[file] = record
        elif not is_file(file) and (image := finder.of_stem(file.stem, ())) is not None:
            without.append(image)  # some tools write no record for an image without objects
        else:
            builder.problem(ProblemKind.BROKEN_RECORD, file, "", f"{record}; image skipped")
    named = set()
    for file, root in roots.items():
        image = _image(file, root, finder)
        if image is None:
            what = f"no image '{file.stem}' in {' or '.join(map(str, finder.folders))}; image skipped"
            builder.problem(ProblemKind.MISSING_IMAGE, file, "", what)
        elif image in named:
            builder.problem(ProblemKind.DUPLICATE_IMAGE, file, "", f"'{image}' has another record; this one skipped")
        else:
            named.add(image)
            _add(builder, file, root, image, shift)
    if shift:
        builder.saved["records that count pixels from 0, not from 1 as VOC does"] = len(roots)
    if reading.images is None and len(_parts(path)) == 1:
        without = [one for one in finder.all() if one not in named]
    if without:
        what = f"images without a record that can be read: {len(without):,}, such as '{without[0]}'; left out"
        builder.problem(ProblemKind.NO_RECORD, path, "", what)
    return builder.built(path, reading.strict)


def _add(builder: SetBuilder, file: Path, root: Node, image: Path, shift: float) -> None:
    """Adds the image of one record."""
    size = None
    try:
        size = voc_size(root)
    except DataError:
        builder.saved["sizes of images taken from their files"] += 1
    objects = builder.open(image, file, size)
    if objects is None:
        return
    for number, node in enumerate(_object_nodes(root), 1):
        where = f"line {node.line}, object {number}"
        try:
            one = voc_object(node)
        except DataError as error:
            builder.unread(objects, ProblemKind.BROKEN_RECORD, file, where, str(error))
            continue
        if one.shape:
            builder.saved["boxes from the bounds of polygons or turned boxes"] += 1
        builder.add_object(objects, one.name, _shifted(one, shift), file, where, one.difficult)
    builder.add(image, objects)


def _object_nodes(root: Node) -> list[Node]:
    """The objects, without those that LabelMe keeps as deleted."""
    nodes = [node for node in root.children if node.tag == "object"]
    return [
        node for node in nodes if not any(one.tag == "deleted" and node.text("deleted") == "1" for one in node.children)
    ]


def _first_pixel(roots: Iterable[Node]) -> float:
    """How far boxes have to be shifted: by a pixel if one begins at 0, which a count from 1 does not have."""
    for node in (node for root in roots for node in _object_nodes(root)):
        try:
            one = voc_object(node)
        except DataError:
            continue  # reported where its image is added
        if not one.shape and -1.0 <= min(one.box[:2]) < -0.5:
            return 1.0
    return 0.0


def _shifted(one: VocObject, shift: float) -> Box:
    if one.shape:
        return one.box
    return one.box[0] + shift, one.box[1] + shift, one.box[2], one.box[3]


def _image(file: Path, root: Node, finder: ImageFinder) -> Path | None:
    """The image of a record: beside it or under its own stem, else the one that it names."""
    places = [Path(*(name if part == "Annotations" else part for part in file.parent.parts)) for name in _IMAGE_FOLDERS]
    found = finder.of_stem(file.stem, (file.parent, *places))
    if found is None:
        names = [root.text(tag) for tag in ("filename", "path") if any(child.tag == tag for child in root.children)]
        found = next((image for name in names if name and (image := finder.find(name)) is not None), None)
    return found


def _image_folders(path: Path) -> list[Path]:
    known = [path / name for name in _IMAGE_FOLDERS if (path / name).is_dir()]
    return known or [path]


def _parts(path: Path) -> dict[SplitName | None, list[Path]]:
    """The records of each split: by lists of names in ImageSets/Main, else by folders."""
    files = sorted(_records(path))
    lists = {split: path / "ImageSets" / "Main" / f"{split}.txt" for split in SplitName}
    existing = {split: file for split, file in lists.items() if file.is_file()}
    if existing.keys() >= {SplitName.TRAIN, SplitName.VAL}:
        existing.pop(SplitName.TRAINVAL, None)
    if not existing:
        return by_split(files, path)
    by_stem = {file.stem: file for file in files}
    parts: dict[SplitName | None, list[Path]] = {}
    for split, file in existing.items():
        lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
        stems = dict.fromkeys(_LISTED.fullmatch(line)[1] for line in lines)  # type: ignore[index]  # matches any line
        parts[split] = [by_stem.get(Path(stem).name, path / "Annotations" / f"{stem}.xml") for stem in stems]
    return parts


def _records(path: Path) -> Iterable[Path]:
    for place, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if name.lower().endswith(".xml"))


def _is_record(file: Path) -> bool:
    """Whether an XML file has VOC's root element, judged by its first bytes."""
    try:
        with file.open("rb") as opened:
            return re.search(rb"<annotation[\s>]", opened.read(4096)) is not None
    except OSError:
        return False
