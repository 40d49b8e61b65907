from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lcageo.data.augment import AugmentConfig
from lcageo.data.colour import HAZE, jittered, with_brightness, with_contrast, with_haze, with_saturation

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)


def plain(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255)


def test_brightness_multiplies_every_level() -> None:
    assert np.array_equal(with_brightness(IMAGE, 1.3), plain(IMAGE * 1.3))


def test_contrast_stretches_about_the_mean() -> None:
    mean = IMAGE[::4, ::4].mean()
    assert np.array_equal(with_contrast(IMAGE, 0.5), plain(mean + (IMAGE - mean) * 0.5))


def test_saturation_moves_between_grey_and_colour() -> None:
    grey = with_saturation(IMAGE, 0).astype(int)
    assert (grey == grey[:, :, :1]).all()
    expected = np.clip(grey + (IMAGE - grey) * 1.4, 0, 255)
    assert np.abs(with_saturation(IMAGE, 1.4) - expected).max() <= 1


def test_haze_fades_to_the_colour_of_the_air() -> None:
    assert np.array_equal(with_haze(IMAGE, 0.3), plain(IMAGE * 0.7 + np.array(HAZE) * 0.3))
    assert (with_haze(IMAGE, 1) == HAZE).all()


@pytest.mark.parametrize("change", [with_brightness, with_contrast, with_saturation])
def test_a_factor_of_one_changes_nothing(change: Callable[[np.ndarray, float], np.ndarray]) -> None:
    assert np.array_equal(change(IMAGE, 1), IMAGE)
    assert np.array_equal(with_haze(IMAGE, 0), IMAGE)


def test_jitter_follows_its_generator_and_leaves_the_image_as_it_was() -> None:
    config, before = AugmentConfig(haze_share=1), IMAGE.copy()
    first, again, other = (jittered(IMAGE, np.random.default_rng(seed), config) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other) and np.array_equal(IMAGE, before)
    none = AugmentConfig(brightness=0, contrast=0, saturation=0, haze_share=0)
    assert np.array_equal(jittered(IMAGE, np.random.default_rng(0), none), IMAGE)
