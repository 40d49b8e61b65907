"""The fit of a calibration, against its own likelihood and against data of known curves."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from lcageo.calibration import Calibration
from lcageo.evaluation.calibrate import (
    DEFAULT_SPREAD,
    MIN_OBJECTS,
    MIN_SCORE,
    PRIOR,
    PRIOR_SETS,
    Judged,
    calibration_error,
    calibrations,
    fit,
    judged,
    reliability,
    spread,
)
from lcageo.metrics.summary import Evaluation, evaluate_detections
from tests.support.reference import found, truth


def drawn(calibration: Calibration, count: int, seed: int, shift: float = 0.0) -> Judged:
    """Boxes of uniform scores that are right as the calibration says."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.1, 0.99, count)
    odds = np.array([calibration.log_odds(score) for score in scores.tolist()]) + shift
    return Judged(scores, rng.random(count) < 1 / (1 + np.exp(-odds)))


def probabilities(calibration: Calibration, scores: Iterable[float]) -> np.ndarray:
    return np.array([calibration.probability(float(score)) for score in scores])


def penalised(values: np.ndarray, boxes: Judged) -> float:
    odds = values[0] * np.log(boxes.scores) - values[1] * np.log1p(-boxes.scores) + values[2]
    loss = np.logaddexp(0, np.where(boxes.right, -odds, odds)).sum()
    return float(loss + PRIOR / 2 * np.sum((values - [1, 1, 0]) ** 2))


@pytest.mark.parametrize("true", [Calibration(1.5, 0.7, 0.3, 0), Calibration(0.2, 2.0, -1, 0), Calibration(1, 0, 1, 0)])
def test_no_other_curve_is_likelier(true: Calibration) -> None:
    """The likelihood is concave, so that the best among all neighbours is the best of all."""
    boxes, rng = drawn(true, 300, 1), np.random.default_rng(0)
    fitted = fit(boxes)
    best = np.array([fitted.a, fitted.b, fitted.c])
    for size in (1.0, 0.1, 0.01):
        for step in rng.normal(0, size, (200, 3)):
            other = best + step
            other[:2] = np.maximum(other[:2], 0)
            assert penalised(other, boxes) >= penalised(best, boxes) - 1e-9


def test_much_data_gives_the_curve_that_made_it() -> None:
    true = Calibration(1.5, 0.7, 0.3, 0)
    boxes, some = drawn(true, 40_000, 2), [0.2, 0.5, 0.8]
    assert probabilities(fit(boxes), some) == pytest.approx(probabilities(true, some), abs=0.02)
    assert calibration_error(probabilities(fit(boxes), boxes.scores), boxes.right) < 0.01


def test_a_falling_curve_becomes_flat() -> None:
    scores = np.linspace(0.1, 0.9, 400)
    fitted = fit(Judged(scores, scores < 0.5))
    assert min(fitted.a, fitted.b) == 0
    assert np.all(np.diff(probabilities(fitted, scores)) >= 0)


def test_two_boxes_leave_scores_nearly_as_they_are() -> None:
    boxes = Judged(np.array([0.5, 0.6]), np.array([True, True]))
    assert probabilities(fit(boxes), [0.3, 0.7]) == pytest.approx([0.3, 0.7], abs=0.15)


def test_the_spread_is_that_of_the_sets() -> None:
    true, rng = Calibration(1.2, 1.0, 0.0, 0), np.random.default_rng(3)
    sets = [drawn(true, 400, seed, shift) for seed, shift in enumerate(rng.normal(0, 0.7, 60))]
    assert spread(sets) == pytest.approx(0.7, abs=0.15)
    alike = [drawn(true, 400, seed) for seed in range(60)]
    assert spread(alike) == pytest.approx(math.sqrt(PRIOR_SETS / (60 + PRIOR_SETS)) * DEFAULT_SPREAD, abs=0.05)
    assert spread(alike[:2]) == pytest.approx(math.sqrt(PRIOR_SETS / (2 + PRIOR_SETS)) * DEFAULT_SPREAD, abs=0.1)
    assert spread(sets[:1]) == DEFAULT_SPREAD


def test_right_boxes_are_those_that_match_an_object() -> None:
    evaluation = evaluate_detections(
        ["ship", "car"],
        [truth([(0, 0, 10, 10)], [0], labelled=(0, 1))],
        [
            found(
                [(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60), (80, 80, 90, 90)],
                [0.9, 0.8, 0.7, MIN_SCORE / 2],
                [0, 0, 0, 0],
            )
        ],
    )
    boxes = judged(evaluation)
    assert set(boxes) == {"ship"}
    assert boxes["ship"].scores == pytest.approx([0.9, 0.8, 0.7])
    assert boxes["ship"].right.tolist() == [True, False, False]


def row_of_ships(objects: int) -> Evaluation:
    """So many objects in a row; every other one is found, with a false box above it."""
    place = np.arange(objects) * 12.0
    boxes = np.stack([place, place * 0, place + 10, place * 0 + 10], axis=1)
    some = np.concatenate([boxes[::2], boxes[::2] + [0, 20, 0, 20]])
    scores = np.linspace(0.9, 0.2, len(some))
    truths = [truth(boxes, [0] * objects, labelled=(0, 1))]
    return evaluate_detections(["ship", "car"], truths, [found(some, scores, [0] * len(some))])


@pytest.mark.parametrize("counts", [[MIN_OBJECTS], [MIN_OBJECTS, 0], [MIN_OBJECTS // 2, MIN_OBJECTS // 2]])
def test_a_class_needs_enough_objects_in_all_sets_together(counts: list[int]) -> None:
    sets = [row_of_ships(count) for count in counts]
    fitted = calibrations(sets)
    assert set(fitted) == {"ship"}, "no car was ever found"
    assert calibrations([*map(row_of_ships, [MIN_OBJECTS - 1, *counts[2:]])]) == {}
    trust = reliability(sets, fitted, {"ship": 0.1, "car": 0.1})
    assert 0 <= trust.error < 0.5
    if len(counts) == 1:
        assert fitted["ship"].spread == DEFAULT_SPREAD and trust.predicted == 0


def test_intervals_are_judged_by_sets_left_out() -> None:
    """Three like sets predict each other; a fourth in which all is wrong lies in no interval."""

    def evaluated(wrong: bool, seed: int) -> Evaluation:
        rng = np.random.default_rng(seed)
        place = np.arange(30) * 12.0
        boxes = np.stack([place, place, place + 10, place + 10], axis=1)
        scores = rng.uniform(0.3, 0.9, 30)
        hit = (rng.random(30) < scores) & (not wrong)
        objects = boxes[hit]
        return evaluate_detections(
            ["ship"], [truth(objects, [0] * len(objects), labelled=(0,))], [found(boxes, scores, [0] * 30)]
        )

    like = [evaluated(False, seed) for seed in range(3)]
    trust = reliability(like, calibrations(like), {"ship": 0.2})
    assert (trust.predicted, trust.covered) == (3, 3)
    assert trust.error < 0.1
    mixed = [*like, evaluated(True, 9)]
    worse = reliability(mixed, calibrations(mixed), {"ship": 0.2})
    assert worse.predicted == 4
    assert worse.covered < 4


def test_the_error_is_the_mean_difference_over_the_bins() -> None:
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(probability, np.array([False, False, True, True])) == pytest.approx(0.05)
    assert calibration_error(probability, np.array([True, True, False, False])) == pytest.approx(0.95)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0
