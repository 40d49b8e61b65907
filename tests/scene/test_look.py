"""What the numbers of a tile measure, and distances against scalar formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lcageo.appearance import NUMBERS
from lcageo.scene.look import LIMIT_QUANTILE, STEP, appearance_of, look

FILL = (127, 127, 127)


def textured(seed: int, low: int = 60, high: int = 180, side: int = 128) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, (3, side, side), dtype=np.uint8)


def test_numbers_are_those_of_their_definitions() -> None:
    image = textured(0)
    image[1] = image[0]  # red and green go together, blue does not
    numbers = look(image, FILL)
    sample = image[:, ::STEP, ::STEP].reshape(3, -1).T / 255
    assert numbers[:3] == pytest.approx(sample.mean(axis=0))
    assert np.exp(numbers[3:6]) == pytest.approx(sample.std(axis=0), abs=2e-3)
    correlation = np.corrcoef(sample.T)
    assert math.tanh(numbers[7]) == pytest.approx(correlation[1, 2], abs=0.02)
    assert math.tanh(numbers[6]) > 0.98
    grey = image[:, ::STEP].mean(axis=0) / 255
    assert math.exp(numbers[9]) == pytest.approx(np.abs(np.diff(grey, axis=1)).mean(), abs=2e-3)


def test_pixels_without_data_do_not_count() -> None:
    image = textured(1)
    half = image.copy()
    half[:, :64] = np.reshape(FILL, (3, 1, 1))
    assert look(half, FILL) == pytest.approx(look(image[:, 64:], FILL))
    half[:, :126] = 127
    assert np.isnan(look(half, FILL)).all()
    assert np.isnan(look(np.full((3, 32, 32), 127, np.uint8), FILL)).all()


def test_what_was_seen_is_near_and_another_kind_is_far() -> None:
    rng = np.random.default_rng(2)
    seen = np.stack([look(textured(seed, 40 + rng.integers(30), 150 + rng.integers(60)), FILL) for seed in range(300)])
    appearance = appearance_of(seen)
    distances = np.array([appearance.distance(one.tolist()) for one in seen])
    assert np.mean(distances <= 1) == pytest.approx(LIMIT_QUANTILE, abs=0.01)
    assert appearance.distance(look(textured(999, 50, 170), FILL).tolist()) < 1
    grey = np.repeat(textured(3)[:1], 3, axis=0)
    assert appearance.distance(look(grey, FILL).tolist()) > 2
    assert appearance.distance([math.nan] * NUMBERS) is None
