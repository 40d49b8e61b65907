"""Which objects of a layer to keep: by score, class, size, place, and the best of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray

from lcageo.errors import ConfigError, DataError
from lcageo.vector.area import Area

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Choice:
    """What objects must be like to be kept. One without a score, which somebody drew, counts as certain."""

    score: float | None = None
    """Least score, for classes that `per_class` does not name. None: `thresholds`."""
    per_class: Mapping[str, float] = field(default_factory=dict)
    """Least score of some classes."""
    classes: tuple[str, ...] = ()
    """Classes to keep; empty: all."""
    min_area: float | None = None
    """Least area, square metres."""
    aoi: Path | None = None
    """Polygons in which an object's centre must lie."""
    top: int | None = None
    """How many to keep, those with the best scores."""

    def __post_init__(self) -> None:
        for score in (self.score, *self.per_class.values()):
            if score is not None and not 0 <= score <= 1:
                raise ConfigError(f"score {score} is outside 0 to 1")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"top {self.top} is below 1")

    def as_json(self) -> dict[str, Any]:
        """What was asked for, JSON-ready."""
        asked = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: str(value) if isinstance(value, Path) else dict(value) if isinstance(value, Mapping) else value
            for name, value in asked.items()
            if value not in (None, (), {})
        }


@dataclass(slots=True)
class Chooser:
    """Applies a choice to the parts of one layer, and counts."""

    choice: Choice
    thresholds: Mapping[str, float]
    """Least score per class where the choice names none; 0 for classes it lacks."""
    area: Area | None
    crs: pyproj.CRS | None
    """CRS of the layer."""
    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    least: float = -np.inf
    """Score below which an object is not among the best."""
    at_least: int = 0
    """How many objects of just that score are."""
    sized: bool = False
    """Whether any object had an area: what somebody drew has none, of a scene without CRS none has."""

    @classmethod
    def of(cls, choice: Choice, thresholds: Mapping[str, float], crs: pyproj.CRS | None) -> Chooser:
        """Prepares a choice for a layer.

        Args:
            choice: what to keep.
            thresholds: that the layer's objects were to be chosen by, by class.
            crs: of the layer.

        Raises:
            UsageError: if the area of interest cannot be read, or compared with the layer.
        """
        area = None if choice.aoi is None else Area.read(choice.aoi)
        if area is not None:
            area.check_crs(crs)
        return cls(choice, thresholds, area, crs)

    def look_at(self, parts: Iterable[geopandas.GeoDataFrame]) -> None:
        """Finds the score that the best `top` have, among those that are kept otherwise; once, before `chosen`."""
        if self.choice.top is None:
            return
        best = np.zeros(0)
        for part in parts:
            best = np.concatenate([best, _scores(part)[self._mask(part)]])
            if len(best) > self.choice.top:
                best = np.partition(best, -self.choice.top)[-self.choice.top :]
        if len(best) == self.choice.top:
            self.least = float(best.min())
            self.at_least = int((best == self.least).sum())

    def chosen(self, part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
        """Those of a part that are kept; parts come in the layer's order, of equal scores the first count as better."""
        mask = self._mask(part)
        if self.least > -np.inf:
            scores = _scores(part)
            equal = mask & (scores == self.least)
            first = equal & (np.cumsum(equal) <= self.at_least)
            self.at_least -= int(first.sum())
            mask &= (scores > self.least) | first
        names = _names(part)
        self.read.update(names.tolist())
        self.kept.update(names[mask].tolist())
        return part[mask]

    def reached(self) -> dict[str, float]:
        """Per class, the score that what was kept reaches: the thresholds of the layer that comes of it."""
        usual = self.thresholds if self.choice.score is None else dict.fromkeys(self.thresholds, self.choice.score)
        return {**usual, **self.choice.per_class}

    def _mask(self, part: geopandas.GeoDataFrame) -> Mask:
        choice, mask, names = self.choice, np.ones(len(part), np.bool_), _names(part)
        if choice.classes:
            mask &= np.isin(names, choice.classes)
        own = {} if choice.score is not None or "score" not in part else self.thresholds
        limits = {**own, **choice.per_class}
        if limits or choice.score is not None:
            least = pd.Series(names, dtype="str").map(limits).fillna(choice.score or 0.0).to_numpy(np.float64)
            mask &= _scores(part) >= least
        if choice.min_area is not None:
            areas = _numbers(part, "area_m2", "--min-area")
            self.sized |= not np.isnan(areas).all()
            if len(areas) and not self.sized:
                raise DataError("the layer's column 'area_m2' is empty, but --min-area needs it")
            mask &= areas >= choice.min_area
        if self.area is not None:
            mask &= self.area.holds(part.geometry.to_numpy(), self.crs)
        return np.asarray(mask, np.bool_)


def _names(part: geopandas.GeoDataFrame) -> NDArray[Any]:
    if "class" not in part:
        return np.full(len(part), "", object)
    return np.asarray(part["class"].fillna("").astype(str).to_numpy(), object)


def _scores(part: geopandas.GeoDataFrame) -> NDArray[np.float64]:
    scores = _numbers(part, "score", "a choice by score")
    return np.where(np.isnan(scores), np.inf, scores)


def _numbers(part: geopandas.GeoDataFrame, column: str, wanted_by: str) -> NDArray[np.float64]:
    if column not in part:
        raise DataError(f"the layer has no column '{column}', which {wanted_by} needs")
    return np.asarray(part[column].to_numpy(np.float64, na_value=np.nan))
