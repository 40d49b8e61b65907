"""Which objects of a layer to keep: by score, class, size and location, and the best of them."""

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
from lcageo.layer_source import shown
from lcageo.vector.area import Area
from lcageo.vector.columns import layer_scores
from lcageo.vector.parts import areas_m2

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Criteria:
    """The criteria that objects must meet to be kept. An object without a score was drawn by hand and meets any."""

    score: float | None = None
    """Minimum score, for classes that `per_class` does not name. None: the layer's thresholds."""
    per_class: Mapping[str, float] = field(default_factory=dict)
    """Minimum score of some classes."""
    classes: tuple[str, ...] = ()
    """Classes to keep; empty: all."""
    min_area: float | None = None
    """Minimum area, square metres."""
    aoi: Path | None = None
    """File of polygons in which an object's centre must be."""
    top: int | None = None
    """Number of objects to keep, those with the best scores."""

    def __post_init__(self) -> None:
        for score in (self.score, *self.per_class.values()):
            if score is not None and not 0 <= score <= 1:
                raise ConfigError(f"score {score} is outside 0 to 1")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"top {self.top} is below 1")

    def as_json(self) -> dict[str, Any]:
        """The criteria that are set, JSON-ready."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: shown(value) if isinstance(value, Path) else dict(value) if isinstance(value, Mapping) else value
            for name, value in values.items()
            if value not in (None, (), {})
        }


@dataclass(slots=True)
class Selector:
    """Applies criteria to the parts of one layer, and counts objects."""

    criteria: Criteria
    thresholds: Mapping[str, float]
    """Minimum score per class of the objects found; 0 for classes that are not in it."""
    has_candidates: bool
    """Whether the layer may have others: then these thresholds apply where the criteria set none."""
    area: Area | None
    crs: pyproj.CRS | None
    """CRS of the layer."""
    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    cutoff: float = -np.inf
    """Score below which an object is not among the best `top`."""
    ties: int = 0
    """Number of objects with exactly that score that are still to be kept."""
    apart: int = 0
    """Number of features whose parts were taken apart into objects."""

    @classmethod
    def of(
        cls, criteria: Criteria, thresholds: Mapping[str, float], has_candidates: bool, crs: pyproj.CRS | None
    ) -> Selector:
        """Prepares criteria for a layer.

        Args:
            criteria: which objects to keep.
            thresholds: of the layer's objects, by class.
            has_candidates: whether the layer may have objects below them.
            crs: of the layer.

        Raises:
            UsageError: if the area of interest cannot be read, or cannot be compared with the layer.
        """
        area = None if criteria.aoi is None else Area.read(criteria.aoi)
        if area is not None:
            area.check_crs(crs)
        return cls(criteria, thresholds, has_candidates, area, crs)

    def find_cutoff(self, parts: Iterable[geopandas.GeoDataFrame]) -> None:
        """Finds the lowest score of the best `top` objects that meet the other criteria; once, before `selected`."""
        if self.criteria.top is None:
            return
        best = np.zeros(0)
        for part in parts:
            best = np.concatenate([best, _scores(part)[self._mask(part)]])
            if len(best) > self.criteria.top:
                best = np.partition(best, -self.criteria.top)[-self.criteria.top :]
        if len(best) == self.criteria.top:
            self.cutoff = float(best.min())
            self.ties = int((best == self.cutoff).sum())

    def selected(self, part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
        """The objects of a part that are kept; of equal scores, the first in the layer's order count as better."""
        mask = self._mask(part)
        if self.cutoff > -np.inf:
            scores = _scores(part)
            equal = mask & (scores == self.cutoff)
            first = equal & (np.cumsum(equal) <= self.ties)
            self.ties -= int(first.sum())
            mask &= (scores > self.cutoff) | first
        names = _names(part)
        self.read.update(names.tolist())
        self.kept.update(names[mask].tolist())
        return part[mask]

    def reached(self) -> dict[str, float]:
        """Minimum score per class of the objects that are kept: the thresholds of the resulting layer."""
        default = (
            self.thresholds if self.criteria.score is None else dict.fromkeys(self.thresholds, self.criteria.score)
        )
        return {**default, **self.criteria.per_class}

    def _mask(self, part: geopandas.GeoDataFrame) -> Mask:
        criteria, mask, names = self.criteria, np.ones(len(part), np.bool_), _names(part)
        if criteria.classes:
            mask &= np.isin(names, criteria.classes)
        applies = self.has_candidates and criteria.score is None and "score" in part
        default = self.thresholds if applies else {}
        limits = {**default, **criteria.per_class}
        if limits or criteria.score is not None:
            minimum = pd.Series(names, dtype="str").map(limits).fillna(criteria.score or 0.0).to_numpy(np.float64)
            mask &= layer_scores(_scores(part)) >= layer_scores(minimum)
        if criteria.min_area is not None:
            mask &= self._areas_m2(part) >= criteria.min_area
        if self.area is not None:
            mask &= self.area.holds(part.geometry.to_numpy(), self.crs)
        return np.asarray(mask, np.bool_)

    def _areas_m2(self, part: geopandas.GeoDataFrame) -> NDArray[np.float64]:
        """(N,) areas: as the layer says, or measured, as of objects drawn by hand.

        Raises:
            DataError: if one is missing and cannot be measured.
        """
        areas = np.full(len(part), np.nan)
        if "area_m2" in part:
            areas = part["area_m2"].to_numpy(np.float64, na_value=np.nan, copy=True)
        missing = np.isnan(areas)
        areas[missing] = areas_m2(part.geometry.to_numpy()[missing], self.crs)
        if np.isnan(areas).any():
            raise DataError("--min-area requires areas, but the layer has no CRS to measure them in, nor 'area_m2'")
        return areas


def _names(part: geopandas.GeoDataFrame) -> NDArray[Any]:
    if "class" not in part:
        return np.full(len(part), "", object)
    return np.asarray(part["class"].fillna("").astype(str).to_numpy(), object)


def _scores(part: geopandas.GeoDataFrame) -> NDArray[np.float64]:
    scores = _numbers(part, "score", "a selection by score")
    return np.where(np.isnan(scores), np.inf, scores)


def _numbers(part: geopandas.GeoDataFrame, column: str, required_by: str) -> NDArray[np.float64]:
    if column not in part:
        raise DataError(f"the layer has no column '{column}', which {required_by} requires")
    return np.asarray(part[column].to_numpy(np.float64, na_value=np.nan))
