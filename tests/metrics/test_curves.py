from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.reference import pycocotools_run, random_case

from lcageo.metrics.curves import COCO_RECALLS, Curve, curve_of


def curve(right: list[int], objects: int, scores: list[float] | None = None) -> Curve:
    falling = scores if scores is not None else np.linspace(1, 0.1, len(right)).tolist()
    return curve_of(np.array(falling, np.float64), np.array(right, np.bool_), objects)


def slow_points(scores: NDArray[np.float64], right: NDArray[np.bool_], objects: int) -> list[tuple[float, ...]]:
    """(score, precision, recall) at every score that occurs, by counting again at each."""
    points = []
    for score in sorted(set(scores.tolist()), reverse=True):
        kept = right[scores >= score]
        points.append((score, kept.sum() / len(kept), kept.sum() / objects))
    return points


def slow_average(points: list[tuple[float, ...]], recalls: list[float]) -> float:
    best = [max([precision for _, precision, reached in points if reached >= recall], default=0) for recall in recalls]
    return sum(best) / len(best)


@st.composite
def found(draw: st.DrawFn, ties: bool = True) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    count = draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    scores = rng.integers(1, 6, count) / 5 if ties else rng.permutation(count) / 100
    right = rng.random(count) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return scores, right, int(right.sum()) + draw(st.integers(0, 20))


@given(found(ties=False))
def test_both_average_precisions_are_those_of_a_slow_loop(
    case: tuple[NDArray[np.float64], NDArray[np.bool_], int],
) -> None:
    scores, right, objects = case
    if not objects:
        return
    points = slow_points(scores, right, objects)
    fast = curve_of(scores, right, objects)
    assert fast.average_precision() == pytest.approx(slow_average(points, COCO_RECALLS.tolist()))
    assert fast.voc07_average_precision() == pytest.approx(slow_average(points, [step / 10 for step in range(11)]))


@given(found())
def test_the_best_f1_is_that_of_a_slow_loop_and_cuts_no_tie(
    case: tuple[NDArray[np.float64], NDArray[np.bool_], int],
) -> None:
    scores, right, objects = case
    if not right.any():
        return
    points = [
        (2 * p * r / (p + r) if p + r else 0.0, score, p, r) for score, p, r in slow_points(scores, right, objects)
    ]
    f1, score, precision, recall = max(points, key=lambda point: (round(point[0], 12), point[1]))
    best = curve_of(scores, right, objects).best_f1()
    assert (best.f1, best.score) == pytest.approx((f1, score))
    assert (best.precision, best.recall) == pytest.approx((precision, recall))


@settings(max_examples=25)
@given(seed=st.integers(0, 100_000), ties=st.booleans())
def test_precision_at_cocos_recalls_is_that_of_pycocotools(seed: int, ties: bool) -> None:
    case = random_case(seed, classes=1, ties=ties)
    run = pycocotools_run(case)
    records = [image for image in run.evalImgs[: len(case.truths)] if image is not None]
    scores = np.concatenate([np.zeros(0), *(record["dtScores"] for record in records)])
    right = np.concatenate([np.zeros(0), *(record["dtMatches"][0] for record in records)]) > 0
    objects = sum(len(record["gtIds"]) for record in records)
    precision = curve_of(scores, right, objects).precision_at(COCO_RECALLS)
    theirs = run.eval["precision"][0, :, 0, 0, -1]
    assert precision == pytest.approx(theirs if objects else np.full(101, np.nan), nan_ok=True)


def test_a_recall_of_three_tenths_reaches_three_tenths() -> None:
    # np.linspace and np.arange both give 0.30000000000000004.
    assert curve([1, 1, 1], 10).voc07_average_precision() == pytest.approx(4 / 11)


def test_without_objects_there_is_nothing_to_measure() -> None:
    nothing = curve([0, 0], 0)
    assert math.isnan(nothing.average_precision()) and math.isnan(nothing.voc07_average_precision())
    best = nothing.best_f1()
    assert all(math.isnan(value) for value in (best.score, best.precision, best.recall, best.f1))


@pytest.mark.parametrize("right", [[], [0, 0, 0]])
def test_where_nothing_is_right_all_is_zero_and_no_score_is_best(right: list[int]) -> None:
    none = curve(right, 5)
    assert none.average_precision() == none.voc07_average_precision() == 0
    best = none.best_f1()
    assert math.isnan(best.score) and (best.precision, best.recall, best.f1) == (0, 0, 0)


def test_of_equally_good_scores_the_highest_is_best() -> None:
    # F1 is 2/3 after the first detection (1 of 1 right, 1 of 2 found) and after the fourth (2 of 4, 2 of 2).
    assert curve([1, 0, 0, 1], 2, [0.9, 0.8, 0.7, 0.6]).best_f1().score == 0.9
