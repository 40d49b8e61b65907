"""Measures how tiles and training images look, for `lcageo.appearance`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lcageo.appearance import NUMBERS, Appearance

Floats = NDArray[np.float64]

STEP = 4
"""Every so many rows and columns are looked at: enough for these numbers, in a hundredth of the network's time."""
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
    valid = (rows[0] != fill[0]) | (rows[1] != fill[1]) | (rows[2] != fill[2])
    columns = rows[:, :, ::STEP]
    colours = columns.reshape(3, -1) if valid.all() else columns[:, valid[:, ::STEP]]  # the second takes far longer
    seen = colours.astype(np.float64) / 255
    if valid.mean() < MIN_VALID or seen.shape[1] < 2:
        return np.full(NUMBERS, np.nan)
    mean = seen.mean(axis=1)
    centred = seen - mean[:, None]
    # Not `@`, whose threads would take the processor from the network, for longer than this takes.
    covariance = np.einsum("in,jn->ij", centred, centred) / seen.shape[1]
    deviation = np.sqrt(covariance.diagonal()) + _LEAST
    pairs = [covariance[one, other] / (deviation[one] * deviation[other]) for one, other in ((0, 1), (1, 2), (0, 2))]
    correlation = np.arctanh(np.clip(pairs, -1 + _LEAST, 1 - _LEAST))
    brightness = rows[0].astype(np.int16) + rows[1] + rows[2]
    texture = [_texture(brightness, valid, 1), _texture(brightness, valid, STEP)]
    return np.concatenate([mean, np.log(deviation), correlation, np.log(np.add(texture, _LEAST))])


def _texture(brightness: NDArray[np.int16], valid: NDArray[np.bool_], step: int) -> float:
    """Mean difference of brightness, 0 to 1, between pixels with data that lie `step` columns apart."""
    differences = np.abs(brightness[:, step:] - brightness[:, :-step])
    both = valid[:, step:] & valid[:, :-step]
    count = int(np.count_nonzero(both))
    if count < both.size:
        differences[~both] = 0
    return float(differences.sum(dtype=np.int64)) / (3 * 255 * max(count, 1))
