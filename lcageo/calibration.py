"""How probably a box of a given score is right, and how many of a scene's boxes probably are.

Scores of a detector rank boxes; they are no probabilities. A calibration maps a class's scores to the share of boxes of
that score that were right on validation images. It is monotonic, so it changes neither the order of boxes nor what
passes a threshold.

Source:
    Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

CONFIDENCE = 0.9
"""Probability with which the number of right boxes lies in the interval."""
_Z = 1.6448536269514722
"""The normal quantile between whose negative and itself that probability lies."""
SMALLEST = 1e-6
"""Scores are kept this far from 0 and 1, whose logarithms are infinite."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The probability of a score s is 1 / (1 + exp(-(a ln s - b ln(1 - s) + c))): s itself if a = b = 1 and c = 0."""

    a: float
    b: float
    c: float
    spread: float
    """Standard deviation of the log-odds of being right between data sets: how much worse, or better, the class is
    recognised in imagery of another origin."""

    def __post_init__(self) -> None:
        values = (self.a, self.b, self.c, self.spread)
        if not all(map(math.isfinite, values)) or min(self.a, self.b, self.spread) < 0:
            raise ValueError(f"a calibration needs finite numbers, a, b and spread from 0 on, not {values}")

    def as_json(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)

    def log_odds(self, score: float) -> float:
        """Log-odds of being right for a box of this score, 0 to 1."""
        s = min(max(score, SMALLEST), 1 - SMALLEST)
        return self.a * math.log(s) - self.b * math.log1p(-s) + self.c

    def probability(self, score: float) -> float:
        """Probability that a box of this score is right, 0 to 1."""
        return sigmoid(self.log_odds(score))


@dataclass(frozen=True, slots=True)
class Expected:
    """How many boxes of a class are probably right."""

    found: int
    right: float
    """Expected number of right ones."""
    low: float
    """Least number of right ones, with the probability `CONFIDENCE` that it lies between this and `high`."""
    high: float

    def as_json(self) -> dict[str, float]:
        """All numbers, those of right ones to a tenth."""
        return {name: round(value, 1) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.right:,.0f} ({math.floor(self.low):,} to {math.ceil(self.high):,})"


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds."""
    return 0.5 * (1 + math.tanh(log_odds / 2))  # never overflows


def expected(calibration: Calibration, counts: Mapping[float, int]) -> Expected:
    """The number of right boxes among boxes of a class.

    The interval covers two uncertainties, added in quadrature: which of the boxes are right, each by its own chance,
    and how well the class is recognised in imagery of this origin, which all boxes of a scene share.

    Args:
        calibration: of the class.
        counts: number of boxes by score.
    """
    odds = [(calibration.log_odds(score), count) for score, count in counts.items()]

    def mean(shift: float) -> float:
        return math.fsum(count * sigmoid(one + shift) for one, count in odds)

    right, found = mean(0.0), sum(counts.values())
    chance = math.fsum(count * sigmoid(one) * sigmoid(-one) for one, count in odds) * _Z**2
    low = right - math.hypot(math.sqrt(chance), right - mean(-_Z * calibration.spread))
    high = right + math.hypot(math.sqrt(chance), mean(_Z * calibration.spread) - right)
    return Expected(found, right, max(low, 0.0), min(high, float(found)))
