"""Vector files from any source -> valid polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.errors import DataError
from lcageo.geodesy import degrees_per_unit
from lcageo.layer_source import shown
from lcageo.plural import plural
from lcageo.vector.columns import first_column, layer_scores
from lcageo.vector.parts import apart_note, taken_apart
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.reproject import moved
from lcageo.vector.values import score_numbers

Geometries = NDArray[Any]
"""Array of shapely geometries."""
POLE_TOLERANCE_DEG = 1.0
"""A row of pixels of a global raster may be beyond a pole."""


@dataclass(frozen=True, slots=True, eq=False)
class PolygonLayer:
    """The polygons of one file, with their attributes. May be empty (N = 0)."""

    path: Path
    frame: geopandas.GeoDataFrame
    """Valid polygons and multipolygons with an area, in two dimensions; the index is the position in the file, from 0.
    Where points are accepted, single points too."""
    warnings: tuple[str, ...]
    """Messages for the user: what was fixed or left out."""

    @property
    def name(self) -> str:
        """The file, as it may be told."""
        return shown(self.path)

    @property
    def crs(self) -> pyproj.CRS | None:
        """CRS of the coordinates."""
        return None if self.frame.crs is None else pyproj.CRS.from_user_input(self.frame.crs)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def shapes(self) -> Geometries:
        """(N,) polygons."""
        shapes: Geometries = self.frame.geometry.to_numpy()
        return shapes

    def column(self, names: Sequence[str]) -> str | None:
        """The column with the first of these names that exists, ignoring case."""
        return first_column([str(name) for name in self.frame.columns], names)

    def reprojected(self, crs: pyproj.CRS) -> PolygonLayer:
        """The same layer in another CRS.

        Raises:
            DataError: if something cannot be transformed to it.
        """
        try:
            frame = self.frame if self.crs == crs else moved(self.frame, crs)
        except pyproj.exceptions.ProjError as error:
            raise DataError(
                f"'{self.name}' cannot be transformed from {self.frame.crs} to {crs.name}: {error}"
            ) from error
        lost = int((~np.isfinite(shapely.bounds(frame.geometry.to_numpy()))).any(axis=1).sum())
        if lost:
            raise DataError(
                f"{lost:,} of {len(frame):,} features in '{self.name}' are outside the bounds of {crs.name}; "
                "check the CRS of both layers"
            )
        return replace(self, frame=frame)


def read_polygons(
    path: Path,
    option: str,
    points: bool = False,
    need: str = "overlap is measured between polygons",
    objects: bool = True,
) -> PolygonLayer:
    """Reads all polygons of a vector file, in any format.

    Features without geometry or area are left out, invalid ones are made valid, and those whose parts lie apart become
    one per part; the warnings count them.

    Args:
        path: the file.
        option: the option that names the file, for messages.
        points: whether points are accepted; multipoints become a feature per point.
        need: why points and lines are refused, for the message.
        objects: whether polygons are objects, which are taken apart, and not areas.

    Raises:
        DataError: if it cannot be read, has several layers, or holds lines, or points that are not accepted.
    """
    return polygons_of(open_layer(path, option), option, points, need, objects)


def is_found(frame: geopandas.GeoDataFrame, record: RunRecord) -> NDArray[np.bool_]:
    """(N,) False for candidates below the thresholds that the layer was made with, which its style in QGIS hides."""
    if not record.has_candidates or not {"class", "score"} <= set(frame.columns):
        return np.ones(len(frame), np.bool_)
    least = frame["class"].map(record.least_scores()).fillna(0.0).to_numpy(np.float64)
    scores, _ = score_numbers(frame["score"])
    return np.asarray(layer_scores(np.nan_to_num(scores, nan=1.0)) >= least)


def without_candidates(layer: PolygonLayer, record: RunRecord, option: str) -> PolygonLayer:
    """The layer without candidates, with a message if there are some."""
    found = is_found(layer.frame, record)
    if found.all():
        return layer
    what = f"{plural(int((~found).sum()), 'candidate')} of {option} '{layer.name}' left out"
    warnings = (*layer.warnings, f"{what}, which QGIS does not show either")
    return replace(layer, frame=layer.frame[found], warnings=warnings)


def polygons_of(
    layer: LayerFile,
    option: str,
    points: bool = False,
    need: str = "overlap is measured between polygons",
    objects: bool = True,
) -> PolygonLayer:
    """The polygons of an open layer; see `read_polygons`."""
    name, frame = layer.name, layer.read()
    frame, apart = taken_apart(frame, points) if objects else (frame, 0)
    geometry: Geometries = shapely.force_2d(frame.geometry.to_numpy())
    usable = np.asarray(np.isfinite(shapely.bounds(geometry)).all(axis=1))  # False for a missing or empty geometry
    is_point = (shapely.get_type_id(geometry) == shapely.GeometryType.POINT) & points
    flat = usable & ~is_point & (shapely.get_dimensions(geometry) < 2)
    if flat.any():
        first = int(np.flatnonzero(flat)[0])
        what = "points or lines"
        if points:
            what, need = "lines", "labels must be polygons or points"
        raise DataError(
            f"{option} '{name}' holds {int(flat.sum()):,} {what} (the first is feature {frame.index[first] + 1}, a "
            f"{geometry[first].geom_type}); {need}: buffer them first"
        )
    areas = usable & ~is_point
    geometry[areas], fixed = valid_polygons(geometry[areas])
    usable[areas] = shapely.area(geometry[areas]) > 0
    warnings = [
        f"{option} '{name}': {plural(int(count), 'feature')} {what}"
        for count, what in (
            (fixed, "with edges that cross or touch; made valid"),
            ((~usable).sum(), "without geometry or area; left out"),
        )
        if count
    ] + apart_note(f"{option} '{name}'", apart)
    frame = frame.set_geometry(geopandas.GeoSeries(geometry, index=frame.index, crs=frame.crs))
    crs = None if frame.crs is None else pyproj.CRS(frame.crs)
    if crs is not None and crs.is_geographic and not _are_on_globe(geometry[usable], degrees_per_unit(crs)):
        frame = frame.set_crs(None, allow_override=True)
        warnings.append(f"{option} '{name}': its coordinates are not longitudes and latitudes; its CRS is ignored")
    return PolygonLayer(layer.path, frame[usable], tuple(warnings))


def valid_polygons(geometry: Geometries) -> tuple[Geometries, int]:
    """The same areas as polygons or multipolygons (empty if there is no area), and how many were invalid."""
    polygons = geometry.copy()
    for index in np.flatnonzero(shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION):
        parts = shapely.get_parts(geometry[index])
        polygons[index] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    invalid = ~shapely.is_valid(polygons)
    polygons[invalid] = shapely.make_valid(polygons[invalid], method="structure", keep_collapsed=False)
    return polygons, int(invalid.sum())


def _are_on_globe(geometry: Geometries, unit_deg: float) -> bool:
    """Whether coordinates can be longitudes and latitudes. GDAL assumes so for all GeoJSON, even for pixels."""
    bounds = np.abs(shapely.bounds(geometry)) * unit_deg
    return bool((bounds <= np.array([360.0, 90.0, 360.0, 90.0]) + POLE_TOLERANCE_DEG).all())
