"""Transforms map features back to boxes in the pixels of the scene that they were found in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import shapely

from lcageo.detections import Detections
from lcageo.errors import DataError
from lcageo.geodesy import near
from lcageo.plural import plural
from lcageo.transform import Transform
from lcageo.vector.formats import VectorFormat, format_of
from lcageo.vector.pixel_labels import PixelGrid
from lcageo.vector.read import LayerFile

_HOW = "; run 'lcageo detect' with this output instead"


@dataclass(frozen=True, slots=True)
class MapToPixels:
    """Transforms the features of a layer back to its scene's pixels."""

    source: str
    """Name of the layer, for messages."""
    grid: PixelGrid
    classes: tuple[str, ...]
    _crs: pyproj.CRS | None
    """CRS of the scene."""
    _transform: tuple[float, ...]
    """a, b, c, d, e, f of the scene: x = a * column + b * row + c, y = d * column + e * row + f."""

    @classmethod
    def of(cls, layer: LayerFile) -> MapToPixels:
        """Reads the transform from a layer's record.

        Raises:
            DataError: if it is not a layer of a single scene with an affine transform.
        """
        record = layer.record
        if record.appended or record.scene is None:
            raise DataError(
                f"'{layer.name}' is not a layer of a single scene, so its objects have no pixel coordinates{_HOW}"
            )
        scene = record.scene_grid
        if scene is None or scene.transform is None:
            raise DataError(f"'{layer.name}' does not record the affine transform of its scene{_HOW}")
        crs = None if scene.crs is None else pyproj.CRS.from_user_input(scene.crs)
        form = format_of(layer.path)  # GeoJSON cannot state that its coordinates are pixels
        says_crs = not isinstance(form, VectorFormat) or not form.longitude_latitude
        if (layer.crs is None) != (crs is None) and says_crs:
            raise DataError(f"'{layer.name}' has lost its CRS, so its objects' pixel coordinates are unknown{_HOW}")
        grid = PixelGrid(Path(record.scene).name, *scene.size)
        return cls(layer.name, grid, scene.classes, crs, scene.transform)

    def detections(self, parts: Iterator[geopandas.GeoDataFrame]) -> Iterator[Detections]:
        """The bounding boxes of features in scene pixels, part by part.

        Raises:
            DataError: if a feature has no class or score, is outside the scene, or has a class unknown to the model.
        """
        for part in parts:
            missing = [name for name in ("class", "score") if name not in part]
            if len(part) and missing:
                raise DataError(f"'{self.source}' has no column '{missing[0]}', which boxes in pixels require")
            if len(part):
                labels = _labels(part["class"].astype(str).tolist(), self.classes, self.source)
                yield Detections(self._boxes(part), part["score"].to_numpy(np.float32), labels)

    def _boxes(self, part: geopandas.GeoDataFrame) -> Any:
        """(N, 4) float64."""
        points, of = shapely.get_coordinates(part.geometry.to_numpy(), return_index=True)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        if len(starts) != len(part):
            raise DataError(
                f"'{self.source}' has {plural(len(part) - len(starts), 'object')} without a geometry; remove them"
            )
        xs, ys = points.T
        a, b, c, d, e, f = self._transform
        if self._crs is not None:
            if part.crs != self._crs:
                try:
                    xs, ys = Transform(part.crs, self._crs)(xs, ys)
                    if not np.isfinite([xs, ys]).all():
                        raise pyproj.exceptions.ProjError("a point is outside its bounds")
                except pyproj.exceptions.ProjError as error:
                    raise DataError(
                        f"objects of '{self.source}' cannot be transformed to {self._crs.name}: {error}"
                    ) from error
            middle = a * self.grid.width / 2 + b * self.grid.height / 2 + c
            xs = near(xs, middle, self._crs)  # a box may have been split at the antimeridian
        determinant = a * e - b * d
        columns = (e * (xs - c) - b * (ys - f)) / determinant
        rows = (a * (ys - f) - d * (xs - c)) / determinant
        boxes = np.empty((len(part), 4))
        for axis, values in enumerate((columns, rows)):
            boxes[:, axis] = np.minimum.reduceat(values, starts)
            boxes[:, axis + 2] = np.maximum.reduceat(values, starts)
        outside = (boxes[:, 2:] < 0).any(axis=1) | (boxes[:, :2] > [self.grid.width, self.grid.height]).any(axis=1)
        if outside.any():
            raise DataError(
                f"'{self.source}' has {plural(int(outside.sum()), 'object')} outside its scene; remove them with --aoi"
            )
        return boxes


def _labels(names: Sequence[str], classes: Sequence[str], source: str) -> Any:
    numbers = {name: label for label, name in enumerate(classes)}
    unknown = next((name for name in names if name not in numbers), None)
    if unknown is not None:
        raise DataError(
            f"'{source}' has objects of class '{unknown}', which its model does not have; select others with --classes"
        )
    return np.array([numbers[name] for name in names], np.int64)
