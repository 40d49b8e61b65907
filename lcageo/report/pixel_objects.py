"""Objects of a layer, of any format and CRS, converted to a scene's pixel coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import DataError
from lcageo.palette import class_colour
from lcageo.vector.parts import taken_apart
from lcageo.vector.polygons import Geometries
from lcageo.vector.read import LayerFile
from lcageo.vector.reproject import mover

FloatArray = NDArray[np.float64]
ToPixel = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Converts map x and y, arrays of one shape, to columns and rows (continuous scene pixels)."""
ToMap = ToPixel
"""Converts columns and rows to map x and y, the inverse of ToPixel."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A scene's CRS, size and georeferencing: what placing objects in it needs."""

    crs: pyproj.CRS | None
    width: float
    """Pixels."""
    height: float
    to_pixel: ToPixel
    to_map: ToMap


@dataclass(frozen=True, slots=True, eq=False)
class PlacedObjects:
    """N objects in scene pixels: those without a score first, then by descending score, ties in the layer's order."""

    shapes: Geometries
    """(N,) polygons and multipolygons."""
    ids: NDArray[np.int64]
    """(N,) the layer's own ids, or positions in the layer, from 1."""
    names: NDArray[Any]
    """(N,) str: class names; empty where the layer has none."""
    scores: FloatArray
    """(N,) 0 to 1; NaN where the layer has none."""
    areas_m2: FloatArray
    """(N,) NaN where the layer has none."""

    def __len__(self) -> int:
        return len(self.shapes)

    def top(self, count: int) -> PlacedObjects:
        """The `count` objects that come first in that order."""
        order = np.argsort(-np.nan_to_num(self.scores, nan=np.inf), kind="stable")[:count]
        return PlacedObjects(
            self.shapes[order], self.ids[order], self.names[order], self.scores[order], self.areas_m2[order]
        )

    @classmethod
    def joined(cls, parts: Sequence[PlacedObjects]) -> PlacedObjects:
        """Concatenates the objects of several parts; at least one."""
        return cls(
            np.concatenate([part.shapes for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.names for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.areas_m2 for part in parts]),
        )


@dataclass(slots=True)
class PlacedLayer:
    """The part of a layer that is inside a scene."""

    objects: PlacedObjects
    least_scores: Mapping[str, float] = field(default_factory=dict)
    """Score per class below which an object is a candidate."""
    counts: Counter[str] = field(default_factory=Counter)
    """Number of objects inside the scene by class, including those beyond the limit."""
    candidates: int = 0
    """Number of those that score less than their class's threshold."""
    outside: int = 0
    """Number of features outside the scene."""
    shapeless: int = 0
    """Number of features without an area or without finite coordinates."""
    apart: int = 0
    """Number of features whose parts were taken apart into objects."""
    labels: dict[str, int] = field(default_factory=dict)
    """The model's label of each class, as far as the layer has it."""

    def colours(self) -> dict[str, tuple[int, int, int]]:
        """A colour for each class: the quicklook's, where the layer has the model's labels."""
        names = sorted(self.counts, key=lambda name: (self.labels.get(name, len(self.labels)), name))
        numbers = [self.labels.get(name) for name in names]
        known = [number for number in numbers if number is not None]
        if len(set(known)) < len(names):  # labels of several models, or none
            known = list(range(len(names)))
        return {name: class_colour(number) for name, number in zip(names, known, strict=True)}


def place_layer(layer: LayerFile, frame: Frame, limit: int) -> PlacedLayer:
    """Reads a layer's features into a scene's pixels, part by part.

    Args:
        layer: of any origin, with polygons; class, score, id and area_m2 are used as far as it has them.
        frame: of the scene.
        limit: maximum number of objects to keep, those with the highest scores.

    Raises:
        DataError: if the layer cannot be read, or does not belong to this scene.
    """
    move = _mover(layer, frame)
    placed = PlacedLayer(_empty(), layer.record.least_scores())
    rows = 0
    for part, apart in map(taken_apart, layer.parts()):
        placed.apart += apart
        rows += len(part)
        placed.objects = PlacedObjects.joined([placed.objects, _in_frame(part, rows, move, frame, placed)])
        if len(placed.objects) > limit:
            placed.objects = placed.objects.top(limit)
    placed.objects = placed.objects.top(limit)
    if rows and not placed.counts and placed.outside:
        raise DataError(
            f"none of the {rows:,} features of '{layer.name}' is inside the scene; choose the layer of this scene"
        )
    return placed


def place_areas(layer: LayerFile, frame: Frame, column: str) -> tuple[Geometries, list[str]]:
    """The polygons of a small layer in scene pixels, and each one's text in a column.

    Raises:
        DataError: see `place_layer`.
    """
    move = _mover(layer, frame)
    shapes, texts = [np.empty(0, object)], list[str]()
    for part in layer.parts():
        shapes.append(move(part.geometry.to_numpy()))
        texts += _texts(part, column).tolist()
    return np.concatenate(shapes), texts


def _in_frame(
    part: geopandas.GeoDataFrame, rows: int, move: Callable[[Geometries], Geometries], frame: Frame, placed: PlacedLayer
) -> PlacedObjects:
    """The objects of a part that are inside the frame; counts the others in `placed`."""
    shapes = move(part.geometry.to_numpy())
    bounds = shapely.bounds(shapes)
    usable = np.isfinite(bounds).all(axis=1) & (shapely.area(shapes) > 0)
    shown = usable & (bounds[:, :2] < [frame.width, frame.height]).all(axis=1) & (bounds[:, 2:] > 0).all(axis=1)
    placed.shapeless += int((~usable).sum())
    placed.outside += int((usable & ~shown).sum())
    names, scores = _texts(part, "class"), _numbers(part, "score")
    placed.counts.update(names[shown].tolist())
    least = np.array([placed.least_scores.get(name, 0.0) for name in names.tolist()])
    placed.candidates += int((shown & (scores < least)).sum())
    if "class_id" in part:
        known = part["class_id"].notna().to_numpy()
        numbers = part["class_id"].to_numpy(np.float64, na_value=np.nan)[known].astype(int).tolist()
        for name, number in set(zip(names[known].tolist(), numbers, strict=True)):
            placed.labels.setdefault(name, number)
    ids = _numbers(part, "id")
    ids = np.where(np.isfinite(ids), ids, np.arange(rows - len(part), rows) + 1)
    return PlacedObjects(
        shapes[shown],
        ids.astype(np.int64)[shown],
        names[shown],
        scores[shown],
        _numbers(part, "area_m2")[shown],
    )


def _mover(layer: LayerFile, frame: Frame) -> Callable[[Geometries], Geometries]:
    """Returns a function that converts a layer's geometries to the frame's pixels."""
    # GDAL reads pixel coordinates in our GeoJSON as longitudes; the layer's metadata says that it has no CRS.
    crs = None if layer.record.of_pixels else layer.crs
    if (crs is None) != (frame.crs is None):
        lacks, has = ("scene", "layer") if crs is not None else ("layer", "scene")
        raise DataError(
            f"'{layer.name}' cannot be placed in the scene: the {lacks} has no CRS, but the {has} has one; "
            + ("give it with --crs EPSG:CODE" if lacks == "scene" else "assign it with 'ogr2ogr -a_srs EPSG:CODE'")
        )
    if crs is None or frame.crs is None:
        return shapely.force_2d
    middle_x = float(frame.to_map(np.array([frame.width / 2]), np.array([frame.height / 2]))[0][0])
    try:
        to_scene = mover(crs, frame.crs, middle_x)
    except pyproj.exceptions.ProjError as error:
        raise DataError(
            f"'{layer.name}' cannot be reprojected from {crs.name} to the scene's {frame.crs.name} ({error}); "
            "check the CRS of both"
        ) from error

    def move(shapes: Geometries) -> Geometries:
        shapes = shapely.force_2d(shapes)
        xs, ys = frame.to_pixel(*to_scene(*shapely.get_coordinates(shapes).T))
        return np.asarray(shapely.set_coordinates(shapes, np.column_stack([xs, ys])))

    return move


def _texts(part: geopandas.GeoDataFrame, column: str) -> NDArray[Any]:
    if column not in part:
        return np.full(len(part), "", object)
    return np.asarray(part[column].fillna("").astype(str).to_numpy(), object)


def _numbers(part: geopandas.GeoDataFrame, column: str) -> FloatArray:
    if column not in part:
        return np.full(len(part), np.nan)
    return np.asarray(pd.to_numeric(part[column], errors="coerce").to_numpy(np.float64, na_value=np.nan))


def _empty() -> PlacedObjects:
    none = np.empty(0, object)
    return PlacedObjects(none, np.empty(0, np.int64), none, np.empty(0), np.empty(0))
