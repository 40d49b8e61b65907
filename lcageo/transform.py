"""Coordinates from one CRS to another, and how accurate that is."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.network import is_network_enabled, set_network_enabled  # type: ignore[attr-defined]  # imported there
from pyproj.transformer import AreaOfInterest, TransformerGroup

from lcageo.geodesy import longitude_latitude

FloatArray = NDArray[np.float64]

EXACT_M = 1.0
"""EPSG's accuracy where nothing is transformed, as from ETRS89 to WGS 84: nobody can do better."""
PIXELS = 2.0
"""Displacement that is told, in pixels of the scene."""
_NETWORK = threading.Lock()
"""Held while PROJ's network is off, which is a setting of the whole process."""


class Transform:
    """Moves x and y from one CRS to another, x before y in both; not finite where that is not possible.

    With PROJ's network on (PROJ_NETWORK, which conda sets), PROJ counts on grids that it will fetch, and gives nothing
    if it cannot. Then the best of the transformations at hand is used, as if the network were off.
    """

    def __init__(self, source: pyproj.CRS, target: pyproj.CRS) -> None:
        """Raises pyproj's ProjError if there is no transformation."""
        self._ends = source, target
        self._usual = pyproj.Transformer.from_crs(source, target, always_xy=True)
        self._at_hand: pyproj.Transformer | None = None

    def __call__(self, xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X and y in the target's CRS, same shape as given."""
        there = np.asarray(self._usual.transform(xs, ys), np.float64)
        lost = np.isfinite(xs) & np.isfinite(ys) & ~np.isfinite(there).all(axis=0)
        if lost.any() and is_network_enabled():
            there[:, lost] = self._without_network().transform(np.asarray(xs)[lost], np.asarray(ys)[lost])
        return there[0], there[1]

    def operation(self, x: float, y: float) -> pyproj.Transformer:
        """PROJ's operation at a place; raises ProjError if there is none."""
        for transformer in (self._usual, *([self._without_network()] if is_network_enabled() else [])):
            if np.isfinite(transformer.transform(x, y)).all():
                break
        return transformer.get_last_used_operation()

    def _without_network(self) -> pyproj.Transformer:
        if self._at_hand is None:
            with _NETWORK:
                set_network_enabled(False)
                try:
                    self._at_hand = pyproj.Transformer.from_crs(*self._ends, always_xy=True)
                finally:
                    set_network_enabled(True)
        return self._at_hand


def no_way(what: str, crs: pyproj.CRS, other: pyproj.CRS) -> str:
    """The message where PROJ has no transformation, as from a local grid, which has no place on the Earth."""
    return (
        f"{what} is in {crs.name!r}, from which no transformation leads to {other.name!r}; assign the right CRS, for "
        "instance with 'ogr2ogr -a_srs EPSG:CODE OUT IN'"
    )


def accuracy_warnings(
    what: str, pairs: Iterable[tuple[pyproj.CRS | None, pyproj.CRS | None, float, float]], pixel_m: float | None
) -> tuple[str, ...]:
    """Tells how accurate transformations are, if that is worse than some pixels; each line once.

    Args:
        what: is transformed, for the message: 'positions of ...'.
        pairs: source, target, and x and y of a place in the source. Pairs of equal CRS, or without, are passed over.
        pixel_m: the scene's pixel on the ground; None: not known.
    """
    limit_m = max(EXACT_M, PIXELS * (pixel_m or 0.0))
    lines = []
    for source, target, x, y in pairs:
        if source is not None and target is not None and source != target:
            digits = 1 if source.is_geographic else -4  # about ten kilometres: many scenes share one answer
            lines.append(_told(source, target, round(x, digits), round(y, digits), limit_m))
    return tuple(dict.fromkeys(f"{what} {line}" for line in lines if line))


@lru_cache(maxsize=1024)
def _told(source: pyproj.CRS, target: pyproj.CRS, x: float, y: float, limit_m: float) -> str:
    """What is wrong with the accuracy of a transformation; empty if nothing is."""
    if source.geodetic_crs is None or target.geodetic_crs is None:
        return ""
    try:
        used = Transform(source, target).operation(x, y)
    except pyproj.exceptions.ProjError:
        return ""  # nothing is transformed, or it fails: whoever transforms reports that
    ends = f"from {source.name} to {target.name}"
    unknown = "Ballpark" in used.description
    accuracy = used.accuracy or 0.0
    if not unknown and accuracy <= limit_m:
        return ""
    about = "have an unknown accuracy" if unknown else f"are accurate to about {accuracy:g} m"
    grids = _better_grids(source, target, x, y, np.inf if unknown else accuracy)
    if not grids:
        return f"{about}: PROJ knows no better transformation {ends}"
    names = " and ".join(f"'{name}'" for name in grids)
    if is_network_enabled():
        return f"{about}: PROJ could not fetch the grid {names} for a better transformation {ends}; check the network"
    commands = " and ".join(f"'pyproj sync --file {name}'" for name in grids)
    return (
        f"{about}: a better transformation {ends} requires the grid {names}, which is not installed; install it with "
        f"{commands}, or set PROJ_NETWORK=ON"
    )


def _better_grids(source: pyproj.CRS, target: pyproj.CRS, x: float, y: float, accuracy: float) -> list[str]:
    """Names of the grids that the most accurate transformation at a place requires, if that is another one."""
    longitude, latitude = longitude_latitude(source, x, y)
    if not np.isfinite([longitude, latitude]).all():
        return []
    place = AreaOfInterest(longitude, latitude, longitude, latitude)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the best one is not available
        group = TransformerGroup(source, target, always_xy=True, area_of_interest=place)
    found = [(one.accuracy, [grid.short_name for grid in one.grids]) for one in group.unavailable_operations]
    found += [(one.accuracy, re.findall(r"grids=(\S+)", one.definition)) for one in group.transformers]
    better = [(value, names) for value, names in found if names and 0 <= value < accuracy]
    return min(better)[1] if better else []
