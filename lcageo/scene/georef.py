"""Where a scene's pixels are on the map: affine transforms, ground control points and RPCs behind one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer

from lcageo.errors import SceneError, UsageError
from lcageo.geodesy import full_turn, ground_steps
from lcageo.remote import public

FloatArray = NDArray[np.float64]
_OF_HEIGHTS = "Vertical CRS"
MIN_GCPS = 3
"""Minimum number of ground control points; fewer do not define a plane."""


@dataclass(frozen=True, slots=True)
class Georeference:
    """Maps continuous pixel positions (column, row; 0, 0 is the outer corner of the first pixel) to map coordinates.

    `crs` is None for a scene without georeference; its map coordinates are then its pixel coordinates.
    """

    crs: pyproj.CRS | None
    affine: rasterio.Affine | None = None
    gcps: tuple[Any, ...] = ()
    rpcs: RPC | None = None
    lacks: str = ""
    """What a scene without georeference is missing: 'CRS' or 'transform'."""

    @classmethod
    def of_dataset(cls, dataset: rasterio.DatasetReader, crs: pyproj.CRS | None = None) -> Georeference:
        """The best georeference that the file has: transform, then GCPs, then RPCs, else none.

        Args:
            dataset: open.
            crs: CRS of a transform, as in a world file, or of GCPs for which the file has none, or a local one.
        """
        gcps, gcp_crs = dataset.gcps
        own = _crs(dataset, dataset.crs, crs)
        has_transform = dataset.transform != rasterio.Affine.identity() and not _is_degenerate(dataset.transform)
        if own is not None and has_transform:
            return cls(own, affine=dataset.transform)
        of_gcps = _crs(dataset, gcp_crs, crs)
        if len(gcps) >= MIN_GCPS and of_gcps is not None:
            return cls(of_gcps, gcps=_in_one_turn(gcps, of_gcps))
        if (rpcs := _rpcs(dataset)) is not None:
            return cls(pyproj.CRS.from_epsg(4326), rpcs=rpcs)
        return cls(None, lacks="transform" if own is not None or of_gcps is not None else "CRS")

    @property
    def kind(self) -> str:
        """Source of the georeference: 'affine', 'gcps', 'rpcs' or 'none'."""
        if self.crs is None:
            return "none"
        return "affine" if self.affine is not None else "gcps" if self.gcps else "rpcs"

    def to_map(self, cols: FloatArray, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map x and y (float64) of pixel positions, same shape as given."""
        if self.crs is None:
            return cols, rows
        if self.affine is not None:
            a = self.affine
            return a.a * cols + a.b * rows + a.c, a.d * cols + a.e * rows + a.f
        with self._transformer() as transformer:
            xs, ys = transformer.xy(rows.ravel(), cols.ravel(), zs=self._heights(cols), offset="ul")
        return np.asarray(xs, np.float64).reshape(cols.shape), np.asarray(ys, np.float64).reshape(cols.shape)

    def to_pixel(self, xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Column and row (float64, continuous) of map positions, same shape as given."""
        if self.crs is None:
            return xs, ys
        if self.affine is not None:
            inverse = ~self.affine
            return inverse.a * xs + inverse.b * ys + inverse.c, inverse.d * xs + inverse.e * ys + inverse.f
        with self._transformer() as transformer:
            # np.positive returns its argument: rasterio requires a rounding function, and we do not round.
            rows, cols = transformer.rowcol(xs.ravel(), ys.ravel(), zs=self._heights(xs), op=np.positive)
        return np.asarray(cols, np.float64).reshape(xs.shape), np.asarray(rows, np.float64).reshape(xs.shape)

    def _transformer(self) -> Any:
        return GCPTransformer(list(self.gcps)) if self.gcps else RPCTransformer(self.rpcs)

    def _heights(self, like: FloatArray) -> FloatArray:
        """Terrain height for RPCs: their own reference height, as there is no elevation model."""
        return np.full(like.size, self.rpcs.height_off if self.rpcs is not None else 0.0)


def parse_crs(text: str, option: str = "--crs") -> pyproj.CRS:
    """A CRS that a user names with an option, as EPSG:32633.

    Raises:
        UsageError: if PROJ does not know it, or it is not one of maps.
    """
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise UsageError(f"{option} '{text}' is not a CRS that PROJ knows; give one like EPSG:4326") from error
    if crs.is_geocentric or crs.geodetic_crs is None:
        raise UsageError(f"{option} '{text}' ({crs.name}) is not a CRS of a map; give one like EPSG:4326")
    return crs


def _crs(dataset: rasterio.DatasetReader, stored: rasterio.CRS | None, given: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS that a file stores; one that is given, if it stores none, or one without a place on the Earth.

    That is the case of local grids, as GDAL writes them where it has no CRS, and of heights, which are none of a map.
    """
    if not stored:
        return given
    try:
        known = pyproj.CRS.from_wkt(stored.to_wkt())
        if known.is_geocentric:
            raise pyproj.exceptions.CRSError("geocentric coordinates are not map coordinates")
        if known.geodetic_crs is None:
            return None if given is None and known.type_name == _OF_HEIGHTS else given or known
        pyproj.Transformer.from_crs(known, known.geodetic_crs)  # EPSG has projections that PROJ cannot calculate
        return known
    except pyproj.exceptions.ProjError as error:
        raise SceneError(
            f"scene '{public(dataset.name)}' has a CRS that cannot be used ({error}); "
            "assign the right one with 'rio edit-info --crs EPSG:CODE'"
        ) from error


def _in_one_turn(gcps: Sequence[Any], crs: pyproj.CRS) -> tuple[Any, ...]:
    """Control points across the antimeridian with longitudes on one side of it: 179.9 and 180.1, not -179.9."""
    turn, xs = full_turn(crs), [point.x for point in gcps]
    if turn is None or max(xs) - min(xs) <= turn / 2:
        return tuple(gcps)
    return tuple(
        GroundControlPoint(one.row, one.col, one.x + turn if one.x < 0 else one.x, one.y, one.z, one.id, one.info)
        for one in gcps
    )


def _rpcs(dataset: rasterio.DatasetReader) -> RPC | None:
    """The RPCs of a file; None if it has none, or they are not complete."""
    try:
        return dataset.rpcs or None
    except (LookupError, ValueError):
        return None


def _is_degenerate(transform: rasterio.Affine) -> bool:
    """Whether a transform gives all pixels of a row or a column one place, or none."""
    return not (np.isfinite(tuple(transform)).all() and transform.determinant)


CENTRE = (0.5, 0.5)


def pixel_size_m(
    georeference: Georeference, width: int, height: int, place: tuple[float, float] = CENTRE
) -> tuple[float, float] | None:
    """Length of one column step and one row step on the ground, in metres.

    Measured along the ellipsoid, so that it is correct for degrees, feet, rotated grids and Mercator, whose map
    metres are longer than metres on the ground. None if the scene cannot be located, or its local CRS counts pixels.

    Args:
        georeference: of the scene.
        width: of the scene, pixels; likewise height.
        height: see there.
        place: where to measure, as shares of width and height.
    """
    steps = None if _counts_pixels(georeference) else _steps(georeference, width, height, place)
    return None if steps is None else (float(steps[0][0]), float(steps[0][1]))


def _counts_pixels(georeference: Georeference) -> bool:
    """Whether a local CRS has pixels of 1 x 1 from 0, 0 on, as ENVI's "Arbitrary" one: they are hardly metres."""
    crs, affine = georeference.crs, georeference.affine
    is_local = crs is not None and crs.geodetic_crs is None
    return is_local and affine is not None and tuple(map(abs, affine[:6])) == (1, 0, 0, 0, 1, 0)


def north_in_picture(
    georeference: Georeference, width: int, height: int, pixel_shape: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float] | None:
    """Direction of true north in the picture, at the scene's centre: a unit vector (right, down).

    (0, -1) in a north-up scene. None if the scene cannot be located.

    Args:
        georeference: of the scene.
        width: of the scene, pixels; likewise height.
        height: see there.
        pixel_shape: width and height of a pixel in the picture.
    """
    steps = _steps(georeference, width, height, CENTRE)
    if steps is None:
        return None
    (column_m, row_m), (column_azimuth, row_azimuth) = steps[0], np.radians(steps[1])
    # East and north components of a column step and a row step, solved for the columns and rows that lead to (0, 1).
    east = column_m * np.sin(column_azimuth), row_m * np.sin(row_azimuth)
    north = column_m * np.cos(column_azimuth), row_m * np.cos(row_azimuth)
    turn = np.sign(east[0] * north[1] - east[1] * north[0])  # -1 unless the picture is mirrored
    right, down = -turn * east[1] * pixel_shape[0], turn * east[0] * pixel_shape[1]
    length = float(np.hypot(right, down))
    return (float(right) / length, float(down) / length) if length > 0 else None


def _steps(
    georeference: Georeference, width: int, height: int, place: tuple[float, float]
) -> tuple[FloatArray, FloatArray] | None:
    """(2,) lengths in metres and (2,) azimuths in degrees of one column step and one row step at a place."""
    if georeference.crs is None:
        return None
    span_col, span_row = max(1.0, width / 100), max(1.0, height / 100)
    cols = width * place[0] + np.array([-span_col / 2, span_col / 2, 0.0, 0.0])
    rows = height * place[1] + np.array([0.0, 0.0, -span_row / 2, span_row / 2])
    xs, ys = georeference.to_map(cols, rows)
    lengths, azimuths = ground_steps(georeference.crs, xs[[0, 2]], ys[[0, 2]], xs[[1, 3]], ys[[1, 3]])
    lengths = lengths / np.array([span_col, span_row])
    return (lengths, azimuths) if np.isfinite(lengths).all() and lengths.min() > 0 else None
