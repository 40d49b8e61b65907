"""The columns of a layer of objects: the only place that defines their names, types and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Detections

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FoundObjects:
    """N objects of one scene, the input from which all columns are computed."""

    detections: Detections
    """The objects, in scene pixels."""
    classes: tuple[str, ...]
    """The model's class names."""
    scene: str
    """The scene's name."""
    first_id: int
    """ID of the first object."""
    width_m: FloatArray
    """(N,) lengths along the scene's rows, metres on the ground; NaN without a CRS."""
    height_m: FloatArray
    """(N,) lengths along the scene's columns, metres on the ground; NaN without a CRS."""
    area_m2: FloatArray
    """(N,) areas on the ground; NaN without a CRS."""


CLASS_COLUMNS = ("class", "label", "name", "category", "classname", "class_name")
"""Columns in which layers keep classes, in small letters; the first existing one is used."""
SCORE_COLUMNS = ("score", "confidence", "conf", "probability")
"""Likewise of scores; ArcGIS calls them Confidence, and counts to 100."""
SCORE_DIGITS = 4
"""Decimal digits of scores in layers; whoever compares a score with a threshold rounds both."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the result."""

    name: str
    """Name, at most ten characters: the limit of shapefiles."""
    dtype: str
    """Type, as numpy and pandas name it; 'str' for text."""
    meaning: str
    """Description, shown in examples/formats.md."""
    values: Callable[[FoundObjects], NDArray[Any]]
    """Computes the column: (N,) values for N objects."""

    @property
    def is_whole(self) -> bool:
        """Whether its values are integers."""
        return self.dtype.startswith("int")

    @property
    def is_number(self) -> bool:
        """Whether its values are integers or floating-point numbers."""
        return self.dtype != "str"


def layer_scores(scores: NDArray[Any] | float) -> FloatArray:
    """Scores as layers have them."""
    return np.asarray(np.round(np.asarray(scores, np.float64), SCORE_DIGITS), np.float64)


def _ids(found: FoundObjects) -> NDArray[Any]:
    return np.arange(found.first_id, found.first_id + len(found.detections), dtype=np.int64)


def _class_names(found: FoundObjects) -> NDArray[Any]:
    return np.array(found.classes, dtype=object)[found.detections.labels]


def _scores(found: FoundObjects) -> NDArray[Any]:
    return layer_scores(found.detections.scores)


def _scene(found: FoundObjects) -> NDArray[Any]:
    return np.full(len(found.detections), found.scene, object)


COLUMNS = (
    Column("id", "int64", "number in the layer, from 1, best score first", _ids),
    Column("class", "str", "name of the class", _class_names),
    Column("class_id", "int32", "the model's number of the class, from 0", lambda found: found.detections.labels),
    Column("score", "float64", "confidence, from 0 to 1", _scores),
    Column(
        "width_m",
        "float64",
        "length along the scene's rows, in metres on the ground",
        lambda found: found.width_m.round(2),
    ),
    Column(
        "height_m",
        "float64",
        "length along the scene's columns, in metres on the ground",
        lambda found: found.height_m.round(2),
    ),
    Column("area_m2", "float64", "area in square metres on the ground", lambda found: found.area_m2.round(2)),
    Column("scene", "str", "name of the scene", _scene),
)
"""All columns in the order of the layer; the geometry comes last."""


def first_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column with the first of some names that exists: with exactly this name, else ignoring case."""
    own = {name.lower(): name for name in reversed(columns)}
    return next((name if name in columns else own[name.lower()] for name in names if name.lower() in own), None)
