"""What a YOLO set lists: the images of data.yaml, in many ways, and the names of the classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcageo.data.annotations import SplitName
from lcageo.data.formats.image_files import images_below, is_image
from lcageo.data.formats.layout import Parts, named_split, split_of
from lcageo.data.images import is_file
from lcageo.data.walking import files_below
from lcageo.errors import DataError
from lcageo.extras import require

CLASS_FILES = ("classes.txt", "obj.names", "labels/classes.txt", "images/classes.txt", "data/obj.names")
"""Where labelling tools list the names of classes, one a line."""
_NOTES_FILE = "notes.json"
"""Label Studio's, beside its classes.txt."""
_MAX_CLASSES = 1_000_000


def read_yaml(file: Path) -> dict[str, Any]:
    """The content of a data.yaml.

    Raises:
        DataError: if it cannot be read, or is no table.
        UsageError: if PyYAML is required and not installed.
    """
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


def names_images(content: Mapping[str, Any]) -> bool:
    """Whether a data.yaml says where the images of a split are."""
    return bool(_splits(content))


def _splits(content: Mapping[str, Any]) -> dict[SplitName, Any]:
    """What a data.yaml has for each split; `val` goes before other words for it, and a table is no path."""
    found: dict[SplitName, Any] = {}
    for key in sorted(content, key=lambda one: one not in list(SplitName)):
        if (split := named_split(key)) and content[key] and not isinstance(content[key], dict):
            found.setdefault(split, content[key])
    return found


def images_of_yaml(content: Mapping[str, Any], file: Path) -> Parts:
    """The images of each split that data.yaml names and that exists.

    Raises:
        DataError: if those of a split do not exist.
    """
    roots = [file.parent]
    if isinstance(content.get("path"), str):
        roots = [*_places(content["path"], [file.parent]), file.parent]
    parts: dict[SplitName | None, list[Path]] = {}
    missing: dict[SplitName, str] = {}
    for split, value in _splits(content).items():
        for entry in value if isinstance(value, list) else [value]:
            found = _images_of(str(entry), roots)
            if found is None:
                missing[split] = str(entry)
            else:
                parts.setdefault(split, []).extend(found)
    if not parts or missing.keys() - {SplitName.TEST}:  # exporters name test whether or not there is one
        paths = ", ".join(f"{split}: {missing[split]}" for split in SplitName if split in missing)
        raise DataError(f"'{file}' names images that do not exist ({paths}); correct its paths, or use --images")
    return {split: list(dict.fromkeys(images)) for split, images in parts.items()}


def named_classes(content: Mapping[str, Any], file: Path) -> Sequence[str] | None:
    """The names of the classes in a data.yaml, a list or a map from their numbers; else those listed beside it.

    Raises:
        DataError: if they cannot be read, or a class is named twice.
    """
    names = content.get("names")
    if names is None:
        return listed_classes(file.parent)
    if isinstance(names, dict):
        numbered = {int(key): str(name) for key, name in names.items() if str(key).isdecimal()}
        if len(numbered) == len(names) and numbered and max(numbered) < _MAX_CLASSES:
            return _unique(_numbered(numbered), file)
    elif isinstance(names, list) and names:
        return _unique([str(name) for name in names], file)
    raise DataError(f"'{file}' has names that are no list, and no map from class numbers to names; correct them")


def listed_classes(folder: Path) -> Sequence[str] | None:
    """The names of the classes in files of one name per line, as labelling tools write them; None if there is none.

    Raises:
        DataError: if a class is named twice, or files below the folder differ: labelImg writes one into each folder,
            with the classes in the order in which they were used there.
    """
    own = [folder / name for name in CLASS_FILES if is_file(folder / name)][:1]
    others = [file for file in files_below(folder) if file.name == CLASS_FILES[0] and is_file(file)]
    others = [file for file in others if _is_beside_labels(file)]
    others = [file for file in others if _is_beside_labels(file)]
    lists = {file: names for file in (*own, *others) if (names := _names_in(file))}
    if not lists:
        return None
    first, names = max(lists.items(), key=lambda one: len(one[1]))
    for file, shorter in lists.items():
        if list(shorter) != list(names)[: len(shorter)]:
            raise DataError(
                f"'{first}' and '{file}' list different classes, or in another order; name folders with lists of their "
                "own one by one (several --data), or remove the list that is wrong"
            )
    return names


def _is_beside_labels(file: Path) -> bool:
    """Whether a list of classes is in a folder that has other texts, too."""
    return any(other.name not in (file.name, "README.txt") for other in file.parent.glob("*.txt"))


def _names_in(file: Path) -> Sequence[str]:
    """The names in one list, by their numbers: its lines', unless Label Studio's notes say others.

    Label Studio numbers classes by the `category` of their labels, if they have one, but lists them in the order of its
    interface (label-studio issue 6416).

    Raises:
        DataError: if it cannot be read, or names a class twice.
    """
    noted = _noted(file.with_name(_NOTES_FILE))
    try:
        lines = file.read_text("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error.strerror}") from error
    names = [line.strip() for line in lines if line.strip()]
    return _unique(_numbered(noted) if set(noted.values()) == set(names) else names, file)


def _noted(notes: Path) -> dict[int, str]:
    """Class numbers and names in Label Studio's notes; empty if there are none."""
    try:
        categories = json.loads(notes.read_text("utf-8"))["categories"]
        numbered = {int(one["id"]): str(one["name"]).strip() for one in categories}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return numbered if all(0 <= number < _MAX_CLASSES for number in numbered) else {}


def _numbered(names: Mapping[int, str]) -> list[str]:
    """Names in the order of their numbers; a number without a name is its own."""
    return [names.get(number, str(number)) for number in range(max(names, default=-1) + 1)]


def _unique(names: Sequence[str], file: Path) -> Sequence[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"'{file}' names a class twice: {', '.join(twice)}; give each number a name of its own")
    return names


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
        if anchor := Path(pattern).anchor:
            return list(Path(anchor).glob(str(Path(pattern).relative_to(anchor))))
        return list(root.glob(pattern.removeprefix("./")))
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
