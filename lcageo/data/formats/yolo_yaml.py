"""YOLO's data.yaml: which images it names, in many ways, also as they were on another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcageo.data.annotations import SplitName
from lcageo.data.formats.image_files import images_below, is_image
from lcageo.data.formats.layout import Parts, split_of
from lcageo.errors import DataError
from lcageo.extras import require

_KEYS = {SplitName.TRAIN: ("train",), SplitName.VAL: ("val", "valid", "validation"), SplitName.TEST: ("test",)}


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
    return any(key in content for keys in _KEYS.values() for key in keys)


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
