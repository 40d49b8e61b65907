from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.training.config import Schedule
from lcageo.training.optimizer import learning_rate_factor


def test_warmup_rises_evenly_to_the_full_rate() -> None:
    factors = [learning_rate_factor(Schedule.STEP, 4, step, step / 1000) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1]


def test_warmup_takes_no_more_than_a_tenth_of_a_short_run() -> None:
    assert learning_rate_factor(Schedule.STEP, 300, 10, 0.1) == 1


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (7, 1), (8, 0.1), (10, 0.1), (11, 0.01)])
def test_steps_fall_at_the_ninth_and_twelfth_epoch(epoch: int, factor: float) -> None:
    assert learning_rate_factor(Schedule.STEP, 0, epoch * 100, epoch / 12) == pytest.approx(factor)


def test_cosine_ends_at_a_hundredth_and_is_halfway_in_the_middle() -> None:
    at = [learning_rate_factor(Schedule.COSINE, 0, 0, progress) for progress in (0.0, 0.5, 1.0)]
    assert at == pytest.approx([1, 0.505, 0.01])


@given(st.sampled_from(list(Schedule)), st.integers(0, 500), st.integers(0, 10**6), st.floats(0, 1))
def test_the_rate_depends_on_the_position_and_never_leaves_its_range(
    schedule: Schedule, warmup: int, step: int, progress: float
) -> None:
    factor = learning_rate_factor(schedule, warmup, step, progress)
    assert 0 < factor <= 1 and math.isfinite(factor)
