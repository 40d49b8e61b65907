"""Hand-drawn labels: polygons or points of any layer with their classes, and their positions in a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.chips.review import corrected
from lcageo.errors import DataError
from lcageo.inference.review_form import VERDICT
from lcageo.vector.columns import CLASS_COLUMNS
from lcageo.vector.polygons import PolygonLayer, polygons_of, without_candidates
from lcageo.vector.read import open_layer
from lcageo.vector.values import class_texts

FloatArray = NDArray[np.float64]
Move = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""Function that converts x and y from the labels' CRS to another system, arrays of one shape."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """N labelled objects."""

    layer: PolygonLayer
    """(N,) valid polygons and points."""
    crs: pyproj.CRS
    classes: tuple[str, ...]
    """Class names, sorted."""
    labels: NDArray[np.int64]
    """(N,) indices into the classes."""
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def points(self) -> int:
        """Number of labels that are points."""
        return int((shapely.get_type_id(self.layer.shapes) == shapely.GeometryType.POINT).sum())

    def centres(self, move: Move) -> FloatArray:
        """(N, 2) centres of their bounds, converted; not finite where the conversion fails."""
        x1, y1, x2, y2 = shapely.bounds(self.layer.shapes).T
        return np.column_stack(move((x1 + x2) / 2, (y1 + y2) / 2))

    def boxes(self, near: shapely.Geometry, move: Move) -> tuple[NDArray[np.int64], FloatArray]:
        """The labels that overlap an area, (M,), and their bounds once converted, (M, 4) x1, y1, x2, y2.

        Args:
            near: the area, in their CRS.
            move: converts their corners.
        """
        index = np.flatnonzero(shapely.intersects(shapely.box(*shapely.bounds(self.layer.shapes).T), near))
        moved = shapely.transform(self.layer.shapes[index], lambda xy: np.column_stack(move(xy[:, 0], xy[:, 1])))
        return index, np.asarray(shapely.bounds(moved), np.float64).reshape(-1, 4)


def read_labels(path: Path, class_field: str | None, class_name: str | None, review: Path | None = None) -> Labels:
    """Reads the labels of a vector file.

    Args:
        path: the file, in any format and CRS.
        class_field: the attribute that holds the classes; None: `class`, `label`, `name` or `category`.
        class_name: the class of all, whatever their attributes.
        review: a review layer whose verdicts correct them; they are then objects that `detect` found.

    Raises:
        DataError: if it cannot be read, is empty, has no CRS, or lacks a class.
    """
    file = open_layer(path, "--labels")
    if class_field is not None and review is None:  # codes become the names that the layer has for them
        file = replace(file, taken_for={"class": class_field})
    layer = polygons_of(file, "--labels", points=True)
    if {"kind", VERDICT} <= set(layer.frame.columns):
        raise DataError(
            f"--labels '{path}' is a review layer; name it with --review, and the layer of the objects with --labels"
        )
    if review is not None:
        layer = corrected(layer, file.record, review)
    elif class_field is None or class_field.lower() == CLASS_COLUMNS[0]:  # in another column, somebody chose them
        layer = without_candidates(layer, file.record, "--labels")
    if not len(layer):
        raise DataError(f"--labels '{path}' has no polygons or points to learn from")
    if layer.crs is None:
        raise DataError(f"--labels '{path}' has no CRS, so it cannot be placed on a scene; save it with one")
    warnings = list(layer.warnings)
    if class_name is not None:
        return Labels(layer, layer.crs, (class_name,), np.zeros(len(layer), np.int64), tuple(warnings))
    column = layer.column(CLASS_COLUMNS if class_field is None else (class_field,))
    if column is None:
        wanted = f"attribute '{class_field}'" if class_field else f"attribute {', '.join(CLASS_COLUMNS)}"
        existing = ", ".join(str(name) for name in layer.frame.columns if name != layer.frame.geometry.name) or "none"
        raise DataError(
            f"--labels '{path}' has no {wanted}; it has {existing}: choose one with --class-field, or set the class of "
            "all labels with --class"
        )
    if class_field is None and column.lower() != CLASS_COLUMNS[0]:
        warnings.append(f"classes of '{path}' are read from its attribute '{column}' (--class-field chooses another)")
    names = class_texts(layer.frame[column])
    missing = np.flatnonzero(names == "")
    if len(missing):
        raise DataError(
            f"--labels '{path}': {len(missing):,} of {len(names):,} features have no class in '{column}' (the first is "
            f"feature {layer.frame.index[missing[0]] + 1}); fill it in, or delete them"
        )
    classes, labels = np.unique(names.astype(str), return_inverse=True)
    return Labels(layer, layer.crs, tuple(classes.tolist()), labels.astype(np.int64), tuple(warnings))
