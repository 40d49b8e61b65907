"""Edges of one value that no tag marks as nodata: the collar around a rotated or clipped orthoimage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import SceneError
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import Scene
from lcageo.scene.sample import SceneSample, sample_border

Colour = tuple[float, float, float]
"""A value of each of the three bands."""
BLACK, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
JPEG_TOLERANCE = 8
"""uint8 values this close to 0 or 255 count as black or white: lossy compression blurs a collar's border."""
FLOAT_TOLERANCE = 1e-5
"""Relative difference at which floating-point values are equal: resampling rounds."""
MIN_EDGE_SHARE = 0.01
"""Minimum share of the scene that a collar covers; less is more likely dark ground, and costs little to run on."""
MIN_BORDER_SHARE = 0.5
"""Minimum share of the border that has a value of the middle of the scene's range: water can be of one value, too."""
MAX_VALUES = 3
"""Number of values along the border that are tried, the most frequent ones; a collar's is seldom not the first."""


@dataclass(frozen=True, slots=True)
class EdgeMask:
    """Coarse position of the collar, and its value; combined with each pixel's own value, the mask is exact."""

    cells: NDArray[np.bool_]
    """(h, w) True where a cell, or one beside it, is collar."""
    value: Colour
    """The collar's value in red, green and blue, in the scene's own values."""
    tolerance: float
    """Difference up to which a value counts as that of the collar."""
    width: int
    """Scene pixels that the cells' columns span; height likewise for their rows."""
    height: int
    other: EdgeMask | None = None
    """A second collar of another value, as where 0 surrounds a scene and 65535 an orthoimage in it."""

    @property
    def name(self) -> str:
        """The value as text: one number if it is the same in all bands, such as '-9999', else three."""
        values = self.value[:1] if len(set(self.value)) == 1 else self.value
        own = ", ".join(f"{value:.10g}" for value in values)
        return own if self.other is None else f"{own} and of value {self.other.name}"

    @property
    def all_cells(self) -> NDArray[np.bool_]:
        """(h, w) True where a cell, or one beside it, is any collar."""
        return self.cells if self.other is None else self.cells | self.other.all_cells

    def valid(
        self, pixels: NDArray[Any], col_off: float, row_off: float, width: float, height: float
    ) -> NDArray[np.bool_]:
        """(h, w) False where a pixel of the window has the collar's value and is in its cells.

        Args:
            pixels: (3, h, w) in the scene's dtype.
            col_off: window in scene pixels; row_off, width and height likewise.
        """
        own = self._valid(pixels, col_off, row_off, width, height)
        return own if self.other is None else own & self.other.valid(pixels, col_off, row_off, width, height)

    def has_value(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """(...) of (3, ...): True where a pixel has the value of any collar, wherever it is."""
        own = _has_value(pixels, self.value, self.tolerance)
        return own if self.other is None else own | self.other.has_value(pixels)

    def _valid(
        self, pixels: NDArray[Any], col_off: float, row_off: float, width: float, height: float
    ) -> NDArray[np.bool_]:
        rows, columns = pixels.shape[1:]
        centre_cols = col_off + (np.arange(columns) + 0.5) * width / columns
        centre_rows = row_off + (np.arange(rows) + 0.5) * height / rows
        cell_cols = np.clip(centre_cols / self.width * self.cells.shape[1], 0, self.cells.shape[1] - 1).astype(np.intp)
        cell_rows = np.clip(centre_rows / self.height * self.cells.shape[0], 0, self.cells.shape[0] - 1).astype(np.intp)
        in_cells = self.cells[np.ix_(cell_rows, cell_cols)]
        if not in_cells.any():
            return np.ones((rows, columns), np.bool_)
        collar = in_cells & _has_value(pixels, self.value, self.tolerance)
        if (width, height) != (columns, rows):  # resampling mixes the collar's value into the pixels beside it
            collar = _dilated(collar)
        return ~collar


def may_have_edge(scene: Scene) -> bool:
    """False if the outermost cells, a tenth of the reads, show that `find_edge` would find nothing."""
    try:
        border = sample_border(scene)
    except SceneError:  # if it is the server's fault, the sample raises it again
        return True
    if border is None or not border.valid[_frame(border)].all():
        return True
    return any(_cells_of(border, *value).any() for value in _border_values(border, scene.info))


def find_edge(sample: SceneSample, info: SceneInfo) -> EdgeMask | None:
    """The collar of a scene that no mask marks, or None if it has none.

    Scans inward from the four borders, or from where the file's mask ends, as long as cells have one value, and repeats
    from what was found until nothing is added, like GDAL's nearblack, but with sweeps in four directions. The values
    tried are the most frequent ones along the border; of several collars, the largest counts. Where values are
    stretched, a second one counts too, which would take up most of their range.
    """
    edge = _largest_edge(sample, info)
    if edge is None or info.dtype == "uint8":
        return edge
    return replace(edge, other=_largest_edge(replace(sample, valid=with_data(sample, edge)), info))


def _largest_edge(sample: SceneSample, info: SceneInfo) -> EdgeMask | None:
    best: EdgeMask | None = None
    without = ~sample.valid.any(axis=-1)
    rim = _part(sample, _rim(sample))
    for value, tolerance in _border_values(sample, info):
        if not _cells_of(rim, value, tolerance).any():
            continue  # which needs no look at the whole sample
        cells = _cells_of(sample, value, tolerance)
        if cells.mean() < MIN_EDGE_SHARE:
            continue
        collar = _connected_to_border(cells | without) & cells
        if (collar | without).all() and value not in (BLACK, WHITE):
            continue  # a scene of one colour, which surrounds nothing
        if collar.mean() >= MIN_EDGE_SHARE and (best is None or _dilated(collar).sum() > best.cells.sum()):
            best = EdgeMask(_dilated(collar), value, tolerance, info.width, info.height)
    return best


def edge_note(info: SceneInfo, edge: EdgeMask | None) -> list[str]:
    """A line for the user about an edge that was found."""
    if edge is None:
        return []
    return [
        f"scene '{info.path}' has an edge of value {edge.name} that no tag marks as nodata: it is taken for pixels "
        "without data (--edge-nodata none turns that off)"
    ]


def with_data(sample: SceneSample, edge: EdgeMask | None) -> NDArray[np.bool_]:
    """(h, w, n) True where a sampled pixel has data."""
    if edge is None:
        return sample.valid
    own = sample.valid & ~(edge.cells[..., None] & _has_value(sample.pixels, edge.value, edge.tolerance))
    return np.asarray(own & with_data(sample, edge.other))


def _border_values(sample: SceneSample, info: SceneInfo) -> list[tuple[Colour, float]]:
    """Values that a collar may have, each with its tolerance: the most frequent ones along the border.

    No ground has them: they are the least or greatest of the scene, in each band, or most of the border has them.
    Of pictures in eight bits that nothing masks, also black and white as lossy compression leaves them: where there is
    a mask, it covers what is nearly black, and dark water may lie beside it.
    """
    rim = _part(sample, _rim(sample))
    filled, valid = _filled(rim)[:, 0], rim.valid[0]  # (3, cells, n)
    uniform = valid.any(axis=-1) & (filled == filled[..., :1]).all(axis=(0, 2))
    colours, counts = np.unique(filled[:, uniform, 0], axis=1, return_counts=True)
    likely = counts >= valid.shape[0] * MIN_BORDER_SHARE
    if len(counts):
        whole = sample.valid.all()
        seen = sample.pixels.reshape(3, -1) if whole else sample.pixels[:, sample.valid]  # (3, N)
        likely |= ((colours <= seen.min(axis=1)[:, None]) | (colours >= seen.max(axis=1)[:, None])).all(axis=0)
    colours, counts = colours[:, likely], counts[likely]
    found: list[tuple[Colour, float]] = []
    if info.dtype == "uint8" and info.bits == 8 and (info.mask == "none" or sample.valid.all()):
        found += [(BLACK, JPEG_TOLERANCE), (WHITE, JPEG_TOLERANCE)]
    is_float = np.issubdtype(filled.dtype, np.floating)
    for red, green, blue in colours.T[np.argsort(-counts, kind="stable")[:MAX_VALUES]].tolist():
        greatest = max(abs(red), abs(green), abs(blue))
        found.append(((float(red), float(green), float(blue)), greatest * FLOAT_TOLERANCE if is_float else 0.0))
    return found


def _frame(sample: SceneSample) -> NDArray[np.bool_]:
    """(h, w) True on the border of the sample."""
    frame = np.zeros(sample.valid.shape[:2], np.bool_)
    frame[[0, -1], :] = frame[:, [0, -1]] = True
    return frame


def _rim(sample: SceneSample) -> NDArray[np.bool_]:
    """(h, w) True for the outermost cells with data: on the border, or beside cells without any that reach it."""
    without = np.asarray(~sample.valid.any(axis=-1))
    if not without.any():
        return _frame(sample)
    outside = _connected_to_border(without)
    return np.asarray((_frame(sample) | _dilated(outside)) & ~outside)


def _part(sample: SceneSample, cells: NDArray[np.bool_]) -> SceneSample:
    """The sample of some cells (h, w), as a single row."""
    return SceneSample(sample.pixels[:, cells][:, None], sample.valid[cells][None])


def _filled(sample: SceneSample) -> NDArray[Any]:
    """(3, h, w, n) the pixels, those without data as the first of their cell that has data."""
    first = sample.valid.argmax(axis=-1)[None, ..., None]
    return np.where(sample.valid, sample.pixels, np.take_along_axis(sample.pixels, first, axis=-1))


def _cells_of(sample: SceneSample, value: Colour, tolerance: float) -> NDArray[np.bool_]:
    """(h, w) True where a cell has data, and nothing but this value."""
    same = _has_value(sample.pixels, value, tolerance) | ~sample.valid
    return np.asarray(same.all(axis=-1) & sample.valid.any(axis=-1))


def _has_value(pixels: NDArray[Any], value: Colour, tolerance: float) -> NDArray[np.bool_]:
    """(...) of (3, ...): all three bands have the value, but for the tolerance."""
    wanted = np.array(value, np.float64).reshape(3, *[1] * (pixels.ndim - 1))
    return np.asarray((np.abs(pixels - wanted) <= tolerance).all(axis=0))


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
