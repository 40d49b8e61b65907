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
from lcageo.geodesy import WGS84
from lcageo.vector.columns import COLUMNS
from lcageo.vector.formats import VectorFormat, format_of
from lcageo.vector.polygons import Geometries
from lcageo.vector.read import open_layer
from lcageo.vector.reproject import near

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
    if len(counts) == 1 or usual.area_of_use is None:
        return usual
    west, south, east, north = usual.area_of_use.bounds
    for layer in layers:
        try:
            to_globe = pyproj.Transformer.from_crs(layer.crs, WGS84, always_xy=True)
        except pyproj.exceptions.ProjError:
            continue  # a local grid; reported when it is transformed
        x, y = to_globe.transform(*np.mean(layer.corners, axis=0))
        turned = (x - west) % 360 + west  # brought to the east of the western border
        if not (west - ZONE_MARGIN <= turned <= east + ZONE_MARGIN or turned - 360 >= west - ZONE_MARGIN):
            return pyproj.CRS(WGS84)
        if not south - ZONE_MARGIN <= y <= north + ZONE_MARGIN:
            return pyproj.CRS(WGS84)
    return usual


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
            xs, ys = pyproj.Transformer.from_crs(source, crs, always_xy=True).transform(xs, ys, errcheck=True)
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
