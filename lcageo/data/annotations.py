"""Labelled images: what the readers return, the problems they found, and how boxes are clipped at the border."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lcageo.config import SCENE_SIDE_PX
from lcageo.errors import DataError

if TYPE_CHECKING:
    from lcageo.scene.stretch import Stretch

Box = tuple[float, float, float, float]

MAX_SIDE_PX = 1_000_000
"""Maximum side of a training image: beyond it a size is a mistake, and float32 no longer resolves 1/16 px."""
MIN_SIDE_PX = 1.0
"""A box whose sides are no longer shows nothing; whole sets of them are in shares of the image, from 0 to 1."""
OUTSIDE_TOLERANCE_PX = 0.05
"""How far a box may extend beyond the image unreported: exporters round to 1 or 2 decimals. It is clipped anyway."""


class SplitName(StrEnum):
    """The splits that a set may have."""

    TRAIN = "train"
    VAL = "val"
    TRAINVAL = "trainval"
    """Train and val together."""
    TEST = "test"


class ProblemKind(StrEnum):
    """Kinds of problem with labelled images."""

    BROKEN_RECORD = "broken record"
    UNKNOWN_CLASS = "unknown class"
    UNLABELLED_CLASS = "box of a class the image is not annotated for"
    EMPTY_BOX = "empty or inverted box"
    BOX_OUTSIDE = "box outside the image"
    TINY_BOX = "box of a pixel or less"
    OBJECTS_LOST = "image some of whose objects cannot be used"
    REPEATED_BOX = "repeated box"
    MISSING_IMAGE = "missing image"
    UNREADABLE_IMAGE = "unreadable image"
    WRONG_SIZE = "image size differs from its record"
    DUPLICATE_IMAGE = "duplicate image"
    SAME_NAME = "same file name in two splits, other content"
    CLASS_LEFT_OUT = "class left out by the class list or map"
    SAVED = "records read otherwise than written"
    UNCLEAR = "image whose labels are unclear"
    NO_RECORD = "images without a file of labels"
    UNUSED = "files that are not used"


REMARKS = frozenset(
    {
        ProblemKind.REPEATED_BOX,
        ProblemKind.SAME_NAME,
        ProblemKind.CLASS_LEFT_OUT,
        ProblemKind.SAVED,
        ProblemKind.NO_RECORD,
        ProblemKind.UNUSED,
    }
)
"""Problems that may be intended: worth knowing, but not a reason to refuse a set."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with a set, and what was done about it."""

    kind: ProblemKind
    path: Path
    """The file to fix."""
    where: str
    """Line or record within it; empty: the whole file."""
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.path), self.where, self.what) if part)


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One image and its objects, of which there may be none (N = 0)."""

    image: Path
    width: int
    height: int
    boxes_xyxy: NDArray[np.float32]
    """(N, 4) float32, continuous pixels: 0 <= x1 < x2 <= width, likewise y; x2 - x1 is the width."""
    labels: NDArray[np.int64]
    """(N,) int64 indices into the set's classes."""
    labelled_classes: tuple[int, ...]
    """Classes that this image is annotated for, ascending. Of the others nothing is known, not even their absence."""
    difficult: NDArray[np.bool_]
    """(N,) bool: objects ignored in the loss and in evaluation (VOC's difficult, COCO's crowds)."""
    gsd_m: float | None = None
    """Metres per pixel, if the set states it (chips do)."""
    stretch: Stretch | None = None
    """How values of more than eight bits become eight, the same for the whole set; None: by those of the image."""

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
    """The file, or folder and split, that it was read from, for messages."""
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
    """Collects the objects of one image for a reader; boxes are checked and clipped as they are added."""

    width: int
    height: int
    gsd_m: float | None = None
    boxes: list[Box] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    skipped: int = 0
    """Number of objects that cannot be used, those of `unread` included."""
    unread: int = 0
    """Number of records that nobody can tell the object of: it may lie anywhere in the image."""

    def add(self, box: Box, label: int, difficult: bool) -> tuple[ProblemKind, str] | None:
        """Adds an object; returns what is wrong with its box, and whether it was skipped or clipped."""
        clipped, problem = clip_to_image(box, self.width, self.height)
        if clipped is not None and max(clipped[2] - clipped[0], clipped[3] - clipped[1]) <= MIN_SIDE_PX:
            shown = ", ".join(f"{edge:.10g}" for edge in box)
            what = "is no larger than a pixel; boxes are in pixels, not in shares of the image; box skipped"
            clipped, problem = None, (ProblemKind.TINY_BOX, f"box {shown} {what}")
        if clipped is None:
            self.skipped += 1
        else:
            self.boxes.append(clipped)
            self.labels.append(label)
            self.difficult.append(difficult)
        return problem

    def skip_unread(self) -> None:
        """Counts an object whose record cannot be read."""
        self.skipped += 1
        self.unread += 1

    @property
    def unusable(self) -> str | None:
        """Why the image cannot be used, if objects were lost that would be learnt as background."""
        if self.skipped and not self.boxes:
            return f"none of its {self.skipped} objects can be used, but it is not empty; image skipped"
        if self.unread:
            total = len(self.boxes) + self.skipped
            return f"{self.unread} of its {total} objects cannot be read and would be background; image skipped"
        return None

    def annotation(self, image: Path, labelled_classes: Sequence[int]) -> Annotation:
        """All objects added, as the annotation of `image`."""
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
    """The box clipped at the image's border (None if nothing is left), and what was wrong with it."""
    x1, y1, x2, y2 = box
    shown = f"box {x1:.10g}, {y1:.10g}, {x2:.10g}, {y2:.10g}"
    if not (np.float32(x1) < np.float32(x2) and np.float32(y1) < np.float32(y2)):
        return None, (ProblemKind.EMPTY_BOX, f"{shown} is empty or inverted; box skipped")
    clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if not (np.float32(clipped[0]) < np.float32(clipped[2]) and np.float32(clipped[1]) < np.float32(clipped[3])):
        return None, (ProblemKind.BOX_OUTSIDE, f"{shown} is outside the {width} x {height} image; box skipped")
    if max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > OUTSIDE_TOLERANCE_PX:
        return clipped, (ProblemKind.BOX_OUTSIDE, f"{shown} extends beyond the {width} x {height} image; clipped")
    return clipped, None


def turned_bounds(box: Box, angle: float) -> Box:
    """The bounds of a box that is turned around its centre by an angle, radians, in either direction."""
    x1, y1, x2, y2 = box
    across = (abs((x2 - x1) * math.cos(angle)) + abs((y2 - y1) * math.sin(angle))) / 2
    down = (abs((x2 - x1) * math.sin(angle)) + abs((y2 - y1) * math.cos(angle))) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - across, y - down, x + across, y + down


def refuse(problems: Sequence[Problem]) -> None:
    """Implements `--strict`: refuses a set that has problems.

    Raises:
        DataError: if there is any problem; the message names the first.
    """
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        found = str(problems[0]).removesuffix("; image skipped").removesuffix("; box skipped")
        raise DataError(f"{found}{more}; fix the set, or leave out --strict to skip broken records")
