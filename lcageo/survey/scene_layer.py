"""Reading the layer of one scene back for the joint layer of its survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import shapely
from geopandas import GeoDataFrame

from lcageo.errors import DataError, OutputError
from lcageo.geodesy import WGS84, near
from lcageo.transform import Transform
from lcageo.vector.columns import COLUMNS
from lcageo.vector.formats import VectorFormat, format_of
from lcageo.vector.polygons import Geometries
from lcageo.vector.read import open_layer

ZONE_MARGIN = 6.0
"""Degrees beyond its area of use within which a CRS is still used: a UTM zone serves its neighbours, too."""
CARRIED = {column.name: column.dtype for column in COLUMNS if column.name not in ("class", "scene")}
"""Columns that are copied from a scene's layer; the joint layer sets those of classes and scenes itself."""


@dataclass(frozen=True, slots=True)
class SceneLayer:
    """The layer of objects found in one scene of a survey, and the scene's location."""

    name: str
    """Unique name of the scene in the survey; the attribute `scene` of its objects."""
    path: Path
    """Path of the layer in any format, as written by `write_layer`."""
    crs: pyproj.CRS
    """The scene's own CRS."""
    gsd_m: float
    """Ground sampling distance, metres; infinite where it is not known."""
    corners: tuple[tuple[float, float], ...]
    """Map x and y in `crs` of the raster's upper-left, upper-right, lower-right and lower-left corner."""
    size: tuple[int, int]
    """Width and height of the raster, pixels."""
    objects: int
    """Number of objects in the layer."""


def common_crs(layers: Sequence[SceneLayer]) -> pyproj.CRS:
    """The CRS that most of the scenes (at least one) have; of several equally common ones, the first.

    Where some scenes are outside its area of use, longitude and latitude are used instead: a zone does not cover them.
    """
    counts = Counter(layer.crs for layer in layers)  # by definition text, which can differ between equal ones
    usual = max(counts, key=lambda crs: sum(count for other, count in counts.items() if crs == other))
    if len(counts) == 1:
        return usual
    places = {layer: place for layer in layers if (place := _place(layer)) is not None}
    west, south, east, north = _area_of_use(usual) or _bounds([places[one] for one in places if one.crs == usual])
    for x, y in places.values():
        turned = (x - west) % 360 + west  # brought to the east of the western border
        if not (west - ZONE_MARGIN <= turned <= east + ZONE_MARGIN or turned - 360 >= west - ZONE_MARGIN):
            return pyproj.CRS(WGS84)
        if not south - ZONE_MARGIN <= y <= north + ZONE_MARGIN:
            return pyproj.CRS(WGS84)
    return usual


def _place(layer: SceneLayer) -> tuple[float, float] | None:
    """Longitude and latitude of a scene's centre; None if it has none, which is reported when it is transformed."""
    try:
        to_globe = Transform(layer.crs, pyproj.CRS(WGS84))
    except pyproj.exceptions.ProjError:
        return None
    (x,), (y,) = to_globe(*np.mean(layer.corners, axis=0)[:, None])
    return (float(x), float(y)) if np.isfinite([x, y]).all() else None


def _area_of_use(crs: pyproj.CRS) -> tuple[float, float, float, float] | None:
    """West, south, east and north in degrees, west < east; None if the CRS is not one of EPSG's.

    A CRS that comes from a raster has no area of its own: WKT as GDAL writes it leaves it out.
    """
    code = crs.to_2d().to_epsg()
    area = crs.area_of_use or (None if code is None else pyproj.CRS.from_epsg(code).area_of_use)
    if area is None:
        return None
    return area.west, area.south, area.east + 360 * (area.east < area.west), area.north


def _bounds(places: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """West, south, east and north of some places."""
    if not places:
        return -180.0, -90.0, 180.0, 90.0
    longitudes, latitudes = np.array(places).T
    longitudes = longitudes[0] + (longitudes - longitudes[0] + 180) % 360 - 180  # within half a turn of the first
    return float(longitudes.min()), float(latitudes.min()), float(longitudes.max()), float(latitudes.max())


def read_objects(layer: SceneLayer, classes: int) -> GeoDataFrame:
    """A scene's layer, sorted by id: the columns CARRIED, and polygons in the scene's CRS, whatever the file's CRS."""
    try:
        rows = open_layer(layer.path, "layer").read(list(CARRIED))
        if len(rows) == 0:  # a part without features may lack the columns
            rows = rows.reindex(columns=[*CARRIED, "geometry"])
        numbers = rows[list(CARRIED)].apply(pd.to_numeric).astype(CARRIED)  # CSV has text only
        shapes: Geometries = rows["geometry"].to_numpy()
        if not np.isfinite(shapely.bounds(shapes)).all():
            raise ValueError("some polygons are missing")
        if not numbers["class_id"].between(0, classes - 1).all():
            raise ValueError(f"it has classes beyond the {classes} of the model")
    except (OSError, ValueError, LookupError, DataError) as error:  # IndexError is a damaged FlatGeobuf's
        raise OutputError(
            f"layer '{layer.path}' of scene '{layer.name}' cannot be used: {error}; use --force to make it again"
        ) from error
    form = format_of(layer.path)
    if isinstance(form, VectorFormat) and form.longitude_latitude:
        shapes = shapes_in_crs(shapes, layer, pyproj.CRS(WGS84), layer.crs, middle_x(layer, layer.crs))
        cut = shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON  # at the antimeridian
        shapes[cut] = shapely.convex_hull(shapes[cut])  # objects are boxes
    # FlatGeobuf sorts features by location.
    return GeoDataFrame(numbers, geometry=shapes).sort_values("id", kind="stable", ignore_index=True)


def shapes_in_crs(
    shapes: Geometries, layer: SceneLayer, source: pyproj.CRS, crs: pyproj.CRS, at_x: float
) -> Geometries:
    """Transforms geometries of a scene to another CRS, at most half a turn around the globe from x `at_x`."""
    xs, ys = shapely.get_coordinates(shapes).T
    try:
        if source != crs:
            xs, ys = Transform(source, crs)(xs, ys)
            if not np.isfinite([xs, ys]).all():
                raise pyproj.exceptions.ProjError("a point is outside its bounds")
    except pyproj.exceptions.ProjError as error:
        raise OutputError(
            f"scene '{layer.name}' cannot be transformed to {crs.name}, the joint layer's CRS ({error}); leave it out"
        ) from error
    return np.asarray(shapely.set_coordinates(shapes.copy(), np.column_stack([near(xs, at_x, crs), ys])))


def middle_x(layer: SceneLayer, crs: pyproj.CRS) -> float:
    """X of a scene's centre."""
    x, y = np.mean(layer.corners, axis=0).tolist()
    centre = shapes_in_crs(np.array([shapely.Point(x, y)]), layer, layer.crs, crs, x if layer.crs == crs else 0.0)
    return float(shapely.get_x(centre)[0])
