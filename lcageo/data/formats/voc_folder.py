"""Folders of VOC XML files, as labelImg, CVAT, Roboflow, FAIR1M and Pascal VOC itself lay them out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import Box, LabelledSet, ProblemKind, SplitName, turned_bounds
from lcageo.data.formats.image_files import ImageFinder, is_image
from lcageo.data.formats.layout import Parts, Reading, SetBuilder, by_split, named_split, read_parts, splits_of
from lcageo.data.formats.pairing import key_of, paired
from lcageo.data.formats.voc import Node, VocObject, read_voc, voc_object, voc_size
from lcageo.data.images import is_file
from lcageo.data.walking import files_below
from lcageo.errors import DataError

_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs")
_LISTED = re.compile(r"(.+?)(?:\s+-?[01])?")
"""A line of a list: the image's name, which may have spaces, and in lists of one class whether it occurs."""
_SNIFFED = 50
"""Number of XML files that are looked into to recognise the format."""


@dataclass(frozen=True, slots=True)
class _VocSet:
    """What a folder of records holds."""

    path: Path
    parts: Parts
    """Records of each split."""
    records: Mapping[Path, Node | DataError]
    """What is in the records of the splits, or why they cannot be read."""
    finder: ImageFinder
    images: Mapping[Path, Path]
    """The image of each record that has one; of several records of an image the first is the rightful one."""
    shift: float
    """By how much boxes are shifted, one answer for all splits: one without an object at the border cannot tell."""
    lists_images: bool
    """Whether all images of the folder should have a record of the set."""


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
    found = _open(path, reading.images)

    def read(files: Sequence[Path], name: str) -> LabelledSet:
        return _read(found, {file: found.records[file] for file in files}, name, reading.strict)

    return read_parts(path, found.parts, split, read, shares_classes=True)


def _open(path: Path, images: Path | None) -> _VocSet:
    """What a set consists of."""
    parts = _parts(path)
    read = [files for split, files in parts.items() if split is not None] or list(parts.values())
    records = {file: _record(file) for files in read for file in files}
    finder = ImageFinder(_image_folders(path) if images is None else [images])
    every = [file for files in parts.values() for file in files]
    shift = _first_pixel(root for root in records.values() if isinstance(root, Node))
    lists_images = images is None and len(parts) == 1
    return _VocSet(path, parts, records, finder, _images(path, every, records, finder), shift, lists_images)


def _record(file: Path) -> Node | DataError:
    """The record in a file, or why it cannot be read."""
    try:
        return read_voc(file)
    except DataError as error:
        return error


def _read(found: _VocSet, records: Mapping[Path, Node | DataError], name: str, strict: bool) -> LabelledSet:
    builder = SetBuilder(name)
    owners = {image: file for file, image in reversed(list(found.images.items()))}
    without, used, whole = [], set(), 0
    for file, record in records.items():
        image = found.images.get(file)
        if isinstance(record, DataError):
            if image is not None and not is_file(file):
                without.append(image)  # some tools write no record for an image without objects
            else:
                builder.problem(ProblemKind.BROKEN_RECORD, file, "", f"{record}; image skipped")
            continue
        whole += 1
        if image is None:
            builder.problem(ProblemKind.MISSING_IMAGE, file, "", f"{_missing(file, record, found)}; image skipped")
        elif owners[image] != file:
            builder.problem(ProblemKind.DUPLICATE_IMAGE, file, "", f"'{image}' has another record; this one skipped")
        else:
            used.add(image)
            _add(builder, file, record, image, found.shift)
    if found.shift:
        builder.saved["records that count pixels from 0, not from 1 as VOC does"] = whole
    if found.lists_images:
        without = [one for one in found.finder.all() if one not in used]
    if without:
        what = f"images without a record that can be read: {len(without):,}, such as '{without[0]}'; left out"
        builder.problem(ProblemKind.NO_RECORD, found.path, "", what)
    return builder.built(found.path, strict)


def _missing(file: Path, record: Node, found: _VocSet) -> str:
    """Why a record has no image."""
    refused = [name for name in _names(record) if name in found.finder.refused]
    if refused:
        return found.finder.missing(refused[0])
    return f"no image '{file.stem}' in {' or '.join(map(str, found.finder.folders))}"


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
        if one.shape or one.turn:
            builder.saved["boxes from the bounds of polygons or turned boxes"] += 1
        builder.add_object(objects, one.name, _shifted(one, shift), file, where, one.difficult)
    builder.add(image, objects)


def _object_nodes(root: Node) -> list[Node]:
    """The objects, without those that LabelMe keeps as deleted; FAIR1M has them in a list of their own."""
    lists = [root, *(child for child in root.children if child.tag == "objects")]
    nodes = [node for one in lists for node in one.children if node.tag == "object"]
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
    """The box, by a pixel smaller if the set counts from 0, or its bounds if it is turned."""
    if one.shape:
        return one.box
    box = one.box[0] + shift, one.box[1] + shift, one.box[2], one.box[3]
    return turned_bounds(box, one.turn) if one.turn else box


def _images(
    path: Path, files: Sequence[Path], records: Mapping[Path, Node | DataError], finder: ImageFinder
) -> dict[Path, Path]:
    """The image of each record: under its own name in the folder that goes with its own, else the one that it names."""
    offered = {image: key_of(image, folder) for image, folder in finder.all().items()}
    pairs, _ = paired({file: key_of(file, path) for file in files}, offered)
    names = {file: _names(record) for file, record in records.items() if file not in pairs and isinstance(record, Node)}
    named = finder.find([name for those in names.values() for name in those], pairs.values())
    for file, those in names.items():
        if image := next((named[name] for name in those if name in named), None):
            pairs[file] = image
    return pairs


def _names(record: Node) -> list[str]:
    """What a record calls its image."""
    tags = [tag for tag in ("filename", "path") if any(child.tag == tag for child in record.children)]
    return [name for tag in tags if (name := record.text(tag))]


def _image_folders(path: Path) -> list[Path]:
    known = [path / name for name in _IMAGE_FOLDERS if (path / name).is_dir()]
    return known or [path]


def _parts(path: Path) -> Parts:
    """The records of each split: by lists of names in ImageSets/Main, else by folders."""
    files = sorted(_records(path))
    existing = _lists(path / "ImageSets" / "Main")
    if existing.keys() >= {SplitName.TRAIN, SplitName.VAL}:
        existing.pop(SplitName.TRAINVAL, None)
    if not existing:
        return by_split(files, path)
    names = {split: _names_listed(file) for split, file in existing.items()}
    found = _listed(path, [name for listed in names.values() for name in listed], files)
    parts: dict[SplitName | None, list[Path]] = {
        split: list(dict.fromkeys(found[name] for name in listed)) for split, listed in names.items()
    }
    used = {file for part in parts.values() for file in part}
    left = [file for file in files if file not in used]
    return {**parts, None: left} if left else parts


def _lists(folder: Path) -> dict[SplitName, Path]:
    """The lists of the splits, also as CVAT calls them (Train.txt, Validation.txt); not those of one class."""
    found: dict[SplitName, Path] = {}
    for file in sorted(folder.glob("*.txt"), key=lambda one: (one.stem not in tuple(SplitName), one)):
        split = SplitName.TRAINVAL if file.stem.lower() == SplitName.TRAINVAL else named_split(file.stem)
        if split is not None:
            found.setdefault(split, file)
    return {split: found[split] for split in SplitName if split in found}


def _names_listed(file: Path) -> list[str]:
    """The names of images in a list.

    Raises:
        DataError: if it cannot be read, or is not text.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"list '{file}' cannot be read: {error}; save it as text in UTF-8") from error
    return [_LISTED.fullmatch(line.strip())[1] for line in lines if line.strip()]  # type: ignore[index]  # matches any line


def _listed(path: Path, names: Iterable[str], files: Iterable[Path]) -> dict[str, Path]:
    """The record of each name in a list, which may have folders; a file that does not exist where there is none."""
    records = {}
    for name in names:
        plain = Path(name.replace("\\", "/"))
        has_suffix = is_image(plain.name) or plain.suffix.lower() == ".xml"
        records[name] = Path(f"{plain.with_suffix('') if has_suffix else plain}.xml")
    pairs, _ = paired(
        {record: key_of(record) for record in records.values()}, {file: key_of(file, path) for file in files}
    )
    place = path / "Annotations"
    return {
        name: pairs.get(record, place / (record.name if record.is_absolute() else record))
        for name, record in records.items()
    }


def _records(path: Path) -> Iterable[Path]:
    """XML files, without those that GDAL keeps beside rasters."""
    names = ((file, file.name.lower()) for file in files_below(path))
    return (file for file, name in names if name.endswith(".xml") and not name.endswith(".aux.xml"))


def _is_record(file: Path) -> bool:
    """Whether an XML file has VOC's root element, judged by its first bytes."""
    try:
        with file.open("rb") as opened:
            return re.search(rb"<annotation[\s>]", opened.read(4096)) is not None
    except OSError:
        return False
