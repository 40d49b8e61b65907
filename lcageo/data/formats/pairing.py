"""Which of two kinds of files belong together, such as images and labels, by the ends of their paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

Key = tuple[str, ...]
"""What the paths of an image and of its labels have in common: folders and stem."""

LABEL_FOLDERS = (
    "labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "labelTxt-v2.0", "annfiles", "labels", "Annotations"
)  # fmt: skip
"""What folders of labels are called, the preferred ones first."""
_NEUTRAL = {name.lower() for name in LABEL_FOLDERS} | {"images", "jpegimages", "imgs", "labelxml", "labelxmls"}


def key_of(path: Path, root: Path | None = None) -> Key:
    """The key of a file: its path without suffix, and without folders that only say whether it is an image or labels.

    Args:
        path: the file.
        root: folder above it, which is no part of the key; None: the key is that of the whole path.
    """
    parts = (path if root is None else path.relative_to(root)).parts
    return (*(part for part in parts[:-1] if part.lower() not in _NEUTRAL), path.stem)


def folded(key: Key) -> Key:
    """The key as it is compared where none is the same to the letter."""
    return tuple(part.casefold() for part in key)


def paired(
    wanted: Mapping[Path, Key], offered: Mapping[Path, Key], known: Mapping[Path, Path] | None = None
) -> tuple[dict[Path, Path], dict[Path, list[Path]]]:
    """Finds for each wanted file the offered one that belongs to it.

    Equal keys belong together. The others are taken by the longest end of their keys that one file on either side has
    and no further one: 'x/a/1' and 'y/a/1', but not 'a/1' and 'b/1' if there is a second '1'.

    Args:
        wanted: files to find another one for, and their keys.
        offered: files to choose from, and their keys.
        known: pairs that are certain.

    Returns:
        The pairs, with the known ones; and for each wanted file that has none the offered ones of its name that are
        not in a pair either: one of them may be the right one, but nobody can tell.
    """
    pairs = dict(known or {})
    pairs |= _equal(wanted, offered, pairs)
    wanted, offered = ({file: folded(key) for file, key in keys.items()} for keys in (wanted, offered))
    pairs |= _equal(wanted, offered, pairs)
    taken = set(pairs.values())
    longest = max(map(len, wanted.values()), default=0)
    for length in range(longest, 0, -1):
        others = _by_end(offered, length)
        for end, files in _by_end(wanted, length).items():
            found = others.get(end, [])
            if len(files) == len(found) == 1 and files[0] not in pairs and found[0] not in taken:
                pairs[files[0]] = found[0]
                taken.add(found[0])
    named = _by_end({file: key for file, key in offered.items() if file not in taken}, 1)
    unclear = {file: named[key[-1:]] for file, key in wanted.items() if file not in pairs and key[-1:] in named}
    return pairs, unclear


def _equal(wanted: Mapping[Path, Key], offered: Mapping[Path, Key], pairs: Mapping[Path, Path]) -> dict[Path, Path]:
    """Further pairs of files with equal keys."""
    taken = set(pairs.values())
    same = _by_end({file: key for file, key in offered.items() if file not in taken}, None)
    found = {file: same.get(key, []) for file, key in wanted.items() if file not in pairs}
    return {file: others[0] for file, others in found.items() if len(others) == 1}


def _by_end(keys: Mapping[Path, Key], length: int | None) -> dict[Key, list[Path]]:
    """Files by the last parts of their keys, of which they have at least that many; None: by the whole key."""
    found: dict[Key, list[Path]] = defaultdict(list)
    for file, key in keys.items():
        if length is None or len(key) >= length:
            found[key if length is None else key[-length:]].append(file)
    return dict(found)
