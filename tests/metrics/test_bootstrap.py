"""Resampling by weights compared with evaluating sets in which images really occur several times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, random_case, truth

from lcageo.metrics import bootstrap
from lcageo.metrics.bootstrap import Interval, average_precisions, paired_difference, resample
from lcageo.metrics.summary import Evaluation, evaluate_detections


def evaluate(case: Case) -> Evaluation:
    return evaluate_detections(case.classes, case.truths, case.found)


def repeated(case: Case, times: np.ndarray) -> Case:
    """The set in which each image occurs a given number of times."""
    chosen = np.repeat(np.arange(len(times)), times).tolist()
    return Case(case.classes, [case.truths[index] for index in chosen], [case.found[index] for index in chosen])


@settings(max_examples=30)
@given(seed=st.integers(0, 100_000), difficult=st.sampled_from([0.0, 0.3]), partial=st.booleans())
def test_images_that_count_several_times_equal_images_that_occur_several_times(
    seed: int, difficult: float, partial: bool
) -> None:
    case = random_case(seed, images=8, difficult=difficult, partial=partial)
    times = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8), 5)
    figures = average_precisions(evaluate(case).matches, times)  # (5, K, 10)
    for row, some in zip(figures, times, strict=True):
        slow = evaluate(repeated(case, some)).per_class
        for of_class, one in zip(row, slow, strict=True):
            ours = (of_class[0], of_class[5], of_class.mean())
            assert ours == pytest.approx((one.ap50, one.ap75, one.ap50_95), nan_ok=True)


def test_every_image_once_gives_the_figures_themselves() -> None:
    evaluation = evaluate(random_case(5, difficult=0.1, partial=True))
    figures = average_precisions(evaluation.matches, np.ones((1, 12), np.int64))[0]
    assert np.nanmean(figures[:, 0]) == pytest.approx(evaluation.map50)
    assert np.nanmean(figures) == pytest.approx(evaluation.map50_95)


def test_resamples_are_sets_of_images_drawn_with_repetition() -> None:
    case = random_case(7, images=10)
    resampled = evaluate(case).resampled(40, seed=3)
    times = np.random.default_rng(3).multinomial(10, np.full(10, 0.1), 40)
    slow = [evaluate(repeated(case, some)) for some in times]
    assert resampled.map50 == pytest.approx(np.array([one.map50 for one in slow]))
    assert resampled.map75 == pytest.approx(np.array([one.map75 for one in slow]))
    assert resampled.map50_95 == pytest.approx(np.array([one.map50_95 for one in slow]))
    low, high = np.percentile([one.map50 for one in slow], [2.5, 97.5])
    assert resampled.map50_interval == Interval(pytest.approx(low), pytest.approx(high))
    assert resampled.as_json()["mAP50"] == pytest.approx([low, high])


def test_the_seed_alone_decides_and_the_chunks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = evaluate(random_case(8)).matches
    one = resample(matches, 50, seed=1)
    monkeypatch.setattr(bootstrap, "CHUNK", 300)
    assert (resample(matches, 50, seed=1).map50 == one.map50).all()
    assert (resample(matches, 50, seed=2).map50 != one.map50).any()


def test_two_models_are_compared_on_the_same_images() -> None:
    better = random_case(9)
    worse = Case(better.classes, better.truths, [one.selected(slice(0, None, 2)) for one in better.found])
    first, second = evaluate(better).matches, evaluate(worse).matches
    difference = paired_difference(first, second, 60, seed=4)
    apart = resample(first, 60, seed=4).map50 - resample(second, 60, seed=4).map50
    assert (difference.map50 == apart).all() and difference.seed == 4
    assert (paired_difference(first, first, 60).map50_95 == 0).all()
    assert np.ptp(apart) < np.ptp(resample(first, 60, seed=4).map50 - resample(second, 60, seed=5).map50)


@pytest.mark.parametrize("other", [random_case(10), random_case(9, images=11), random_case(9, classes=4)])
def test_models_on_different_sets_cannot_be_compared(other: Case) -> None:
    with pytest.raises(ValueError, match="evaluated on different images, objects or classes"):
        paired_difference(evaluate(random_case(9)).matches, evaluate(other).matches)


@pytest.mark.parametrize("truths", [[], [truth()]])
def test_without_objects_nothing_is_known(truths: list[object]) -> None:
    evaluation = evaluate_detections(("a", "b", "c"), truths, [found()] * len(truths))  # type: ignore[arg-type]
    resampled = evaluation.resampled(20)
    assert np.isnan(resampled.map50).all() and len(resampled.map50_95) == 20
    assert resampled.as_json() == {"resamples": 20, "seed": 0, "mAP50": None, "mAP75": None, "mAP50_95": None}
