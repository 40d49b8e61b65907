"""The probability of a score, and the interval of the number of right boxes, against simulation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.calibration import CONFIDENCE, Calibration, expected

IDENTITY = Calibration(1.0, 1.0, 0.0, 0.0)
parameters = st.builds(
    Calibration, st.floats(0, 5), st.floats(0, 5), st.floats(-5, 5), st.floats(0, 3)
)  # fmt: skip


def test_a_score_that_needs_no_calibration_is_its_own_probability() -> None:
    for score in np.linspace(0.001, 0.999, 50).tolist():
        assert IDENTITY.probability(score) == pytest.approx(score)


@given(parameters, st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_probabilities_keep_the_order_of_scores(calibration: Calibration, scores: list[float]) -> None:
    values = [calibration.probability(score) for score in sorted(scores)]
    assert np.all(np.diff(values) >= -1e-12)
    assert min(values) >= 0 and max(values) <= 1


@given(parameters, st.dictionaries(st.floats(0, 1), st.integers(1, 9), max_size=20))
def test_the_number_of_right_boxes_is_the_sum_of_their_chances(
    calibration: Calibration, counts: dict[float, int]
) -> None:
    one = expected(calibration, counts)
    scores = np.repeat(list(counts), list(counts.values())) if counts else np.zeros(0)
    assert one.found == len(scores)
    assert one.right == pytest.approx(sum(map(calibration.probability, scores.tolist())))
    assert 0 <= one.low <= one.right + 1e-9 <= one.high + 2e-9 <= one.found + 3e-9


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_the_interval_covers_what_a_simulation_draws(spread: float) -> None:
    calibration, rng = Calibration(1.3, 0.8, 0.2, spread), np.random.default_rng(0)
    scores = rng.uniform(0.2, 0.95, 120)
    interval = expected(calibration, Counter(scores.tolist()))
    odds = np.log([calibration.probability(score) / (1 - calibration.probability(score)) for score in scores.tolist()])
    shifts = rng.normal(0.0, spread, 4000)[:, None] if spread else np.zeros((4000, 1))
    right = (rng.random((4000, 120)) < 1 / (1 + np.exp(-(odds + shifts)))).sum(axis=1)
    inside = np.mean((right >= interval.low) & (right <= interval.high))
    assert inside == pytest.approx(CONFIDENCE, abs=0.04)


def test_nothing_found_is_nothing_right() -> None:
    nothing = expected(IDENTITY, {})
    assert (nothing.found, nothing.right, nothing.low, nothing.high) == (0, 0, 0, 0)


@pytest.mark.parametrize("values", [(-1, 1, 0, 0), (1, 1, 0, -0.1), (1, float("nan"), 0, 0)])
def test_a_curve_that_falls_is_refused(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="calibration needs"):
        Calibration(*values)
