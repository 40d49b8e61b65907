"""What the readers of all formats share: how a set is to be read, its splits, and how its images are collected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lcageo.data.annotations import (
    REMARKS,
    Annotation,
    Box,
    LabelledSet,
    ObjectList,
    Problem,
    ProblemKind,
    SplitName,
    refuse,
)
from lcageo.data.classmap import joined
from lcageo.data.images import image_size
from lcageo.errors import DataError

Parts = Mapping[SplitName | None, Sequence[Path]]
"""Files of each split; None: of no split, which are all of the set or, beside a split, left out."""

_WORDS = {
    "train": SplitName.TRAIN, "training": SplitName.TRAIN, "val": SplitName.VAL, "valid": SplitName.VAL,
    "validation": SplitName.VAL, "test": SplitName.TEST, "testing": SplitName.TEST,
}  # fmt: skip
"""What tools call the splits."""
_FILLERS = {"obj", "data", "set", "images", "labels"}
"""Words that tools add to the name of a split's folder."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a set is to be read, beyond what it says itself."""

    images: Path | None = None
    """Folder of the images; None: where the format has them."""
    strict: bool = False
    """Whether broken records are an error, instead of being skipped and becoming problems."""


def split_of(name: str) -> SplitName | None:
    """The split that a file or folder is named for: 'instances_train2017' -> train; None if for none."""
    return next((_WORDS[word] for word in re.findall("[a-z]+", name.lower()) if word in _WORDS), None)


def named_split(name: str) -> SplitName | None:
    """The split that tools call by this very name, in any case: 'Validation' -> val; None if none is."""
    return _WORDS.get(name.lower())


def split_of_folders(path: Path, root: Path) -> SplitName | None:
    """The split that one of the folders of `path` below `root` is for: images/train, valid/labels, obj_train_data."""
    for name in path.relative_to(root).parts[:-1]:
        words = set(re.findall("[a-z]+", name.lower())) - _FILLERS
        if len(words) == 1 and (word := words.pop()) in _WORDS:
            return _WORDS[word]
    return None


def by_split(paths: Iterable[Path], root: Path) -> Parts:
    """Files below a folder by the split that their folders are named for."""
    return _parted({path: split_of_folders(path, root) for path in paths})


def with_images(parts: Parts, place: Path) -> Parts:
    """The images of each split, of which there are some.

    Raises:
        DataError: if there are none in `place`.
    """
    if not any(parts.values()):
        raise DataError(f"'{place}' has no images for its labels; name their folder with --images")
    return parts


def files_by_split(folder: Path, places: Iterable[Path], suffix: str, fits: Callable[[Path], bool]) -> Parts:
    """Files that hold a whole split each, by the split that they or, as with Roboflow, their folders are named for.

    Args:
        folder: the set.
        places: folders in which it may have files, besides those that are named for splits.
        suffix: of the files, such as '.json'.
        fits: whether a file is of the format.
    """

    def files_in(places: Iterable[Path]) -> list[Path]:
        return [file for place in places for file in sorted(place.glob(f"*{suffix}")) if fits(file)]

    inner = [one for one in sorted(folder.iterdir()) if one.is_dir()] if folder.is_dir() else []
    named = files_in(one for one in inner if split_of(one.name) is not None)
    # Beside 'test' there may be 'berlin' and 'hamburg'.
    others = files_in(one for one in inner if named and split_of(one.name) is None)
    files = dict.fromkeys([*files_in([folder, *places]), *named, *others])
    own = {file: split_of(file.parent.name) if file.parent != folder else None for file in files}
    return _parted({file: split_of(file.stem) or own[file] for file in files})


def _parted(splits: Mapping[Path, SplitName | None]) -> Parts:
    """Files by their splits; a lone name of a split beside others that are none, such as a site's, is none either."""
    found = set(splits.values())
    if None in found and len(found) == 2:
        return {None: list(splits)}
    parts: dict[SplitName | None, list[Path]] = {}
    for path, split in splits.items():
        parts.setdefault(split, []).append(path)
    return parts


def one_each(parts: Parts, source: Path, what: str) -> Parts:
    """The parts, of which each is one file.

    Raises:
        DataError: if several may be meant; `what` says what they are.
    """
    for split, files in parts.items():
        if len(files) > 1 and (split is not None or len(parts) == 1):
            names = ", ".join(f"'{file}'" for file in files)
            raise DataError(f"'{source}' has several {what} for {split or 'its images'}: {names}; name one of them")
    return parts


def splits_of(parts: Parts) -> tuple[SplitName, ...]:
    """The splits of a set, in the usual order; empty if it has no more than one, which is then all of it."""
    named = tuple(split for split in SplitName if split in parts)
    return named if len(named) > 1 else ()


def read_parts(
    source: Path,
    parts: Parts,
    split: SplitName,
    read: Callable[[Sequence[Path], str], LabelledSet],
    shares_classes: bool = False,
) -> LabelledSet:
    """Reads one split of a set; files of no split beside it become a problem that is a remark.

    Args:
        source: the set, for messages.
        parts: what holds each split; a single one is all of the set.
        split: the wanted one; trainval joins train and val.
        read: reads a part, which it is to call by this name.
        shares_classes: whether the set's classes are those that occur in any of its parts. An image of a split without
            a class is annotated for it all the same, so all parts are read.

    Raises:
        DataError: if the set does not have the split, or has nothing at all.
    """
    if not parts:
        raise DataError(f"'{source}' holds nothing in this format; check the path, or name another with --format")
    found = _read_split(source, parts, split, read, shares_classes)
    problems = [*dict.fromkeys(found.problems), *_left_out(source, parts)]
    return replace(found, problems=tuple(problems))


def _read_split(
    source: Path,
    parts: Parts,
    split: SplitName,
    read: Callable[[Sequence[Path], str], LabelledSet],
    shares_classes: bool,
) -> LabelledSet:
    splits = splits_of(parts)
    if not splits:
        alone = next((part for name, part in parts.items() if name is not None), None)
        return read(alone or parts[None], str(source))
    halves = split is SplitName.TRAINVAL and split not in parts
    wanted = [SplitName.TRAIN, SplitName.VAL] if halves else [split]
    missing = [name for name in wanted if name not in splits]
    if missing:
        has = ", ".join(splits)
        raise DataError(f"'{source}' has no split {missing[0]}, but {has}; choose one of these with --split")
    sets = {name: read(parts[name], f"{source}, {name}") for name in (splits if shares_classes else wanted)}
    if shares_classes:
        classes = _in_order({name for one in sets.values() for name in one.classes})
        sets = {name: _widened(sets[name], classes) for name in wanted}
    return sets[wanted[0]] if len(wanted) == 1 else joined(list(sets.values()))


def _left_out(source: Path, parts: Parts) -> list[Problem]:
    """The remark that files are in none of the splits."""
    left = parts.get(None, ())
    if not left or len(parts) == 1:
        return []
    splits = ", ".join(name for name in SplitName if name in parts)
    what = f"files in none of the splits ({splits}): {len(left):,}, such as '{left[0]}'; left out"
    return [Problem(ProblemKind.UNUSED, source, "", what)]


def _widened(labelled: LabelledSet, classes: Sequence[str]) -> LabelledSet:
    """The set with more classes, for which all of its images are annotated."""
    new = np.array([classes.index(name) for name in labelled.classes], np.int64)
    every = tuple(range(len(classes)))
    annotations = tuple(replace(one, labels=new[one.labels], labelled_classes=every) for one in labelled.annotations)
    return replace(labelled, classes=tuple(classes), annotations=annotations)


def _in_order(names: Iterable[str]) -> list[str]:
    """Alphabetical, but numbers by their value."""
    return sorted(names, key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))


@dataclass(slots=True)
class SetBuilder:
    """Collects the images of a set in a format that names classes, or numbers them in a list of its own."""

    name: str
    classes: list[str] = field(default_factory=list)
    """Given, or collected as they appear, then sorted."""
    grows: bool = True
    """Whether names that are not among the classes are added to them."""
    problems: list[Problem] = field(default_factory=list)
    saved: Counter[str] = field(default_factory=Counter)
    """How often records were read otherwise than they are written, by how."""
    _images: list[tuple[Path, ObjectList]] = field(default_factory=list)
    _labels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._labels = {name: label for label, name in enumerate(self.classes)}

    def open(self, image: Path, record: Path, size: tuple[int, int] | None = None) -> ObjectList | None:
        """The list for an image's objects; None, and a problem, if the image cannot be opened.

        Args:
            image: the file.
            record: what names it, for the problem.
            size: width and height, if the set says; None: those of the file.
        """
        if size is None:
            try:
                size = image_size(image)
            except DataError as error:
                self.problem(ProblemKind.UNREADABLE_IMAGE, record, "", f"{error}; image skipped")
                return None
        return ObjectList(*size)

    def add_object(
        self, objects: ObjectList, name: str, box: Box, record: Path, where: str, difficult: bool = False
    ) -> None:
        """Adds an object to an image's list; what is wrong with it becomes a problem at `where` in `record`."""
        if self.grows and name not in self._labels:
            self._labels[name] = len(self.classes)
            self.classes.append(name)
        found = objects.add(box, self._labels[name], difficult)
        if found is not None:
            self.problem(found[0], record, where, found[1])

    def unread(self, objects: ObjectList, kind: ProblemKind, record: Path, where: str, what: str) -> None:
        """Counts an object that cannot be read, and reports it."""
        objects.skip_unread()
        self.problem(kind, record, where, f"{what}; box skipped")

    def problem(self, kind: ProblemKind, path: Path, where: str, what: str) -> None:
        """Adds a problem."""
        self.problems.append(Problem(kind, path, where, what))

    def add(self, image: Path, objects: ObjectList) -> None:
        """Adds an image, unless its objects cannot be used: it would be learnt as background."""
        if (why := objects.unusable) is None:
            self._images.append((image, objects))
        else:
            self.problem(ProblemKind.OBJECTS_LOST, image, "", why)

    def built(self, place: Path, strict: bool) -> LabelledSet:
        """The set; `place` is the file or folder that counts of saved records are told for.

        Raises:
            DataError: if strict, and there is a problem that is no remark.
        """
        if strict:
            refuse([problem for problem in self.problems if problem.kind not in REMARKS])
        classes = _in_order(self.classes) if self.grows else self.classes
        new = {old: classes.index(name) for old, name in enumerate(self.classes)}
        for _, objects in self._images:
            objects.labels = [new[label] for label in objects.labels]
        annotations: list[Annotation] = [
            objects.annotation(image, range(len(classes))) for image, objects in self._images
        ]
        counted = [Problem(ProblemKind.SAVED, place, "", f"{what}: {count:,}") for what, count in self.saved.items()]
        return LabelledSet(self.name, tuple(classes), tuple(annotations), (*self.problems, *counted))
