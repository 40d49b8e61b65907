"""What a user should know of labelled sets before training on them: counts, box sizes, broken images, duplicates."""

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

from lcageo.data.annotations import Annotation, LabelledSet, Problem, ProblemKind
from lcageo.data.images import image_size, is_file, read_image, wrong_size
from lcageo.errors import DataError

SMALL_SIDE_PX = 32
"""COCO calls objects small whose area is under 32 x 32 pixels."""
REMARKS = frozenset({ProblemKind.REPEATED_BOX, ProblemKind.SAME_NAME, ProblemKind.CLASS_LEFT_OUT})
"""What may be meant: worth knowing, but no reason to refuse a set. Nothing broken is skipped or changed for it."""


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """One class in one set. A box's side is the square root of its area; nan where there is no box."""

    name: str
    labelled_images: int
    """Images annotated for the class, with or without an object."""
    images: int
    """Images with an object of the class."""
    boxes: int
    side_min: float
    side_median: float
    side_max: float
    small_share: float
    """Share of boxes with a side under 32 pixels, 0 to 1."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that was found in some splits."""

    statistics: Mapping[str, tuple[ClassStatistics, ...]]
    """Split -> its classes, in the set's order."""
    usable_images: Mapping[str, int]
    """Split -> how many of its images are there, readable, and of the size that their records say."""
    problems: tuple[Problem, ...]

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems that are no mere remarks."""
        return tuple(problem for problem in self.problems if problem.kind not in REMARKS)


def check_sets(
    splits: Mapping[str, LabelledSet], decode: bool = True, progress: Callable[[int], object] | None = None
) -> CheckReport:
    """Everything this module can tell of the splits of one set of data.

    Args:
        splits: for instance train and val; duplicates are looked for across them.
        decode: whether to decode every image; without, only their headers are read.
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
    return CheckReport(statistics, usable, tuple(dict.fromkeys(problems)))  # an image of two splits has its own twice


def class_statistics(labelled: LabelledSet) -> tuple[ClassStatistics, ...]:
    """Counts and sizes of each class, in the set's order."""
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
    """Objects that stand twice in one image, with the same class and box."""
    problems = []
    for annotation in labelled.annotations:
        rows = np.column_stack([annotation.labels, annotation.boxes_xyxy])  # (N, 5) float64
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        for (label, *box), count in zip(distinct[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
            shown = ", ".join(f"{edge:.10g}" for edge in box)
            what = f"{labelled.classes[int(label)]} {shown} stands {count} times; kept"
            problems.append(Problem(ProblemKind.REPEATED_BOX, annotation.image, "", what))
    return tuple(problems)


def image_problems(
    labelled: LabelledSet,
    decode: bool = True,
    progress: Callable[[int], object] | None = None,
    threads: int | None = None,
) -> tuple[Problem, ...]:
    """Images that are missing, cannot be read, or have another size than their record says, in the set's order.

    Args:
        labelled: the set.
        decode: whether to decode the pixels, which alone finds truncated files; without, only headers are read.
        progress: called with 1 after each image.
        threads: how many images to read at once; None: as many as there are processor cores.
    """
    problems = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for problem in pool.map(lambda annotation: _image_problem(annotation, decode), labelled.annotations):
                if problem is not None:
                    problems.append(problem)
                if progress is not None:
                    progress(1)
        finally:  # when the user stops, the rest need not be read
            pool.shutdown(cancel_futures=True)
    return tuple(problems)


def _image_problem(annotation: Annotation, decode: bool) -> Problem | None:
    path = annotation.image
    if not is_file(path):
        return Problem(ProblemKind.MISSING_IMAGE, path, "", "the file is not there; image skipped")
    try:
        size = image_size(path)
        if size != (annotation.width, annotation.height):
            return Problem(ProblemKind.WRONG_SIZE, path, "", _skipped(path, wrong_size(annotation, size)))
        if decode:
            read_image(path)
    except DataError as error:
        return Problem(ProblemKind.UNREADABLE_IMAGE, path, "", _skipped(path, str(error)))
    return None


def _skipped(path: Path, message: str) -> str:
    """An image's message without its path, which stands before it in a problem."""
    start = f"image '{path}' "
    return f"{message.removeprefix(start)}; image skipped"


def without_images(labelled: LabelledSet, problems: Sequence[Problem]) -> LabelledSet:
    """The set without the images that `image_problems` named; its problems grow by them."""
    named = {problem.path for problem in problems}
    kept = tuple(annotation for annotation in labelled.annotations if annotation.image not in named)
    return LabelledSet(labelled.name, labelled.classes, kept, (*labelled.problems, *problems))


def duplicate_images(splits: Mapping[str, LabelledSet]) -> tuple[Problem, ...]:
    """Images of one split that an earlier one has too, by content (SHA-256 of the file) or by file name alone.

    A score on images that were trained on says nothing. Names alone can be chance: some sets number each split from 1.
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
            # A file can only equal files of its size: most need no reading.
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
        return str(path)  # equal to nothing else; `image_problems` reports it
