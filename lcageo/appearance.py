"""How a tile looks, in eleven numbers, and how far that is from the images that a model was trained on.

A detector answers for any image, also for one unlike all that it has seen: infrared, fog, another sensor. Its scores do
not tell. Brightness, contrast, colour and texture do, roughly: they are compared with those of the training images.

Source:
    Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS
    2018: the Mahalanobis distance, there of a network's features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

NUMBERS = 11


def is_unfamiliar(distance: float | None) -> bool:
    """Whether a scene at this distance looks less like the training images than nearly all of them; None: not known."""
    return distance is not None and distance > 1


@dataclass(frozen=True, slots=True)
class Appearance:
    """The normal distribution of the numbers of a model's training images; `lcageo.scene.look` measures them."""

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of their covariance matrix."""
    limit: float
    """Distance below which 95 % of the training images lie."""

    def __post_init__(self) -> None:
        shapes = len(self.mean), *map(len, self.precision)
        values = [self.limit, *self.mean, *(value for row in self.precision for value in row)]
        if shapes != (NUMBERS,) * (NUMBERS + 1) or not all(map(math.isfinite, values)) or self.limit <= 0:
            raise ValueError(
                f"an appearance needs {NUMBERS} means, as many rows of as many numbers, and a limit above 0"
            )

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Appearance:
        """The distribution in an entry of a card, which has lists."""
        return cls(tuple(entry["mean"]), tuple(map(tuple, entry["precision"])), entry["limit"])

    def distance(self, numbers: Sequence[float]) -> float | None:
        """Mahalanobis distance of a tile's numbers from the training images, in units of the limit; None for nan."""
        difference = [number - mean for number, mean in zip(numbers, self.mean, strict=True)]
        rows = (sum(map(mul, row, difference)) for row in self.precision)
        squared = sum(map(mul, difference, rows))
        return None if math.isnan(squared) else math.sqrt(max(squared, 0.0)) / self.limit
