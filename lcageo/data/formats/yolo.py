"""YOLO: a text file per image, with a class number and a box, polygon or oriented box in shares of the image per line.

Source:
    The layouts are those that Ultralytics' documentation ("Object Detection Datasets Overview", and the pages on
    segmentation and oriented boxes) and darknet describe: data.yaml, images/ and labels/, obj.names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcageo.data.annotations import Box, LabelledSet, ObjectList, ProblemKind, SplitName
from lcageo.data.formats.image_files import images_below, is_image
from lcageo.data.formats.label_text import Line, first_words, label_file, labels_by_stem, numbers, read_lines
from lcageo.data.formats.layout import Reading, SetBuilder, by_split, read_parts, split_of, splits_of
from lcageo.data.images import is_file
from lcageo.errors import DataError
from lcageo.extras import require

YAML_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_CLASS_FILES = ("classes.txt", "obj.names", "labels/classes.txt", "images/classes.txt", "data/obj.names")
_KEYS = {SplitName.TRAIN: ("train",), SplitName.VAL: ("val", "valid", "validation"), SplitName.TEST: ("test",)}
DIGITS = 9
"""Decimal places of edges in pixels that shares leave certain: an edge at 0 is to be 0, not 1e-15."""
FARTHEST = 2.0
"""Coordinates are shares of the image, from 0 to 1; up to this, a box is one that extends beyond it."""


@dataclass(frozen=True, slots=True)
class _YoloSet:
    """Where a set's images are, and the names of its classes."""

    parts: Mapping[SplitName | None, Sequence[Path]]
    """Images of each split."""
    names: Sequence[str] | None
    """None: the set does not say."""
    labels: Mapping[str, Path] | None = None
    """Files of labels by stem, where the images lie elsewhere; None: beside the images."""
    has_keypoints: bool = False


def is_yolo(path: Path) -> bool:
    """Whether a file or folder is a YOLO set."""
    if not path.is_dir():
        return path.suffix.lower() in (".yaml", ".yml")
    if _yaml_in(path) is not None or any((path / name).is_file() for name in ("obj.names", "data/obj.names")):
        return True
    words = first_words(path)
    lists_classes = any((path / name).is_file() for name in _CLASS_FILES)
    try:
        return len(numbers(words)) >= (1 if lists_classes else 5) and words[0].isdecimal()
    except DataError:
        return False


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

    def read(images: Sequence[Path], name: str) -> LabelledSet:
        return _read(path, found, images, name, reading)

    return read_parts(path, found.parts, split, read, shares_classes=found.names is None)


def _read(path: Path, found: _YoloSet, images: Sequence[Path], name: str, reading: Reading) -> LabelledSet:
    builder = SetBuilder(name, list(found.names or ()), grows=found.names is None)
    without, example = 0, None
    for image in images:
        text = label_file(image) if found.labels is None else found.labels.get(image.stem.casefold())
        without += text is None
        objects = builder.open(image, image)
        if objects is None:
            continue
        if text is None:
            example = example or image
        elif not _add_lines(builder, objects, text, found):
            continue
        builder.add(image, objects)
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
    return builder.built(path, reading.strict)


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
        rest, repair = rest[:4], "boxes with a score, which is ignored"
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
    content = {} if file is None else _load(file)
    folder = path if path.is_dir() else path.parent
    names = _names(content, file) if file is not None else _listed_names(folder)
    has_keypoints = "kpt_shape" in content
    if images is not None:
        parts = by_split(images_below(images), images)
        return _YoloSet(_some(parts, images), names, labels_by_stem(folder), has_keypoints)
    if any(key in content for keys in _KEYS.values() for key in keys):
        assert file is not None, "content comes from a file"
        return _YoloSet(_some(_parts_of_yaml(content, file), path), names, None, has_keypoints)
    return _YoloSet(_some(by_split(images_below(folder), folder), folder), names, None, has_keypoints)


def _some(parts: Mapping[SplitName | None, Sequence[Path]], place: Path) -> Mapping[SplitName | None, Sequence[Path]]:
    if not any(parts.values()):
        raise DataError(f"'{place}' has no images for its labels; name their folder with --images")
    return parts


def _yaml_in(folder: Path) -> Path | None:
    known = next((folder / name for name in YAML_NAMES if is_file(folder / name)), None)
    others = sorted(path for path in folder.glob("*.y*ml") if path.suffix.lower() in (".yaml", ".yml"))
    return known or (others[0] if len(others) == 1 and (folder / "images").is_dir() else None)


def _load(file: Path) -> dict[str, Any]:
    require("reading YOLO's data.yaml", "train", "yaml")
    import yaml

    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"'{file}' is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"'{file}' is not a YOLO data set, which is a table with train, val and names")
    return {str(key): value for key, value in content.items()}


def _names(content: Mapping[str, Any], file: Path) -> Sequence[str] | None:
    """The class names, a list or a map from their numbers."""
    names = content.get("names")
    if names is None:
        return _listed_names(file.parent)
    if isinstance(names, dict):
        numbered = {int(key): str(name) for key, name in names.items() if str(key).isdecimal()}
        if len(numbered) == len(names) and numbered and max(numbered) < 1_000_000:
            return _unique([numbered.get(number, str(number)) for number in range(max(numbered) + 1)], file)
    elif isinstance(names, list) and names:
        return _unique([str(name) for name in names], file)
    raise DataError(f"'{file}' has names that are no list, and no map from class numbers to names; correct them")


def _listed_names(folder: Path) -> Sequence[str] | None:
    """The class names in a file of one name per line, as labelling tools write it."""
    for name in _CLASS_FILES:
        if is_file(folder / name):
            lines = (folder / name).read_text("utf-8-sig", errors="replace").splitlines()
            names = [line.strip() for line in lines if line.strip()]
            return _unique(names, folder / name) if names else None
    return None


def _unique(names: Sequence[str], file: Path) -> Sequence[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"'{file}' names a class twice: {', '.join(twice)}; give each number a name of its own")
    return names


def _parts_of_yaml(content: Mapping[str, Any], file: Path) -> dict[SplitName | None, list[Path]]:
    """The images of each split that data.yaml names and that exists."""
    roots = [file.parent]
    if isinstance(content.get("path"), str):
        roots = [*_places(content["path"], [file.parent]), file.parent]
    parts: dict[SplitName | None, list[Path]] = {}
    missing: dict[SplitName, str] = {}
    for split, keys in _KEYS.items():
        value = next((content[key] for key in keys if content.get(key)), None)
        for entry in value if isinstance(value, list) else [value] if value is not None else []:
            found = _images_of(str(entry), roots)
            if found is None:
                missing[split] = str(entry)
            else:
                parts.setdefault(split, []).extend(found)
    if not parts or missing.keys() - {SplitName.TEST}:  # exporters name test whether or not there is one
        paths = ", ".join(f"{split}: {entry}" for split, entry in missing.items())
        raise DataError(f"'{file}' names images that do not exist ({paths}); correct its paths, or use --images")
    return {split: list(dict.fromkeys(images)) for split, images in parts.items()}


def _images_of(entry: str, roots: Sequence[Path]) -> list[Path] | None:
    """The images that an entry of data.yaml means: a folder, a list of images, or a pattern; None if none exists."""
    if any(letter in entry for letter in "*?["):
        places = sorted(path for root in roots for path in _globbed(root, entry))
        images = [path for place in places for path in (images_below(place) if place.is_dir() else [place])]
        return [path for path in images if is_image(path.name)] or None
    for place in _places(entry, roots):
        if place.is_dir():
            return images_below(place)
        if place.suffix.lower() == ".txt":
            return _listed_images(place, roots)
        return [place]
    return None


def _globbed(root: Path, pattern: str) -> list[Path]:
    try:
        absolute = Path(pattern).is_absolute()
        return list(Path("/").glob(pattern.lstrip("/")) if absolute else root.glob(pattern.removeprefix("./")))
    except (ValueError, NotImplementedError, OSError):
        return []


def _listed_images(file: Path, roots: Sequence[Path]) -> list[Path]:
    """The images in a list of one path per line, relative to the list, to the set, or on another machine."""
    names = file.read_text("utf-8-sig", errors="replace").splitlines()
    listed = [name.strip() for name in names if name.strip()]
    return [(_places(name, [file.parent, *roots]) or [file.parent / name])[0] for name in listed]


def _places(entry: str, roots: Sequence[Path]) -> list[Path]:
    """Where a path may lie: as written, else with fewer and fewer of its first parts, as on another machine."""
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".")]
    written = [root / entry for root in roots]
    tails = [root.joinpath(*parts[first:]) for first in range(len(parts)) for root in roots]
    # A last part such as 'images' alone would be the images of all splits.
    vague = {root.joinpath(*parts[-1:]) for root in roots if parts[-1:] and not split_of(parts[-1]) and parts[1:]}
    found = [path for path in (*written, *tails) if _exists(path) and not (path in vague and path.is_dir())]
    return list(dict.fromkeys(found))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _expected(image: Path) -> Path:
    return (image.parent.parent / "labels" / image.name if image.parent.name == "images" else image).with_suffix(".txt")
