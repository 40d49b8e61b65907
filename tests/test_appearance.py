"""Distances from training images, against scalar formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lcageo.appearance import NUMBERS, Appearance


def test_the_distance_is_that_of_independent_numbers_where_they_are() -> None:
    identity = tuple(tuple(float(i == j) for j in range(NUMBERS)) for i in range(NUMBERS))
    appearance = Appearance((0.5,) * NUMBERS, identity, 2.0)
    numbers = np.random.default_rng(4).normal(size=NUMBERS)
    assert appearance.distance(numbers.tolist()) == pytest.approx(math.dist(numbers, [0.5] * NUMBERS) / 2)


@pytest.mark.parametrize(("mean", "limit"), [((0.0,) * 3, 1.0), ((math.nan,) * NUMBERS, 1.0), ((0.0,) * NUMBERS, 0.0)])
def test_an_incomplete_distribution_is_refused(mean: tuple[float, ...], limit: float) -> None:
    with pytest.raises(ValueError, match="appearance needs"):
        Appearance(mean, ((0.0,) * NUMBERS,) * NUMBERS, limit)
