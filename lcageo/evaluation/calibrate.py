"""Fits the calibration of a model's scores to what was right on validation images of several origins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcageo.calibration import SMALLEST, Calibration, expected
from lcageo.metrics.summary import Evaluation

Floats = NDArray[np.float64]

MIN_SCORE = 0.1
"""Boxes that score less are not calibrated: nobody reads them, and there are so many that they would decide the fit."""
MIN_OBJECTS = 20
"""Classes with fewer objects in all sets are not calibrated. With so many, the fit itself is uncertain by about half a
unit of log-odds, far less than imagery of another origin makes it (`DEFAULT_SPREAD`)."""
MIN_BOXES = 10
"""Data sets with fewer boxes of a class say nothing about its spread."""
DEFAULT_SPREAD = 1.5
"""Standard deviation between data sets, log-odds, where fewer than two of them can tell."""
PRIOR_SETS = 2
"""Weight of the default spread, in data sets: so, intervals of `lca-s` hold on most of the sets left out of the fit."""
PRIOR = 2.0
"""Weight of the identity: as if that many boxes had come with it. It decides where few boxes were found."""
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Judged:
    """Boxes of one class in one data set."""

    scores: Floats
    right: NDArray[np.bool_]
    """Whether each box is an object's, at an IoU of 0.5 and better than all others of it."""

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """Concatenates parts; there is at least one."""
        return cls(np.concatenate([one.scores for one in parts]), np.concatenate([one.right for one in parts]))


def judged(evaluation: Evaluation) -> dict[str, Judged]:
    """The boxes of each class in an evaluated data set that score at least `MIN_SCORE`."""
    result = {}
    for one in evaluation.per_class:
        curve = one.curve
        hits = np.rint(curve.precision * np.arange(1, len(curve.scores) + 1))
        right = np.diff(hits, prepend=0.0) > 0.5
        enough = curve.scores >= MIN_SCORE
        if enough.any():
            result[one.name] = Judged(curve.scores[enough].astype(np.float64), right[enough])
    return result


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far calibrations can be trusted."""

    error: float
    """Expected calibration error over the boxes of all classes and sets."""
    predicted: int
    """Number of pairs of a data set and a class whose right boxes the other sets predicted."""
    covered: int
    """Number of those whose right boxes lay in the predicted interval."""


def calibrations(sets: Sequence[Evaluation]) -> dict[str, Calibration]:
    """The calibration of each class that has enough objects (`MIN_OBJECTS`) and was found in any of the sets.

    Args:
        sets: evaluation of each data set on its own; at least one.
    """
    boxes = [judged(one) for one in sets]
    result = {}
    for of_class in zip(*(one.per_class for one in sets), strict=True):
        name = of_class[0].name
        parts = [part[name] for part in boxes if name in part]
        if parts and sum(one.objects for one in of_class) >= MIN_OBJECTS:
            result[name] = replace(fit(Judged.joined(parts)), spread=spread(parts))
    return result


def reliability(
    sets: Sequence[Evaluation], fitted: Mapping[str, Calibration], thresholds: Mapping[str, float]
) -> Reliability:
    """Measures calibrations on the data sets that they were fitted to, and the intervals on sets left out of the fit.

    Args:
        sets: evaluation of each data set on its own.
        fitted: calibration per class, of all sets.
        thresholds: score per class above which boxes are counted.
    """
    boxes = [judged(one) for one in sets]
    probability, right = [np.zeros(0)], [np.zeros(0, np.bool_)]
    predicted = covered = 0
    for name, calibration in fitted.items():
        parts = [part[name] for part in boxes if name in part]
        probability += [_sigmoid(_log_odds(calibration, one.scores)) for one in parts]
        right += [one.right for one in parts]
        for index, one in enumerate(parts):
            counted = one.scores > thresholds[name]
            others = parts[:index] + parts[index + 1 :]
            if not others or counted.sum() < MIN_BOXES:
                continue
            blind = replace(fit(Judged.joined(others)), spread=spread(others))
            interval = expected(blind, Counter(one.scores[counted].tolist()))
            predicted += 1
            covered += int(interval.low <= one.right[counted].sum() <= interval.high)
    return Reliability(calibration_error(np.concatenate(probability), np.concatenate(right)), predicted, covered)


def fit(boxes: Judged) -> Calibration:
    """The curve of greatest likelihood with a, b >= 0, drawn towards the identity by `PRIOR`; its spread is 0.

    Source:
        Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017: logistic regression on ln s and -ln(1 - s).
    """
    features = _features(boxes.scores)
    free = np.array([True, True, True])
    while True:
        a, b, c = _fitted(features, boxes.right, free)
        negative = free & (np.array([a, b, 0.0]) < 0)
        if not negative.any():
            return Calibration(a, b, c, 0.0)
        free = free & ~negative


def spread(parts: Sequence[Judged]) -> float:
    """Standard deviation, between data sets, of the log-odds by which a set differs from what the others predict.

    The variance that the sets' own sampling explains is taken off; the default counts like `PRIOR_SETS` more sets.
    """
    large = [index for index, one in enumerate(parts) if len(one.scores) >= MIN_BOXES]
    if len(large) < 2:
        return DEFAULT_SPREAD
    shifts, variances = [], []
    for index in large:
        others = fit(Judged.joined([one for number, one in enumerate(parts) if number != index]))
        shift, variance = _shift(_log_odds(others, parts[index].scores), parts[index].right)
        shifts.append(shift)
        variances.append(variance)
    excess = float(np.sum(np.square(shifts)) - np.sum(variances))
    return math.sqrt(max(excess + PRIOR_SETS * DEFAULT_SPREAD**2, 0.0) / (len(large) + PRIOR_SETS))


def calibration_error(probability: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: the mean difference of predicted and true share, over equal intervals of probability.

    Source:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    if not len(probability):
        return 0.0
    which = np.minimum((probability * bins).astype(np.int64), bins - 1)
    difference = np.bincount(which, probability - right, minlength=bins)
    return float(np.abs(difference).sum() / len(probability))


def _features(scores: Floats) -> Floats:
    """(N, 3) what a, b and c of a calibration are multiplied with."""
    s = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return np.stack([np.log(s), -np.log1p(-s), np.ones_like(s)], axis=1)


def _log_odds(calibration: Calibration, scores: Floats) -> Floats:
    return np.array([calibration.log_odds(score) for score in scores.tolist()], np.float64)


def _sigmoid(log_odds: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(log_odds / 2)), np.float64)


def _fitted(features: Floats, right: NDArray[np.bool_], free: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Newton's method on the penalised likelihood; coefficients that are not free stay 0."""
    identity = np.array([1.0, 1.0, 0.0])
    weights = np.where(free, identity, 0.0)
    chosen = features[:, free]
    for _ in range(_STEPS):
        p = _sigmoid(features @ weights)
        slope = chosen.T @ (right - p) - PRIOR * (weights - identity)[free]
        curvature = (chosen * (p * (1 - p))[:, None]).T @ chosen + PRIOR * np.eye(chosen.shape[1])
        step = np.linalg.solve(curvature, slope)
        step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))  # far from the optimum, Newton's step overshoots
        weights[free] += step
        if np.abs(step).max() < 1e-9:
            break
    a, b, c = weights.tolist()
    return a, b, c


def _shift(log_odds: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    """The common shift of log-odds that explains how many boxes are right, and its sampling variance."""
    shift = 0.0
    for _ in range(_STEPS):
        p = _sigmoid(log_odds + shift)
        information = float((p * (1 - p)).sum()) + PRIOR / 4  # a weak prior: sets in which all is right stay finite
        step = (float(right.sum() - p.sum()) - shift * PRIOR / 4) / information
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    return shift, 1 / information
