"""Bootstrap over images: how far mean average precision would vary with other images of the same kind.

An image that is drawn n times counts n times, its detections next to each other, so nothing is matched again: a
resample is one count per image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.metrics.curves import COCO_RECALLS
from lcageo.metrics.match import IOU_75, IOUS, Matches
from lcageo.metrics.truth import Counted, Floats

CHUNK = 1_000_000
"""Numbers held per array at a time: limits the memory."""
TAIL = 2.5
"""Per cent cut off on either side of an interval, which leaves the 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Range of a figure in 95 of 100 resamples."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> Interval:
        """The middle 95 % of some values, ignoring nan."""
        known = values[~np.isnan(values)]
        low, high = np.percentile(known, [TAIL, 100 - TAIL]) if len(known) else (np.nan, np.nan)
        return cls(float(low), float(high))

    def as_json(self) -> list[float] | None:
        """Low and high end; None where nothing is known."""
        return None if np.isnan(self.low) else [self.low, self.high]


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Figures of B resamples; nan where a resample has no objects."""

    seed: int
    map50: Floats
    """(B,)."""
    map75: Floats
    """(B,)."""
    map50_95: Floats
    """(B,)."""

    def __sub__(self, other: Resampled) -> Resampled:
        """The differences, resample by resample: meaningful if both drew the same images."""
        return Resampled(self.seed, self.map50 - other.map50, self.map75 - other.map75, self.map50_95 - other.map50_95)

    @property
    def map50_interval(self) -> Interval:
        """The 95 % interval of `map50`."""
        return Interval.of(self.map50)

    @property
    def map75_interval(self) -> Interval:
        """The 95 % interval of `map75`."""
        return Interval.of(self.map75)

    @property
    def map50_95_interval(self) -> Interval:
        """The 95 % interval of `map50_95`."""
        return Interval.of(self.map50_95)

    def as_json(self) -> dict[str, Any]:
        """The 95 % intervals."""
        return {
            "resamples": len(self.map50),
            "seed": self.seed,
            "mAP50": self.map50_interval.as_json(),
            "mAP75": self.map75_interval.as_json(),
            "mAP50_95": self.map50_95_interval.as_json(),
        }


def resample(matches: Matches, resamples: int = 1000, seed: int = 0) -> Resampled:
    """Mean average precision of sets of as many images, drawn from the given ones with replacement.

    Classes without an object in a resample do not enter its means. With the same seed, sets of the same size draw the
    same images.
    """
    images = matches.what.images
    times = np.zeros((resamples, 0), np.int32)
    if images:
        rng = np.random.default_rng(seed)
        times = rng.multinomial(images, np.full(images, 1 / images), resamples).astype(np.int32)
    figures = average_precisions(matches, times)
    means = (_mean_of_known(values) for values in (figures[:, :, 0], figures[:, :, IOU_75], figures.mean(axis=2)))
    return Resampled(seed, *means)


def paired_difference(first: Matches, second: Matches, resamples: int = 1000, seed: int = 0) -> Resampled:
    """How much better the first model is than the second, on the same resampled images.

    Raises:
        ValueError: if they were not evaluated on the same objects.
    """
    ours, theirs = first.what, second.what
    same = ours.images == theirs.images and ours.classes == theirs.classes
    if not (same and all(np.array_equal(a, b) for a, b in zip(_objects(ours), _objects(theirs), strict=True))):
        raise ValueError(
            "the two models were evaluated on different images, objects or classes; compare them on one set"
        )
    return resample(first, resamples, seed) - resample(second, resamples, seed)


def average_precisions(matches: Matches, times: NDArray[np.int32]) -> Floats:
    """(B, K, 10) average precisions when each image counts a given number of times.

    Args:
        matches: matches of N images.
        times: (B, N) how often each image counts.
    """
    what = matches.what
    right, left_out = matches.right, matches.left_out
    to_find = np.zeros((what.images, what.classes), np.int64)
    np.add.at(to_find, (what.truth_image[~what.difficult], what.truth_label[~what.difficult]), 1)
    objects = times @ to_find  # (B, K)
    figures = np.full((len(times), what.classes, len(IOUS)), np.nan)
    for label in np.flatnonzero(to_find.any(axis=0)).tolist():
        of_class = np.flatnonzero(what.found_label == label)
        of_class = of_class[np.argsort(-what.score[of_class], kind="stable")]
        some_right, some_out = right[:, of_class], left_out[:, of_class]
        step = max(1, CHUNK // max(len(of_class), 1))
        for start in range(0, len(times), step):
            part = slice(start, start + step)
            counts = times[part, what.found_image[of_class]]
            figures[part, label] = _of_class(counts, some_right, some_out, objects[part, label])
    return figures


def _of_class(
    counts: NDArray[np.int32], right: NDArray[np.bool_], left_out: NDArray[np.bool_], objects: NDArray[np.int64]
) -> Floats:
    """(B, 10) average precisions of one class; nan where there are no objects.

    Args:
        counts: (B, D) how often each of its detections counts, best score first.
        right: (10, D) as in Matches.
        left_out: (10, D) as in Matches.
        objects: (B,) number of objects.
    """
    kept = counts.cumsum(axis=1, dtype=np.int32)
    figures = []
    for hits, out in zip(right, left_out, strict=True):
        positions, lost = np.flatnonzero(hits), np.flatnonzero(out)
        down_to = kept[:, positions]
        if len(lost):
            gone = np.append(np.zeros((len(counts), 1), np.int32), counts[:, lost].cumsum(axis=1), axis=1)
            down_to = down_to - gone[:, np.searchsorted(lost, positions)]
        figures.append(_from_steps(counts[:, positions], down_to, objects))
    return np.stack(figures, axis=1)


def _from_steps(counts: NDArray[np.int32], kept: NDArray[np.int32], objects: NDArray[np.int64]) -> Floats:
    """(B,) average precisions; nan where there are no objects. Only right detections raise precision or recall.

    Args:
        counts: (B, R) how often each right detection counts, best score first.
        kept: (B, R) how many detections there are down to each.
        objects: (B,).
    """
    hits = counts.cumsum(axis=1, dtype=np.int32)
    precision = np.divide(hits, kept, out=np.zeros(hits.shape), where=kept > 0)
    recall = hits / np.maximum(objects, 1)[:, None]
    beyond = np.zeros((len(hits), hits.shape[1] + 1))
    beyond[:, :-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    rows = [best[np.searchsorted(steps, COCO_RECALLS)].mean() for best, steps in zip(beyond, recall, strict=True)]
    return np.where(objects > 0, rows, np.nan)


def _mean_of_known(values: Floats) -> Floats:
    """(B,) means of the rows of (B, K), ignoring nan; nan where all are."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    means: Floats = np.divide(total, known.sum(axis=1), out=np.full(len(values), np.nan), where=known.any(axis=1))
    return means


def _objects(what: Counted) -> tuple[NDArray[Any], ...]:
    return what.truth_image, what.truth_label, what.truth_xywh, what.difficult
