"""Variants of LCA-SA's alignment metric: two neighbours of alpha, of beta, and of the number of places per object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lcageo.detector import assign_aligned


@dataclass(frozen=True, slots=True)
class Metric:
    """m = s^alpha x b^beta, and how many of the best places an object gets."""

    alpha: float = assign_aligned.SCORE_POWER
    beta: float = assign_aligned.IOU_POWER
    places: int = assign_aligned.PLACES_PER_OBJECT


USUAL = Metric()
"""LCA-SA as it is."""
VARIANTS = {
    "alpha0.5": Metric(alpha=0.5),
    "alpha2": Metric(alpha=2.0),
    "beta4": Metric(beta=4.0),
    "beta8": Metric(beta=8.0),
    "places9": Metric(places=9),
    "places17": Metric(places=17),
}
"""By the end of a system's name, such as `lca+beta4`."""


@contextmanager
def assigning_by(metric: Metric) -> Iterator[None]:
    """Assigns by another metric for a while.

    The three numbers are constants of lcageo, not settings of a training: nobody should have to tune them.
    """
    _set(metric)
    try:
        yield
    finally:
        _set(USUAL)


def _set(metric: Metric) -> None:
    assign_aligned.SCORE_POWER = metric.alpha
    assign_aligned.IOU_POWER = metric.beta
    assign_aligned.PLACES_PER_OBJECT = metric.places
