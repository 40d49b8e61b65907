"""Labelled images: what the readers give back, what they found wrong, and the rule for boxes at the image's border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.config import SCENE_SIDE_PX
from lcageo.errors import DataError

Box = tuple[float, float, float, float]

MAX_SIDE_PX = 1_000_000
"""No training image is larger; beyond it a size is a slip, and float32 no longer places a box to 1/16 px."""
OUTSIDE_TOLERANCE_PX = 0.05
"""How far a box may reach outside unreported: exporters round to one or two decimals. It is clipped all the same."""


class ProblemKind(StrEnum):
    """What can be wrong with labelled images."""

    BROKEN_RECORD = "broken record"
    UNKNOWN_CLASS = "unknown class"
    UNLABELLED_CLASS = "box of a class the image is not annotated for"
    EMPTY_BOX = "empty or inverted box"
    BOX_OUTSIDE = "box outside the image"
    REPEATED_BOX = "repeated box"
    MISSING_IMAGE = "missing image"
    UNREADABLE_IMAGE = "unreadable image"
    WRONG_SIZE = "image size differs from its record"
    DUPLICATE_IMAGE = "duplicate image"
    SAME_NAME = "same file name in two splits, other content"
    CLASS_LEFT_OUT = "class left out by the class list or map"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a set, and what was done about it."""

    kind: ProblemKind
    path: Path
    """The file to mend."""
    where: str
    """Line or record within it; empty: the whole file."""
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.path), self.where, self.what) if part)


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One image and its objects. None (N = 0) is normal."""

    image: Path
    width: int
    height: int
    boxes_xyxy: NDArray[np.float32]
    """(N, 4) float32, continuous pixels: 0 <= x1 < x2 <= width, likewise y; x2 - x1 is the width."""
    labels: NDArray[np.int64]
    """(N,) int64 indices into the set's classes."""
    labelled_classes: tuple[int, ...]
    """Classes that this image is annotated for, ascending. Of the others nothing is known, not even absence."""
    difficult: NDArray[np.bool_]
    """(N,) bool: objects that count neither as found nor as missed (VOC's difficult, COCO's crowds)."""
    gsd_m: float | None = None
    """Metres per pixel, where the set says it (chips do)."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        boxes, labelled = self.boxes_xyxy, self.labelled_classes
        checks = {
            f"a size of {self.width} x {self.height}": all(1 <= n <= MAX_SIDE_PX for n in (self.width, self.height)),
            f"boxes {boxes.dtype} {boxes.shape}": boxes.dtype == np.float32 and boxes.shape == (count, 4),
            f"labels {self.labels.dtype} {self.labels.shape}": self.labels.dtype == np.int64
            and self.labels.shape == (count,),
            f"difficult {self.difficult.dtype} {self.difficult.shape}": self.difficult.dtype == np.bool_
            and self.difficult.shape == (count,),
            f"labelled classes {labelled}, which do not ascend from 0": all(
                low < high for low, high in zip((-1, *labelled), labelled, strict=False)
            ),
            "labels outside its labelled classes": set(self.labels.tolist()) <= set(labelled),
        }
        for what, holds in checks.items():
            if not holds:
                raise DataError(f"annotation of '{self.image}' has {what}")
        if not _inside(boxes, self.width, self.height):
            raise DataError(f"annotation of '{self.image}' has empty, inverted or infinite boxes, or boxes outside it")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_scene(self) -> bool:
        """Whether the image is used at its own resolution, in parts, instead of being scaled as a whole."""
        return max(self.width, self.height) > SCENE_SIDE_PX


def _inside(boxes: NDArray[np.float32], width: int, height: int) -> bool:
    low, high = boxes[:, :2], boxes[:, 2:]
    # A NaN fails every comparison.
    return bool((low >= 0).all() and (low < high).all() and (high <= np.array([width, height], np.float32)).all())


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSet:
    """Annotated images that share one list of classes: a split of DIOR, a COCO file, or several joined."""

    name: str
    """For messages: the file, or folder and split, it was read from."""
    classes: tuple[str, ...]
    annotations: tuple[Annotation, ...]
    problems: tuple[Problem, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"'{self.name}' names a class twice: {', '.join(self.classes)}")
        for annotation in self.annotations:
            if annotation.labelled_classes and annotation.labelled_classes[-1] >= len(self.classes):
                raise DataError(f"'{annotation.image}' has labels beyond the {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.annotations)


@dataclass(slots=True)
class ObjectList:
    """The objects of one image while a reader collects them: boxes are checked and clipped as they come."""

    width: int
    height: int
    gsd_m: float | None = None
    boxes: list[Box] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)

    def add(self, box: Box, label: int, difficult: bool) -> tuple[ProblemKind, str] | None:
        """Take an object in; gives back what is wrong with its box, and whether it was skipped or clipped."""
        clipped, problem = clip_to_image(box, self.width, self.height)
        if clipped is not None:
            self.boxes.append(clipped)
            self.labels.append(label)
            self.difficult.append(difficult)
        return problem

    def annotation(self, image: Path, labelled_classes: Sequence[int]) -> Annotation:
        """All objects taken in, as the annotation of `image`."""
        return Annotation(
            image,
            self.width,
            self.height,
            np.array(self.boxes, np.float32).reshape(-1, 4),
            np.array(self.labels, np.int64),
            tuple(sorted(labelled_classes)),
            np.array(self.difficult, np.bool_),
            self.gsd_m,
        )


def clip_to_image(box: Box, width: int, height: int) -> tuple[Box | None, tuple[ProblemKind, str] | None]:
    """The box cut at the image's border (None: nothing is left of it), and what was wrong with it."""
    x1, y1, x2, y2 = box
    shown = f"box {x1:.10g}, {y1:.10g}, {x2:.10g}, {y2:.10g}"
    if not (np.float32(x1) < np.float32(x2) and np.float32(y1) < np.float32(y2)):
        return None, (ProblemKind.EMPTY_BOX, f"{shown} is empty or inverted; box skipped")
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if not (np.float32(clipped[0]) < np.float32(clipped[2]) and np.float32(clipped[1]) < np.float32(clipped[3])):
        return None, (ProblemKind.BOX_OUTSIDE, f"{shown} lies outside the {width} x {height} image; box skipped")
    if max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > OUTSIDE_TOLERANCE_PX:
        return clipped, (ProblemKind.BOX_OUTSIDE, f"{shown} reaches outside the {width} x {height} image; clipped")
    return clipped, None


def refuse(problems: Sequence[Problem]) -> None:
    """What `--strict` does.

    Raises:
        DataError: if there is any problem; it names the first.
    """
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        found = str(problems[0]).removesuffix("; image skipped").removesuffix("; box skipped")
        raise DataError(f"{found}{more}; mend the set, or leave out --strict to go on without broken records")
