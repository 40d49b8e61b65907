"""Cuts a scene into overlapping tiles, in integer arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.errors import ConfigError, SceneError
from lcageo.scene.describe import SceneInfo

Scale = tuple[float, float]
"""Scene pixels per tile pixel, along rows and along columns."""
MAX_TILES = 10_000_000
"""Maximum number of tiles: the Netherlands at 0.2 m in tiles of 512 pixels; beyond, a damaged header is more likely."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile. Its position is an integer in the tile grid: the scene's grid, or that grid resampled by `scale`.

    Where a scene's pixels are not square on the ground, the two axes have different scales, so that the tile's are.

    Integers in the resampled grid keep all tiles at exactly the same scale, whatever the ratio.
    """

    index: int
    col_off: int
    """Left edge, tile-grid pixels; row_off likewise."""
    row_off: int
    width: int
    """Tile-grid pixels; less than the tile size only where the scene is smaller than a tile."""
    height: int
    scale: Scale
    """Scene pixels per tile pixel."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 in scene pixels (continuous)."""
        return (
            self.col_off * self.scale[0],
            self.row_off * self.scale[1],
            (self.col_off + self.width) * self.scale[0],
            (self.row_off + self.height) * self.scale[1],
        )

    def to_scene(self, detections: Detections) -> Detections:
        """Converts detections from this tile's pixels to scene pixels."""
        return detections.scaled_and_shifted(self.scale, *self.bounds[:2])


@dataclass(frozen=True, slots=True)
class TileGrid(Sequence[Tile]):
    """All tiles of a scene, row by row. Tiles are created on access, as a 40-gigapixel scene has 100,000."""

    col_starts: tuple[int, ...]
    row_starts: tuple[int, ...]
    tile_width: int
    tile_height: int
    scale: Scale
    scene_width: int
    scene_height: int

    def __len__(self) -> int:
        return len(self.col_starts) * len(self.row_starts)

    def __getitem__(self, index: int) -> Tile:  # type: ignore[override]  # slices are not needed
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, column = divmod(index, len(self.col_starts))
        return Tile(index, self.col_starts[column], self.row_starts[row], self.tile_width, self.tile_height, self.scale)

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def bounds(self, tiles: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """(N, 4) x1, y1, x2, y2 of tiles, by default all, in scene pixels, float64."""
        rows, columns = np.divmod(np.arange(len(self)) if tiles is None else tiles, len(self.col_starts))
        left, top = np.array(self.col_starts)[columns], np.array(self.row_starts)[rows]
        corners = np.stack([left, top, left + self.tile_width, top + self.tile_height], axis=-1)
        return np.asarray(corners * np.array([*self.scale, *self.scale]), np.float64)

    def nearest(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(len,) True for tiles whose middle is the nearest to any of some points, scene pixels.

        Tiles overlap; of those that hold a point, this one shows most of what lies around it.
        """
        found = np.zeros((len(self.row_starts), len(self.col_starts)), np.bool_)
        found[
            _nearest(self.row_starts, ys / self.scale[1], self.tile_height),
            _nearest(self.col_starts, xs / self.scale[0], self.tile_width),
        ] = True
        return found.ravel()


def _nearest(starts: Sequence[int], places: NDArray[np.float64], length: int) -> NDArray[np.intp]:
    """Index of the span of this length whose middle is the nearest to each place; of two, the first."""
    middles = np.array(starts, np.float64) + length / 2
    return np.searchsorted((middles[1:] + middles[:-1]) / 2, places)


def plan_tiles(width: int, height: int, tile_size: int, overlap: int, scale: Scale = (1.0, 1.0)) -> TileGrid:
    """Tiles that together cover every pixel of a scene.

    The last tile of a row or column is moved back inside; a scene smaller than a tile gets one smaller tile.

    Args:
        width: scene pixels; height likewise.
        tile_size: side of a tile in tile pixels.
        overlap: pixels shared by neighbouring tiles, at least; tile pixels.
        scale: scene pixels per tile pixel.

    Raises:
        ConfigError: if the overlap leaves no step between tiles.
    """
    if not 0 <= overlap < tile_size:
        raise ConfigError(
            f"an overlap of {overlap} pixels does not fit tiles of {tile_size}; choose less than the tile size"
        )
    # A fraction of a tile pixel at the right and lower border still gets a pixel (1e-9: rounding noise does not).
    columns, rows = (max(1, int(np.ceil(side / per - 1e-9))) for side, per in zip((width, height), scale, strict=True))
    return TileGrid(
        col_starts=_starts(columns, tile_size, overlap),
        row_starts=_starts(rows, tile_size, overlap),
        tile_width=min(tile_size, columns),
        tile_height=min(tile_size, rows),
        scale=scale,
        scene_width=width,
        scene_height=height,
    )


def check_tiles(info: SceneInfo, stride: int, scale: Scale) -> None:
    """Rejects scenes with too many tiles, one every `stride` tile pixels, before any memory is allocated for them."""
    tiles = math.ceil(info.width / (stride * scale[0])) * math.ceil(info.height / (stride * scale[1]))
    if tiles > MAX_TILES:
        raise SceneError(
            f"scene '{info.path}' has {info.width:,} x {info.height:,} pixels, which makes {tiles:,} tiles, more than "
            f"{MAX_TILES:,}; if its size is right, cut it into parts with gdal_translate -srcwin"
        )


def _starts(length: int, tile_size: int, overlap: int) -> tuple[int, ...]:
    last = max(0, length - tile_size)
    return (*range(0, last, tile_size - overlap), last)
