"""Ground truth of images, and the detections that are evaluated against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Boxes, Detections

Index = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ImageTruth:
    """Ground truth of one image; it may have no objects (N = 0)."""

    width: int
    """Width in pixels; height likewise."""
    height: int
    boxes_xyxy: Boxes
    """(N, 4) continuous pixels."""
    labels: Index
    """(N,) indices into the classes."""
    difficult: NDArray[np.bool_]
    """(N,) True for objects that are ignored: neither found nor missed."""
    labelled_classes: tuple[int, ...]
    """Classes that the image is annotated for. Detections of the others are neither right nor wrong."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes_xyxy.shape != (count, 4) or self.labels.shape != (count,) or self.difficult.shape != (count,):
            raise ValueError(
                f"boxes {self.boxes_xyxy.shape}, labels {self.labels.shape} and difficult {self.difficult.shape} "
                "do not describe the same objects; expected (N, 4), (N,) and (N,)"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The detections and objects of some images that count: D detections and G objects, sorted by image and then class.

    Detections of an image and class are in order of score, best first; objects are in the given order. Boxes are x, y,
    width, height as in COCO: bit for bit what the COCO library works on.
    """

    images: int
    classes: int
    labelled: Index
    """(K,) number of images annotated for each class."""
    found_image: Index
    """(D,) index of the image."""
    found_label: Index
    found_xywh: Floats
    """(D, 4)."""
    score: Floats
    """(D,)."""
    truth_image: Index
    """(G,)."""
    truth_label: Index
    truth_xywh: Floats
    """(G, 4)."""
    difficult: NDArray[np.bool_]
    """(G,)."""

    @property
    def found_group(self) -> Index:
        """(D,) one number per image and class, ascending."""
        return self.found_image * self.classes + self.found_label

    @property
    def truth_group(self) -> Index:
        """(G,) one number per image and class, ascending."""
        return self.truth_image * self.classes + self.truth_label

    def objects(self) -> Index:
        """(K,) number of objects of each class to find."""
        return np.bincount(self.truth_label[~self.difficult], minlength=self.classes)


def counted(classes: int, truths: Sequence[ImageTruth], found: Sequence[Detections], max_per_image: int) -> Counted:
    """Selects the objects and detections of some images that count.

    On an image that is not annotated for a class, nothing of that class counts, neither detections nor objects.

    Args:
        classes: number of classes.
        truths: ground truth, one per image.
        found: detections, one per image.
        max_per_image: maximum number of detections of each class that count, as COCO's maxDets.

    Raises:
        ValueError: if truths and detections differ in number, or a label is outside the classes.
    """
    if len(truths) != len(found):
        raise ValueError(f"{len(truths)} images have a truth, {len(found)} have detections; give one of each per image")
    marks = _labelled(classes, truths)
    found_image = np.repeat(np.arange(len(found)), [len(one) for one in found])
    truth_image = np.repeat(np.arange(len(truths)), [len(one.labels) for one in truths])
    detections = Detections.joined(found)
    labels, boxes, difficult = _joined(truths)
    for which in (detections.labels, labels):
        if len(which) and not 0 <= which.min() <= which.max() < classes:
            raise ValueError(f"labels {which.min()} to {which.max()} are not all indices of {classes} classes")
    scores = detections.scores.astype(np.float64)
    best = _best(found_image * classes + detections.labels, scores, max_per_image)
    best = best[marks[found_image[best], detections.labels[best]]]
    order = np.argsort(truth_image * classes + labels, kind="stable")
    order = order[marks[truth_image[order], labels[order]]]
    return Counted(
        images=len(truths),
        classes=classes,
        labelled=marks.sum(axis=0),
        found_image=found_image[best],
        found_label=detections.labels[best],
        found_xywh=_xywh(detections.boxes_xyxy[best]),
        score=scores[best],
        truth_image=truth_image[order],
        truth_label=labels[order],
        truth_xywh=_xywh(boxes[order]),
        difficult=difficult[order],
    )


def _labelled(classes: int, truths: Sequence[ImageTruth]) -> NDArray[np.bool_]:
    """(images, K) which classes each image is annotated for."""
    marks = np.zeros((len(truths), classes), np.bool_)
    for mark, truth in zip(marks, truths, strict=True):
        mark[list(truth.labelled_classes)] = True
    return marks


def _joined(truths: Sequence[ImageTruth]) -> tuple[Index, Floats, NDArray[np.bool_]]:
    labels = np.concatenate([np.zeros(0, np.int64), *(truth.labels for truth in truths)])
    boxes = np.concatenate([np.zeros((0, 4)), *(truth.boxes_xyxy for truth in truths)])
    return labels, boxes, np.concatenate([np.zeros(0, np.bool_), *(truth.difficult for truth in truths)])


def _best(groups: Index, scores: Floats, limit: int) -> Index:
    """Indices of the `limit` best of each group, sorted by group and then score; equal scores keep their order."""
    order = np.lexsort((-scores, groups))  # stable
    ordered = groups[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return np.asarray(order[rank < limit], np.int64)


def _xywh(boxes_xyxy: Boxes) -> Floats:
    boxes = boxes_xyxy.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
