"""Black or white edges that no tag marks as nodata: the collar around a rotated or clipped orthoimage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import SceneError
from lcageo.scene.raster import Scene
from lcageo.scene.sample import SceneSample, sample_border

JPEG_TOLERANCE = 8
"""uint8 values this close to 0 or 255 count as black or white: lossy compression blurs a collar's border."""
MIN_EDGE_SHARE = 0.01
"""Minimum share of the scene that a collar covers; less is more likely dark ground, and costs little to run on."""


@dataclass(frozen=True, slots=True)
class EdgeMask:
    """Coarse position of the collar, and its value; combined with each pixel's own value, the mask is exact."""

    cells: NDArray[np.bool_]
    """(h, w) True where a cell, or one beside it, is collar."""
    black: bool
    """Black collar if True, else white."""
    width: int
    """Scene pixels that the cells' columns span; height likewise for their rows."""
    height: int

    def valid(
        self, pixels: NDArray[Any], col_off: float, row_off: float, width: float, height: float
    ) -> NDArray[np.bool_]:
        """(h, w) False where a pixel of the window has the collar's value and is in its cells.

        Args:
            pixels: (3, h, w) in the scene's dtype.
            col_off: window in scene pixels; row_off, width and height likewise.
        """
        rows, columns = pixels.shape[1:]
        centre_cols = col_off + (np.arange(columns) + 0.5) * width / columns
        centre_rows = row_off + (np.arange(rows) + 0.5) * height / rows
        cell_cols = np.clip(centre_cols / self.width * self.cells.shape[1], 0, self.cells.shape[1] - 1).astype(np.intp)
        cell_rows = np.clip(centre_rows / self.height * self.cells.shape[0], 0, self.cells.shape[0] - 1).astype(np.intp)
        in_cells = self.cells[np.ix_(cell_rows, cell_cols)]
        if not in_cells.any():
            return np.ones((rows, columns), np.bool_)
        return ~(in_cells & _is_extreme(pixels, self.black))


def may_have_edge(scene: Scene) -> bool:
    """False if the outermost cells, a tenth of the reads, show that `find_edge` would find nothing."""
    try:
        border = sample_border(scene)
    except SceneError:
        return True
    if border is None:
        return True
    return any((_is_extreme(border.pixels, black) & border.valid).all(axis=-1).any() for black in (True, False))


def find_edge(sample: SceneSample, width: int, height: int) -> EdgeMask | None:
    """The collar of a scene of `width` x `height` pixels, or None if it has none.

    Scans inward from the four borders as long as cells are black (or white), and repeats from what was found until
    nothing is added, like GDAL's nearblack, but with sweeps in four directions.
    """
    best: EdgeMask | None = None
    for black in (True, False):
        # Pixels that could not be read are black in the sample, but not valid.
        extreme = np.asarray((_is_extreme(sample.pixels, black) & sample.valid).all(axis=-1))  # (h, w)
        if extreme.mean() < MIN_EDGE_SHARE:
            continue
        collar = _connected_to_border(extreme)
        if collar.mean() >= MIN_EDGE_SHARE and (best is None or collar.sum() > best.cells.sum()):
            best = EdgeMask(_dilated(collar), black, width, height)
    return best


def valid_share(sample: SceneSample, edge: EdgeMask | None) -> float:
    """Share of the scene that holds data, 0 to 1, as estimated from its sample."""
    valid = sample.valid
    if edge is not None:
        valid = valid & ~(edge.cells[..., None] & _is_extreme(sample.pixels, edge.black))
    return float(valid.mean())


def _is_extreme(pixels: NDArray[Any], black: bool) -> NDArray[np.bool_]:
    """(...) of (3, ...): all three bands at the end of the range of the scene's dtype."""
    if pixels.dtype == np.uint8:
        return np.asarray((pixels <= JPEG_TOLERANCE if black else pixels >= 255 - JPEG_TOLERANCE).all(axis=0))
    if black:
        return np.asarray((pixels == 0).all(axis=0))
    if np.issubdtype(pixels.dtype, np.integer):
        return np.asarray((pixels == np.iinfo(pixels.dtype).max).all(axis=0))
    return np.zeros(pixels.shape[1:], np.bool_)  # floating-point scenes have no white end


def _connected_to_border(extreme: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of `extreme` that is connected (4-neighbours) with the array's border."""
    framed = np.pad(extreme, 1, constant_values=True)
    found = np.zeros_like(framed)
    found[[0, -1], :] = found[:, [0, -1]] = True
    while True:
        before = int(found.sum())
        for axis in (0, 1):
            for step in (1, -1):
                found = _swept(found, framed, axis, step)
        if int(found.sum()) == before:
            return found[1:-1, 1:-1]


def _swept(found: NDArray[np.bool_], extreme: NDArray[np.bool_], axis: int, step: int) -> NDArray[np.bool_]:
    """`found`, and every pixel reached from it along one direction through `extreme` alone."""
    view = np.s_[:, ::step] if axis else np.s_[::step, :]
    reach, passable = found[view], extreme[view]
    position = np.arange(reach.shape[axis])
    position = position[None, :] if axis else position[:, None]
    last_found = np.maximum.accumulate(np.where(reach, position, -1), axis=axis)
    last_wall = np.maximum.accumulate(np.where(passable, -1, position), axis=axis)
    return np.asarray((passable & (last_found > last_wall))[view] | found)


def without_specks(invalid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The invalid pixels that are in some invalid 3 x 3 square.

    Where nodata is also a colour, 255 above all, single bright or dark pixels can have it by coincidence.
    """
    return _dilated(~_dilated(~invalid)) & invalid


def _dilated(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grown by one cell in all eight directions, since a collar's border runs through cells."""
    padded = np.pad(cells, 1)
    rows, columns = cells.shape
    grown = np.zeros_like(cells)
    for row in range(3):
        for column in range(3):
            grown |= padded[row : row + rows, column : column + columns]
    return grown
