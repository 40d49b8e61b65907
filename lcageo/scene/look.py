"""Measures how tiles and training images look, for `lcageo.appearance`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcageo.appearance import NUMBERS, Appearance

Floats = NDArray[np.float64]

STEP = 4
"""Every so many rows and columns are looked at: enough for these numbers, and a hundredth of the network's time."""
MIN_VALID = 0.05
"""Share of a tile's pixels that must hold data."""
LIMIT_QUANTILE = 0.95
"""Share of the training images that lie within the limit."""
_LEAST = 1e-3


def appearance_of(numbers: Floats) -> Appearance:
    """The distribution of the numbers of training images.

    Args:
        numbers: (N, 11) by `look`, N well above 11.
    """
    mean, precision = numbers.mean(axis=0), np.linalg.inv(np.cov(numbers.T))
    difference = numbers - mean
    distances = np.sqrt(np.einsum("ni,ij,nj->n", difference, precision, difference))
    limit = float(np.quantile(distances, LIMIT_QUANTILE))
    return Appearance(tuple(mean.tolist()), tuple(map(tuple, precision.tolist())), limit)


def look(image: NDArray[np.uint8], fill: tuple[int, int, int]) -> Floats:
    """The numbers of a tile.

    Args:
        image: (3, H, W) red, green, blue.
        fill: colour of pixels without data.

    Returns:
        (11,) mean of each band, log of its standard deviation, correlation of red and green, green and blue, red and
        blue (Fisher's z), and log of the texture at one and at `STEP` pixels; nan throughout for a tile with less than
        `MIN_VALID` data.
    """
    rows = image[:, ::STEP]
    valid = (rows != np.array(fill, np.uint8)[:, None, None]).any(axis=0)
    seen = rows[:, :, ::STEP][:, valid[:, ::STEP]].T.astype(np.float64) / 255
    if valid.mean() < MIN_VALID or len(seen) < 2:
        return np.full(NUMBERS, np.nan)
    deviation = seen.std(axis=0) + _LEAST
    standard = (seen - seen.mean(axis=0)) / deviation
    pairs = [(standard[:, one] * standard[:, other]).mean() for one, other in ((0, 1), (1, 2), (0, 2))]
    correlation = np.arctanh(np.clip(pairs, -1 + _LEAST, 1 - _LEAST))
    grey = rows.mean(axis=0) / 255
    texture = [_texture(grey, valid, 1), _texture(grey, valid, STEP)]
    return np.concatenate([seen.mean(axis=0), np.log(deviation), correlation, np.log(np.add(texture, _LEAST))])


def _texture(grey: Floats, valid: NDArray[np.bool_], step: int) -> float:
    """Mean difference of brightness between pixels with data that lie `step` columns apart."""
    both = valid[:, step:] & valid[:, :-step]
    return float(np.abs(grey[:, step:] - grey[:, :-step])[both].mean()) if both.any() else 0.0
