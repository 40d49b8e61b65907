"""Checks of labelled sets before training: counts, box sizes, broken images, duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.data.annotations import REMARKS, Annotation, LabelledSet, Problem, ProblemKind
from lcageo.data.images import image_size, is_file, read_image, wrong_size
from lcageo.errors import DataError

SMALL_SIDE_PX = 32
"""COCO calls objects small whose area is under 32 x 32 pixels."""


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Statistics of one class in one set. A box's side is the square root of its area; nan without boxes."""

    name: str
    labelled_images: int
    """Number of images annotated for the class, with or without an object."""
    images: int
    """Number of images with an object of the class."""
    boxes: int
    side_min: float
    side_median: float
    side_max: float
    small_share: float
    """Share of boxes with a side under 32 pixels, 0 to 1."""


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """Everything that was found in the splits."""

    statistics: Mapping[str, tuple[ClassStatistics, ...]]
    """Class statistics per split, in the set's order of classes."""
    usable_images: Mapping[str, int]
    """Number of images per split that exist, can be read, and have the size given in their records."""
    problems: tuple[Problem, ...]

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems that are not mere remarks."""
        return tuple(problem for problem in self.problems if problem.kind not in REMARKS)


def check_sets(
    splits: Mapping[str, LabelledSet], decode: bool = True, progress: Callable[[int], object] | None = None
) -> CheckSummary:
    """Runs all checks of this module on the splits of a data set.

    Args:
        splits: for example train and val; duplicates are searched for across them.
        decode: whether to decode every image; if False, only the headers are read.
        progress: called with 1 after each image.
    """
    problems: list[Problem] = []
    usable = {}
    for name, labelled in splits.items():
        problems += labelled.problems
        problems += repeated_boxes(labelled)
        broken = image_problems(labelled, decode, progress)
        problems += broken
        usable[name] = len(labelled) - len(broken)
    problems += duplicate_images(splits)
    statistics = {name: class_statistics(labelled) for name, labelled in splits.items()}
    return CheckSummary(statistics, usable, tuple(dict.fromkeys(problems)))  # an image in two splits repeats its own


def class_statistics(labelled: LabelledSet) -> tuple[ClassStatistics, ...]:
    """Counts and box sizes of each class, in the set's order."""
    sides: list[list[NDArray[np.float64]]] = [[] for _ in labelled.classes]
    annotated = [0] * len(labelled.classes)
    for annotation in labelled.annotations:
        boxes = annotation.boxes_xyxy.astype(np.float64)
        side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        for label in annotation.labelled_classes:
            annotated[label] += 1
        for label in np.unique(annotation.labels).tolist():
            sides[label].append(side[annotation.labels == label])
    return tuple(
        _statistics(name, annotated[label], len(sides[label]), np.concatenate([np.zeros(0), *sides[label]]))
        for label, name in enumerate(labelled.classes)
    )


def _statistics(name: str, annotated: int, images: int, side: NDArray[np.float64]) -> ClassStatistics:
    if not len(side):
        return ClassStatistics(name, annotated, 0, 0, *[float("nan")] * 4)
    low, median, high = float(side.min()), float(np.median(side)), float(side.max())
    return ClassStatistics(name, annotated, images, len(side), low, median, high, float((side < SMALL_SIDE_PX).mean()))


def repeated_boxes(labelled: LabelledSet) -> tuple[Problem, ...]:
    """Objects that appear more than once in an image, with the same class and box."""
    problems = []
    for annotation in labelled.annotations:
        rows = np.column_stack([annotation.labels, annotation.boxes_xyxy])  # (N, 5) float64
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        for (label, *box), count in zip(distinct[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
            shown = ", ".join(f"{edge:.10g}" for edge in box)
            what = f"{labelled.classes[int(label)]} {shown} appears {count} times; kept"
            problems.append(Problem(ProblemKind.REPEATED_BOX, annotation.image, "", what))
    return tuple(problems)


def image_problems(
    labelled: LabelledSet,
    decode: bool = True,
    progress: Callable[[int], object] | None = None,
    threads: int | None = None,
) -> tuple[Problem, ...]:
    """Images that are missing, cannot be read, or differ in size from their records, in the set's order.

    Args:
        labelled: the set.
        decode: whether to decode the pixels, the only way to find truncated files; if False, only headers are read.
        progress: called with 1 after each image.
        threads: number of images to read at a time; None: one per processor core.
    """
    problems = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for problem in pool.map(lambda annotation: _image_problem(annotation, decode), labelled.annotations):
                if problem is not None:
                    problems.append(problem)
                if progress is not None:
                    progress(1)
        finally:  # after an interrupt, do not read the rest
            pool.shutdown(cancel_futures=True)
    return tuple(problems)


def _image_problem(annotation: Annotation, decode: bool) -> Problem | None:
    path = annotation.image
    if not is_file(path):
        return Problem(ProblemKind.MISSING_IMAGE, path, "", "the file does not exist; image skipped")
    try:
        record = annotation.width, annotation.height
        size = image_size(path, record)
        if size != record:
            return Problem(ProblemKind.WRONG_SIZE, path, "", _skipped(path, wrong_size(annotation, size)))
        if decode:
            read_image(path, record=record)
    except DataError as error:
        return Problem(ProblemKind.UNREADABLE_IMAGE, path, "", _skipped(path, str(error)))
    return None


def _skipped(path: Path, message: str) -> str:
    """The message without the leading path, which a problem shows anyway."""
    start = f"image '{path}' "
    return f"{message.removeprefix(start)}; image skipped"


def without_images(labelled: LabelledSet, problems: Sequence[Problem]) -> LabelledSet:
    """The set without the images named in `problems`, which are added to the set's own problems."""
    named = {problem.path for problem in problems}
    kept = tuple(annotation for annotation in labelled.annotations if annotation.image not in named)
    return LabelledSet(labelled.name, labelled.classes, kept, (*labelled.problems, *problems))


def duplicate_images(splits: Mapping[str, LabelledSet]) -> tuple[Problem, ...]:
    """Images that also occur in an earlier split, by content (SHA-256 of the file) or by file name alone.

    A score on training images is meaningless. Equal names alone may be coincidence: some sets number each split from 1.
    """
    sizes: dict[int, set[str]] = defaultdict(set)
    for split, labelled in splits.items():
        for annotation in labelled.annotations:
            sizes[_file_size(annotation.image)].add(split)
    digests: dict[str, dict[str, Path]] = defaultdict(dict)
    names: dict[str, dict[str, Path]] = defaultdict(dict)
    problems = []
    for split, labelled in splits.items():
        for annotation in labelled.annotations:
            image = annotation.image
            size = _file_size(image)
            # Only files of equal size can have equal content, so most are never read.
            same_content = digests[_digest(image)] if size > 0 and len(sizes[size]) > 1 else {}
            same_name = names[image.name]
            for other, twin in same_content.items():
                if other != split:
                    what = f"of split {split}, has the same content as '{twin}' of split {other}; kept in both"
                    problems.append(Problem(ProblemKind.DUPLICATE_IMAGE, image, "", what))
            for other, twin in same_name.items():
                if other != split and other not in same_content:
                    what = f"of split {split}, has the name but not the content of '{twin}' of split {other}; kept"
                    problems.append(Problem(ProblemKind.SAME_NAME, image, "", what))
            same_content.setdefault(split, image)
            same_name.setdefault(split, image)
    return tuple(problems)


def _file_size(path: Path) -> int:
    return path.stat().st_size if is_file(path) else -1


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)  # unique; `image_problems` reports the file
