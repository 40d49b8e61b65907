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
from lcageo.errors import DataError

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs")
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
    return read_parts(
        path, _parts(path), split, lambda files, name: _read(path, files, name, reading), shares_classes=True
    )


def _read(path: Path, files: Sequence[Path], name: str, reading: Reading) -> LabelledSet:
    builder = SetBuilder(name)
    finder = ImageFinder(_image_folders(path) if reading.images is None else [reading.images])
    roots: dict[Path, Node] = {}
    for file in files:
        try:
            roots[file] = read_voc(file)
        except DataError as error:
            builder.problem(ProblemKind.BROKEN_RECORD, file, "", f"{error}; image skipped")
    objects = {file: _objects(root) for file, root in roots.items()}
    shift = _first_pixel(one for found in objects.values() for one in found.values())
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
            _add(builder, file, root, image, objects[file], shift)
    if shift:
        builder.saved["records that count pixels from 0, not from 1 as VOC does"] = len(roots)
    unlabelled = [one for one in finder.all() if one not in named] if reading.images is None else []
    if unlabelled and len(_parts(path)) == 1:
        what = f"images without a record that can be read: {len(unlabelled):,}, such as '{unlabelled[0]}'; left out"
        builder.problem(ProblemKind.NO_RECORD, path, "", what)
    return builder.built(path, reading.strict)


def _add(
    builder: SetBuilder,
    file: Path,
    root: Node,
    image: Path,
    found: Mapping[int, VocObject | DataError],
    shift: float,
) -> None:
    """Adds the image of one record; `found` holds its objects, or why they cannot be read, by their position."""
    size = None
    try:
        size = voc_size(root)
    except DataError:
        builder.saved["sizes of images taken from their files"] += 1
    objects = builder.open(image, file, size)
    if objects is None:
        return
    nodes = [node for node in root.children if node.tag == "object"]
    for number, one in found.items():
        where = f"line {nodes[number].line}, object {number + 1}"
        if isinstance(one, DataError):
            builder.unread(objects, ProblemKind.BROKEN_RECORD, file, where, str(one))
            continue
        if one.shape:
            builder.saved["boxes from the bounds of polygons or turned boxes"] += 1
        builder.add_object(objects, one.name, _shifted(one, shift), file, where, one.difficult)
    builder.add(image, objects)


def _objects(root: Node) -> dict[int, VocObject | DataError]:
    found: dict[int, VocObject | DataError] = {}
    for number, node in enumerate(node for node in root.children if node.tag == "object"):
        try:
            found[number] = voc_object(node)
        except DataError as error:
            found[number] = error
    return found


def _first_pixel(objects: Iterable[VocObject | DataError]) -> float:
    """How far boxes have to be shifted: by a pixel if one begins at 0, which a count from 1 does not have."""
    starts = (min(one.box[:2]) for one in objects if isinstance(one, VocObject) and not one.shape)
    return 1.0 if any(-1.0 <= start < -0.5 for start in starts) else 0.0


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
        stems = dict.fromkeys(line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip())
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
