"""Average precision over parts of the validation set: by set, by the objects' size and length, and by crowding.

Every detection is matched once, with all objects. In a part, objects of other parts and the detections matched with
them do not count. A detection without an object is wrong in the part that an object of its box would belong to.
COCO's figures by size differ a little: it matches again for every size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcageo.metrics.bootstrap import average_precisions
from lcageo.metrics.coco import AREAS_PX, SIZES
from lcageo.metrics.match import IOUS, Matches
from lcageo.metrics.truth import Counted, Floats, Index

Mask = NDArray[np.bool_]

WHOLE = "all objects"
LENGTHS_PX = {
    "under 16": (0.0, 16.0),
    "16 to 32": (16.0, 32.0),
    "32 to 64": (32.0, 64.0),
    "64 to 128": (64.0, 128.0),
    "128 or more": (128.0, 1e9),
}
"""Longer side of the box, pixels of the image."""
NEIGHBOURS = {"no neighbour": (0.0, 1.0), "1 to 3": (1.0, 4.0), "4 or more": (4.0, 1e9)}
NEAR = 2.0
"""Distance, in an object's longer sides, up to which others are its neighbours."""
RESAMPLES = 500
LEAST_OBJECTS = 10
"""Objects that a class needs in a part to count in its mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of the G objects, and of the D detections those that are wrong there if they have no object."""

    name: str
    objects: Mask
    """(G,)."""
    detections: Mask
    """(D,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A run's metrics on a part."""

    objects: int
    """Objects to find; classes likewise."""
    classes: int
    precisions: Floats
    """(1 + RESAMPLES, 10) at each of COCO's IoUs: on all images, then on resampled ones."""


def measure_parts(matches: Matches, sets: Sequence[str]) -> dict[str, Measured]:
    """Each part's metrics, for matches with all objects; sets as in parts_of."""
    images = matches.what.images
    # The same for all runs.
    drawn = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), RESAMPLES)
    times = np.append(np.ones((1, images)), drawn, axis=0).astype(np.int32)
    measured = {}
    for part in parts_of(matches.what, sets):
        counts = object_counts(matches.what, part)
        counts = counts[counts >= least_objects(part)]
        measured[part.name] = Measured(int(counts.sum()), len(counts), precisions(matches, part, times))
    return measured


def least_objects(part: Part) -> int:
    """Objects that a class needs to count in a part's mean."""
    return 1 if part.name == WHOLE else LEAST_OBJECTS


def parts_of(what: Counted, sets: Sequence[str]) -> list[Part]:
    """All parts; the first has everything.

    Args:
        what: objects and detections.
        sets: the name of each image's set. A single one is no part.
    """
    every = np.ones(len(what.difficult), np.bool_), np.ones(len(what.score), np.bool_)
    parts = [Part(WHOLE, *every)]
    names, which = np.unique(np.array(sets), return_inverse=True)
    if len(names) > 1:
        for index, name in enumerate(names.tolist()):
            parts.append(Part(f"set: {name}", which[what.truth_image] == index, which[what.found_image] == index))
    boxes = what.truth_xywh, what.found_xywh
    areas = dict(zip(SIZES, AREAS_PX[1:], strict=True))
    parts += _ranges("size", areas, *(one[:, 2:].prod(axis=1) for one in boxes))
    parts += _ranges("length, px", LENGTHS_PX, *(one[:, 2:].max(axis=1) for one in boxes))
    images = what.truth_image, what.found_image
    parts += _ranges("crowding", NEIGHBOURS, *(neighbours(*one, what) for one in zip(images, boxes, strict=True)))
    return parts


def _ranges(kind: str, ranges: Mapping[str, tuple[float, float]], objects: Floats, detections: Floats) -> list[Part]:
    """A part for each range of a value, from its first number to below its second."""
    return [
        Part(f"{kind}: {name}", (low <= objects) & (objects < high), (low <= detections) & (detections < high))
        for name, (low, high) in ranges.items()
    ]


def neighbours(images: Index, xywh: Floats, what: Counted) -> Floats:
    """(N,) number of objects of any class around N boxes: their centres lie outside the box, but NEAR its own.

    Args:
        images: (N,) each box's image.
        xywh: (N, 4).
        what: the objects.
    """
    counts = np.zeros(len(xywh))
    centres, others = xywh[:, :2] + xywh[:, 2:] / 2, what.truth_xywh[:, :2] + what.truth_xywh[:, 2:] / 2
    for image in np.intersect1d(images, what.truth_image).tolist():
        of_image = np.flatnonzero(images == image)
        apart = np.abs(others[what.truth_image == image] - centres[of_image, None])  # (N of the image, G of it, 2)
        is_outside = (apart > xywh[of_image, None, 2:] / 2).any(axis=2)
        is_near = np.hypot(*np.moveaxis(apart, 2, 0)) <= NEAR * xywh[of_image, 2:].max(axis=1)[:, None]
        counts[of_image] = (is_outside & is_near).sum(axis=1)
    return counts


def object_counts(what: Counted, part: Part) -> Index:
    """(K,) number of each class's objects to find in a part."""
    return np.bincount(what.truth_label[part.objects & ~what.difficult], minlength=what.classes)


def precisions(matches: Matches, part: Part, times: NDArray[np.int32]) -> Floats:
    """(B, 10) average precision at each of COCO's IoUs, the mean over the classes, when images count several times.

    Args:
        matches: matches with all objects.
        part: the part; classes with too few objects do not count, see least_objects.
        times: (B, N) how often each image counts.
    """
    what = matches.what
    nowhere = len(what.difficult)  # an object that forgives all detections of other parts
    truth = np.where((matches.truth < 0) & ~part.detections, np.int32(nowhere), matches.truth)
    of_part = replace(
        what,
        truth_image=np.append(what.truth_image, 0),
        truth_label=np.append(what.truth_label, 0),
        truth_xywh=np.append(what.truth_xywh, np.zeros((1, 4)), axis=0),
        difficult=np.append(what.difficult | ~part.objects, True),
    )
    enough = object_counts(what, part) >= least_objects(part)
    figures = average_precisions(Matches(of_part, truth), times)[:, enough]
    known = ~np.isnan(figures)
    total, count = np.where(known, figures, 0.0).sum(axis=1), known.sum(axis=1)
    means: Floats = np.divide(total, count, out=np.full((len(times), len(IOUS)), np.nan), where=count > 0)
    return means
