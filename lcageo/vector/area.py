"""Areas of interest that a user names: all polygons of a vector file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import DataError, UsageError
from lcageo.transform import Transform, no_way
from lcageo.vector.polygons import read_polygons
from lcageo.vector.reproject import mover


@dataclass(frozen=True, slots=True)
class Area:
    """An area in the CRS of its file."""

    name: str
    """The option and the file, for messages."""
    shape: shapely.Geometry
    """Polygon or MultiPolygon; prepared."""
    crs: pyproj.CRS | None
    warnings: tuple[str, ...]
    """Messages for the user: what was fixed or left out."""

    @classmethod
    def read(cls, path: Path, option: str = "--aoi") -> Area:
        """Reads the polygons of a file, in any format and CRS.

        Raises:
            UsageError: if it cannot be read, or holds no polygons.
        """
        try:
            need = "an area of interest must consist of polygons"
            polygons = read_polygons(path, option, need=need, objects=False)
        except DataError as error:
            raise UsageError(str(error)) from error
        if len(polygons) == 0:
            raise UsageError(f"{option} '{path}' holds no polygons; choose another layer")
        shape = shapely.union_all(polygons.shapes)
        shapely.prepare(shape)
        return cls(f"{option} '{path}'", shape, polygons.crs, polygons.warnings)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top."""
        left, bottom, right, top = shapely.bounds(self.shape).tolist()
        return left, bottom, right, top

    def holds(self, shapes: NDArray[Any], crs: pyproj.CRS | None) -> NDArray[np.bool_]:
        """(N,) True where the centre of a shape is inside the area.

        Args:
            shapes: (N,) geometries, each in one piece; see `taken_apart`.
            crs: CRS of the shapes. They are transformed, not the area, which may extend beyond the bounds of their CRS.

        Raises:
            UsageError: as `check_crs`.
        """
        self.check_crs(crs)
        centres = shapely.centroid(shapes)
        x, y = shapely.get_x(centres), shapely.get_y(centres)
        if self.crs is not None and crs is not None:
            left, _, right, _ = self.bounds
            x, y = mover(crs, self.crs, (left + right) / 2)(x, y)
        return np.asarray(shapely.intersects_xy(self.shape, x, y), np.bool_)

    def check_crs(self, crs: pyproj.CRS | None) -> None:
        """Checks that shapes can be compared with the area.

        Raises:
            UsageError: if only one of the two has a CRS, or there is no transformation between them.
        """
        if (self.crs is None) != (crs is None):
            lacks, has = (self.name, "the layer") if self.crs is None else ("the layer", self.name)
            raise UsageError(f"{lacks} has no CRS, but {has} has one; save it with its CRS")
        if self.crs is None or crs is None or self.crs == crs:
            return
        try:
            Transform(crs, self.crs)
        except pyproj.exceptions.ProjError as error:
            raise UsageError(no_way(self.name, self.crs, crs)) from error
