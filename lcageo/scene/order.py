"""The order in which tiles are read, so that each block of the file is decoded once, or nearly once.

GDAL keeps decoded blocks in a cache of limited size, separately for every open handle, that is, for every reading
thread. Tiles share blocks with their neighbours to the right and below, so each thread gets its own adjacent tiles, in
rows short enough for the blocks of one row of tiles to stay in the cache until the next row needs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.scene.describe import SceneInfo
from lcageo.scene.tiles import TileGrid

Index = NDArray[np.int64]

CACHE_BYTES = 64_000_000
"""Size of GDAL's block cache, for all threads together."""
REMOTE_CACHE_BYTES = 128_000_000
"""The same for a scene on a server: columns of tiles are then wider, and fewer blocks are fetched for two columns."""
MAX_CACHE_BYTES = 512_000_000
"""Maximum cache size, used if the usual one does not hold a single tile's blocks, as with strips of a wide scene."""


@dataclass(frozen=True, slots=True)
class ReadingOrder:
    """Which thread reads which tiles, in which order."""

    runs: tuple[Index, ...]
    """Indices of tiles, one array per thread; their lengths differ by at most one."""
    cache_bytes: int
    """Size of the block cache to use."""
    fits: bool
    """Whether it holds the blocks that neighbouring tiles share; if not, they are decoded again for every tile."""


def reading_order(
    info: SceneInfo,
    grid: TileGrid,
    todo: Index,
    threads: int,
    max_cache_bytes: int = MAX_CACHE_BYTES,
    usual_cache_bytes: int = CACHE_BYTES,
) -> ReadingOrder:
    """The order for some tiles of a scene.

    Args:
        info: the scene, with its block size.
        grid: all its tiles.
        todo: (N,) indices of the tiles to read.
        threads: number of reading threads, at least 1; fewer are used if the cache is too small for them.
        max_cache_bytes: maximum size of the block cache.
        usual_cache_bytes: its size if a tile's blocks do not need more.
    """
    one_tile = _row_bytes(info, grid, 1)
    threads = max(1, min(threads, len(todo), max_cache_bytes // max(one_tile, 1)))
    cache_bytes = min(max(usual_cache_bytes, one_tile * threads), max_cache_bytes)
    across = len(grid.col_starts)
    columns = _max_columns(info, grid, cache_bytes // threads)
    row, column = np.divmod(todo, across)
    order = np.lexsort((column, row, column // columns))
    return ReadingOrder(tuple(np.array_split(todo[order], threads)), cache_bytes, one_tile <= cache_bytes)


def _max_columns(info: SceneInfo, grid: TileGrid, cache_bytes: int) -> int:
    """Maximum number of tiles in a row whose blocks fit in the cache, at least one."""
    fitting, beyond = 1, len(grid.col_starts) + 1
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if _row_bytes(info, grid, middle) <= cache_bytes else (fitting, middle)
    return fitting


def _row_bytes(info: SceneInfo, grid: TileGrid, columns: int) -> int:
    """Bytes of all blocks that a row of `columns` tiles can touch, in all bands, as these are often interleaved."""
    starts = grid.col_starts
    width = (starts[columns - 1] - starts[0] + grid.tile_width) * grid.scale[0] if columns <= len(starts) else math.inf
    block_rows, block_columns = info.block_shape
    wide = min(_touched(width, block_columns), _blocks(info.width, block_columns))
    high = min(_touched(grid.tile_height * grid.scale[1], block_rows), _blocks(info.height, block_rows))
    return wide * block_columns * high * block_rows * info.count * np.dtype(info.dtype).itemsize


def _touched(length: float, block: int) -> int:
    """Maximum number of blocks that `length` pixels can touch, wherever they start."""
    return math.ceil(length / block) + 1


def _blocks(length: int, block: int) -> int:
    return math.ceil(length / block)
