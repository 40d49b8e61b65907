"""Reads tiles ahead of the detector: on threads, a limited number, in a fixed order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Set
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from lcageo.config import EdgeNodata
from lcageo.errors import SceneError, ServerError
from lcageo.scene.edges import EdgeMask, without_specks
from lcageo.scene.order import ReadingOrder
from lcageo.scene.raster import Scene
from lcageo.scene.servers.block_fetcher import BlockFetcher
from lcageo.scene.servers.faults import is_outage
from lcageo.scene.stretch import Stretch, choose_stretch
from lcageo.scene.tiles import Tile, TileGrid

RETRY_AFTER_S = 0.5
"""Pause between the two attempts at a tile, in case a network share or a server failed briefly."""
OUTAGE = 3
"""Tiles in a row that a server does not deliver, each at several attempts, after which the others are not tried."""
WAITING_S = 1.0
"""Time without a tile after which the caller is asked whether to go on."""
PATIENCE = 20
"""Failed tiles in a row after which there is no pause before the second attempt: then the file is damaged."""


@dataclass(frozen=True, slots=True)
class TileReader:
    """Reads a tile of a scene as the detector takes it: uint8 RGB of constant size."""

    scene: Scene
    stretch: Stretch
    edge: EdgeMask | None
    tile_size: int
    fill: tuple[int, int, int]
    """uint8 colour of pixels without data and of padding: the model's mean, which is zero after normalisation."""

    def read(self, tile: Tile) -> NDArray[np.uint8] | None:
        """(3, tile_size, tile_size) uint8, padded to the right and below; None if no pixel of it is valid or stored.

        Raises:
            SceneError: if the file cannot be decoded there.
        """
        seen = self.read_with_mask(tile)
        return None if seen is None else seen[0]

    def read_with_mask(self, tile: Tile) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
        """As in `read`, with a mask (tile_size, tile_size) bool, True where a pixel shows the scene."""
        if not self.scene.is_stored(*tile.bounds):
            return None
        image = np.empty((3, self.tile_size, self.tile_size), np.uint8)
        image[:] = np.array(self.fill, np.uint8)[:, None, None]
        shown = np.zeros(image.shape[1:], np.bool_)
        left, top = tile.bounds[:2]
        any_valid = False
        for x, width, columns in _spans(left, tile.width, tile.scale[0], self.scene.info.width):
            for y, height, rows in _spans(top, tile.height, tile.scale[1], self.scene.info.height):
                pixels, valid = self.scene.read(x, y, width, height, _length(columns), _length(rows))
                if self.edge is not None and valid.any():
                    valid &= self.edge.valid(pixels, x, y, width, height)
                if valid.any():
                    any_valid = True
                    if self.scene.info.nodata_is_a_colour:
                        valid = ~without_specks(~valid)
                    everywhere = bool(valid.all())  # true of most tiles; copying is then several times faster
                    np.copyto(image[:, rows, columns], self.stretch.apply(pixels), where=everywhere or valid)
                    shown[rows, columns] = valid
        return (image, shown) if any_valid else None


def open_reader(
    scene: Scene, stretch: str, edge_nodata: EdgeNodata, tile_size: int, fill: tuple[int, int, int]
) -> TileReader:
    """Reader of a scene's tiles; the scene is sampled if its stretch or its edge depends on that.

    Raises:
        UsageError: if the stretch is not valid.
        SceneError: if the scene cannot be sampled.
    """
    chosen, edge = choose_stretch(scene, stretch, edge_nodata)
    return TileReader(scene, chosen, edge, tile_size, fill)


def _spans(start: float, pixels: int, scale: float, side: int) -> list[tuple[float, float, slice]]:
    """One axis of a tile as (start, length) in scene pixels and the tile pixels they become.

    There are two spans if the tile's last pixel extends partly beyond the scene's border: it is read on its own, from
    as many scene pixels as the others but inside the border, so that these keep the exact scale. From fewer scene
    pixels, GDAL would take it from a finer overview, whose blocks are then fetched and decoded for it alone.
    """
    whole = min(pixels, int((side - start) / scale + 1e-9))
    spans = [(start, min(whole * scale, side - start), slice(0, whole))] if whole else []
    if whole < pixels:
        length = min(float(side), max(1.0, scale))  # one scene pixel is the minimum that GDAL reads
        spans.append((side - length, length, slice(whole, whole + 1)))
    return spans


def _length(span: slice) -> int:
    return int(span.stop - span.start)


Image = NDArray[np.uint8] | SceneError | None
"""What reading a tile gives: its image, why it cannot be read, or None if there are no data in it."""


def read_ahead(
    reader: TileReader, grid: TileGrid, order: ReadingOrder, ahead: int
) -> Generator[tuple[Tile, Image] | None, None, None]:
    """Yields (tile, image), one per thread in turn, while the threads read the next ones; None while it waits.

    A tile that cannot be read, even at a second attempt, comes with the error in place of the image; reading continues
    with the other tiles. When it is closed, reads that are under way end by themselves.

    GDAL releases the GIL while it decodes, so reading runs in parallel with inference. At most `ahead` tiles are read
    or being read, besides the one yielded.

    Args:
        reader: reads a tile; called from several threads.
        grid: all tiles of the scene.
        order: which thread reads which of them.
        ahead: number of tiles to read ahead; should be at least one per thread.

    Raises:
        ServerError: if the server delivers none of OUTAGE tiles in a row.
    """
    failures: deque[Tile] = deque(maxlen=PATIENCE)
    waiting: deque[tuple[Tile, Future[Image]]] = deque()
    with ExitStack() as stack:
        stack.enter_context(reader.scene.caching(order.cache_bytes))
        # One thread per run: its handle of the scene caches the blocks that its tiles share.
        pools = [ThreadPoolExecutor(1, thread_name_prefix="lcageo-read") for _ in order.runs]
        for pool in pools:
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        fetcher = stack.enter_context(BlockFetcher(reader.scene, grid))
        for number, index in _in_turn(order):
            tile = grid[index]
            requests = fetcher.start(tile)
            waiting.append((tile, pools[number].submit(_attempted, reader, tile, requests, failures)))
            if len(waiting) > ahead:
                yield from _awaited(*waiting.popleft(), failures)
        while waiting:
            yield from _awaited(*waiting.popleft(), failures)


def _awaited(tile: Tile, future: Future[Image], failures: deque[Tile]) -> Iterator[tuple[Tile, Image] | None]:
    while not wait([future], WAITING_S).done:
        yield None
    image = future.result()
    if isinstance(image, SceneError) and is_outage(image) and len(failures) >= OUTAGE:
        raise image
    yield tile, image


def _in_turn(order: ReadingOrder) -> Iterator[tuple[int, int]]:
    """The number of a run and the index of its next tile, one run after the other."""
    for together in zip_longest(*(run.tolist() for run in order.runs)):
        yield from ((number, index) for number, index in enumerate(together) if index is not None)


def _attempted(reader: TileReader, tile: Tile, requests: Set[Future[None]], failures: deque[Tile]) -> Image:
    """One tile, read at the first or second attempt.

    Args:
        reader: reads it.
        tile: to read.
        requests: what must have been fetched before.
        failures: the tiles that failed since the last success.
    """
    try:
        for request in requests:
            request.result()  # never fails; unlike `wait`, it ends when the request is cancelled
    except CancelledError:
        return None  # nobody waits for the tile any more
    try:
        image = reader.read(tile)
    except ServerError as error:  # after several attempts
        failures.append(tile)
        return error
    except SceneError:
        time.sleep(RETRY_AFTER_S if len(failures) < PATIENCE else 0.0)
        try:
            image = reader.read(tile)
        except SceneError as error:
            failures.append(tile)
            return error
    if image is not None:  # a tile that the file does not store was not read
        failures.clear()
    return image
