"""Reads tiles ahead of the detector: bounded, on threads, handed over in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.scene.edges import EdgeMask
from lcageo.scene.raster import Scene
from lcageo.scene.stretch import Stretch
from lcageo.scene.tiles import Tile


@dataclass(frozen=True, slots=True)
class TileReader:
    """Turns a tile of a scene into what a detector takes: uint8 RGB of constant size."""

    scene: Scene
    stretch: Stretch
    edge: EdgeMask | None
    tile_size: int
    fill: tuple[int, int, int]
    """uint8 colour of pixels without data and of padding: the model's mean, which it sees as zero."""

    def read(self, tile: Tile) -> NDArray[np.uint8] | None:
        """(3, tile_size, tile_size) uint8, padded to the right and below; None if no pixel of it is valid.

        Raises:
            SceneError: if the file cannot be decoded there.
        """
        info = self.scene.info
        left, top = tile.bounds[:2]
        # The last tile pixel may reach over the scene's border by a fraction; it is padding then.
        columns = min(tile.width, max(1, int((info.width - left) / tile.scale + 1e-9)))
        rows = min(tile.height, max(1, int((info.height - top) / tile.scale + 1e-9)))
        width = min(columns * tile.scale, info.width - left)
        height = min(rows * tile.scale, info.height - top)
        pixels, valid = self.scene.read(left, top, width, height, columns, rows)
        if self.edge is not None and valid.any():
            valid &= self.edge.valid(pixels, left, top, width, height)
        if not valid.any():
            return None
        image = np.empty((3, self.tile_size, self.tile_size), np.uint8)
        image[:] = np.array(self.fill, np.uint8)[:, None, None]
        np.copyto(image[:, :rows, :columns], self.stretch.apply(pixels), where=valid)
        return image


def read_ahead(
    reader: TileReader, tiles: Iterable[Tile], threads: int, ahead: int
) -> Iterator[tuple[Tile, NDArray[np.uint8] | None]]:
    """Yields (tile, image or None) in the order of `tiles` while threads read the ones that follow.

    GDAL releases the interpreter's lock while it decodes, so reading runs beside inference. At most `ahead` tiles
    are held, read or being read, besides the one handed over.

    Args:
        reader: what reads a tile; called from several threads.
        tiles: consumed lazily.
        threads: readers.
        ahead: tiles read ahead; at least one a thread is sensible.
    """
    waiting: deque[tuple[Tile, Future[NDArray[np.uint8] | None]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="lcageo-read") as pool:
        try:
            for tile in tiles:
                waiting.append((tile, pool.submit(reader.read, tile)))
                if len(waiting) > ahead:
                    first, image = waiting.popleft()
                    yield first, image.result()
            while waiting:
                first, image = waiting.popleft()
                yield first, image.result()
        finally:
            for _, future in waiting:
                future.cancel()
