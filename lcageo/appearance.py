"""How a tile looks, in eleven numbers, and how far that is from the images that a model was trained on.

A detector answers for any image, also for one unlike all that it has seen: infrared, fog, another sensor. Its scores do
not tell. Brightness, contrast, colour and texture do, roughly: they are compared with those of the training images.

Source:
    Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS
    2018: the Mahalanobis distance, there of a network's features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NUMBERS = 11
STEP = 4
"""Every so many rows and columns are looked at: enough for these numbers, and a hundredth of the network's time."""
MIN_VALID = 0.05
"""Share of a tile's pixels that must hold data."""
LIMIT_QUANTILE = 0.95
"""Share of the training images that lie within the limit."""
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Appearance:
    """The normal distribution of the numbers of a model's training images."""

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of their covariance matrix."""
    limit: float
    """Distance below which `LIMIT_QUANTILE` of the training images lie."""

    def __post_init__(self) -> None:
        shapes = len(self.mean), *map(len, self.precision)
        values = [self.limit, *self.mean, *(value for row in self.precision for value in row)]
        if shapes != (NUMBERS,) * (NUMBERS + 1) or not all(map(math.isfinite, values)) or self.limit <= 0:
            raise ValueError(
                f"an appearance needs {NUMBERS} means, as many rows of as many numbers, and a limit above 0"
            )

    @classmethod
    def of(cls, numbers: Floats) -> Appearance:
        """The distribution of the numbers of training images, (N, 11), N well above 11."""
        precision = np.asarray(np.linalg.inv(np.cov(numbers.T)), np.float64)
        mean = numbers.mean(axis=0)
        limit = np.quantile(_distances(numbers, mean, precision), LIMIT_QUANTILE)
        return cls(tuple(mean.tolist()), tuple(tuple(row) for row in precision.tolist()), float(limit))

    def distance(self, numbers: Floats) -> float | None:
        """Mahalanobis distance of a tile's numbers from the training images, in units of the limit; None for nan."""
        distance = float(_distances(numbers[None], np.array(self.mean), np.array(self.precision))[0]) / self.limit
        return None if math.isnan(distance) else distance


def _distances(numbers: Floats, mean: Floats, precision: Floats) -> Floats:
    difference = numbers - mean
    return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", difference, precision, difference)))


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
