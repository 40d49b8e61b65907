"""Figures of the objects of each length, and false objects on images that have nothing to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.metrics.curves import curve_of
from lcageo.metrics.match import Matches
from lcageo.metrics.truth import Floats, ImageTruth, Index

LENGTHS_PX = (0.0, 8.0, 12.0, 20.0, 40.0, 96.0, float("inf"))
"""Borders of the length classes, pixels of the original image; a length on a border belongs to the upper class."""


@dataclass(frozen=True, slots=True, eq=False)
class LengthFigures:
    """Figures per class and length, (K, 6), at IoU 0.5; the length is a box's longer side."""

    objects: Index
    """Number of objects to find."""
    ap50: Floats
    """Average precision; nan without objects."""
    found: Index
    """Number of objects found above the class's threshold."""
    false: Index
    """Number of detections above the class's threshold that match nothing, by their own length."""


@dataclass(frozen=True, slots=True)
class EmptyFigures:
    """False objects on images that are annotated for all classes and have no object."""

    images: int
    megapixels: float
    false: int
    """Number of detections above the thresholds of their classes."""
    images_with_false: int

    @property
    def per_megapixel(self) -> float:
        """False objects per megapixel; nan without images."""
        return self.false / self.megapixels if self.megapixels else float("nan")


def length_names() -> tuple[str, ...]:
    """The length classes as table headings: "<8", "8-12", ..., ">=96"."""
    inner = [f"{low:g}-{high:g}" for low, high in pairwise(LENGTHS_PX[1:-1])]
    return (f"<{LENGTHS_PX[1]:g}", *inner, f">={LENGTHS_PX[-2]:g}")


def length_figures(matches: Matches, thresholds: Floats) -> LengthFigures:
    """Figures of the objects of each length, as COCO does with areas.

    Detections that match an object of another length, or nothing and have another length themselves, are neither right
    nor wrong. Unlike COCO's, the matches are those of all lengths together.

    Args:
        matches: of all detections.
        thresholds: (K,) scores that detections of a class must exceed to count as found.
    """
    what = matches.what
    shape = what.classes, len(LENGTHS_PX) - 1
    truth_bin, found_bin = _bins(what.truth_xywh), _bins(what.found_xywh)
    matched = matches.truth[0]
    right, left_out = matches.right[0], matches.left_out[0]
    own_bin = np.where(matched >= 0, np.append(truth_bin, 0)[matched], found_bin)
    counts = ~what.difficult
    objects = _counted(shape, what.truth_label[counts], truth_bin[counts])
    above = what.score > thresholds[what.found_label]
    ap50 = np.full(shape, np.nan)
    for label, length in np.argwhere(objects).tolist():
        chosen = (what.found_label == label) & (own_bin == length) & ~left_out
        curve = curve_of(what.score[chosen], right[chosen], int(objects[label, length]))
        ap50[label, length] = curve.average_precision()
    return LengthFigures(
        objects=objects,
        ap50=ap50,
        found=_counted(shape, what.found_label[right & above], own_bin[right & above]),
        false=_counted(shape, what.found_label[(matched < 0) & above], own_bin[(matched < 0) & above]),
    )


def empty_figures(
    classes: Sequence[str], truths: Sequence[ImageTruth], found: Sequence[Detections], thresholds: Mapping[str, float]
) -> EmptyFigures:
    """Counts what is found where nothing is.

    Args:
        classes: names of the labels.
        truths: ground truth, one per image.
        found: detections, one per image.
        thresholds: score that detections of each class must exceed.
    """
    minimum = np.array([thresholds[name] for name in classes])
    empty = [
        (truth, one)
        for truth, one in zip(truths, found, strict=True)
        if not len(truth.labels) and len(truth.labelled_classes) == len(classes)
    ]
    false = [int((one.scores > minimum[one.labels]).sum()) for _, one in empty]
    return EmptyFigures(
        images=len(empty),
        megapixels=sum(truth.width * truth.height for truth, _ in empty) / 1e6,
        false=sum(false),
        images_with_false=sum(count > 0 for count in false),
    )


def _bins(xywh: Floats) -> NDArray[np.intp]:
    borders = np.array(LENGTHS_PX[1:-1])
    return np.asarray(np.searchsorted(borders, xywh[:, 2:].max(axis=1, initial=0.0), side="right"), np.intp)


def _counted(shape: tuple[int, int], labels: Index, bins: NDArray[np.intp]) -> Index:
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (labels, bins), 1)
    return counts
