"""Reads tiles ahead of the detector: bounded, on threads, handed over in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from lcageo.config import EdgeNodata
from lcageo.errors import SceneError
from lcageo.scene.edges import EdgeMask, find_edge, may_have_edge, without_specks
from lcageo.scene.order import ReadingOrder
from lcageo.scene.raster import Scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.stretch import IDENTITY, Stretch, estimate_stretch, parse_stretch
from lcageo.scene.tiles import Tile, TileGrid

RETRY_AFTER_S = 0.5
"""Between the two attempts at a tile: a network share or a server may have stumbled."""
PATIENCE = 20
"""Tiles that fail in a row before the second attempt follows at once: then it is the file."""


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
        """(3, tile_size, tile_size) uint8, padded to the right and below; None if no pixel of it is valid or stored.

        Raises:
            SceneError: if the file cannot be decoded there.
        """
        seen = self.read_with_mask(tile)
        return None if seen is None else seen[0]

    def read_with_mask(self, tile: Tile) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
        """As `read`, with (tile_size, tile_size) bool, True where a pixel shows the scene."""
        if not self.scene.is_stored(*tile.bounds):
            return None
        image = np.empty((3, self.tile_size, self.tile_size), np.uint8)
        image[:] = np.array(self.fill, np.uint8)[:, None, None]
        shown = np.zeros(image.shape[1:], np.bool_)
        left, top = tile.bounds[:2]
        any_valid = False
        for x, width, columns in _spans(left, tile.width, tile.scale, self.scene.info.width):
            for y, height, rows in _spans(top, tile.height, tile.scale, self.scene.info.height):
                pixels, valid = self.scene.read(x, y, width, height, _length(columns), _length(rows))
                if self.edge is not None and valid.any():
                    valid &= self.edge.valid(pixels, x, y, width, height)
                if valid.any():
                    any_valid = True
                    if self.scene.info.nodata_is_a_colour:
                        valid = ~without_specks(~valid)
                    everywhere = bool(valid.all())  # as most tiles: without a mask, copying is several times as fast
                    np.copyto(image[:, rows, columns], self.stretch.apply(pixels), where=everywhere or valid)
                    shown[rows, columns] = valid
        return (image, shown) if any_valid else None


def open_reader(
    scene: Scene, stretch: str, edge_nodata: EdgeNodata, tile_size: int, fill: tuple[int, int, int]
) -> TileReader:
    """What reads a scene's tiles; the scene is sampled where its stretch or its edge depend on it.

    Raises:
        UsageError: if the stretch is none.
        SceneError: if the scene cannot be sampled.
    """
    info, chosen, edge = scene.info, parse_stretch(stretch), None
    if chosen is None and info.dtype == "uint8":
        chosen = IDENTITY
    untagged = info.mask == "none" and edge_nodata is EdgeNodata.AUTO and may_have_edge(scene)
    if chosen is None or untagged:
        sample = sample_scene(scene)
        chosen = chosen or estimate_stretch(sample)
        edge = find_edge(sample, info.width, info.height) if untagged else None
    return TileReader(scene, chosen, edge, tile_size, fill)


def _spans(start: float, pixels: int, scale: float, side: int) -> list[tuple[float, float, slice]]:
    """One axis of a tile as (start, length) in scene pixels and the tile pixels it becomes.

    One span, but for the tile whose last pixel reaches over the scene's border by a fraction: what there is of that
    pixel is read by itself, so that all others keep the exact scale.
    """
    whole = min(pixels, int((side - start) / scale + 1e-9))
    spans = [(start, min(whole * scale, side - start), slice(0, whole))] if whole else []
    if whole < pixels:
        # At least one scene pixel: GDAL reads no less.
        length = min(float(side), max(1.0, side - start - whole * scale))
        spans.append((side - length, length, slice(whole, whole + 1)))
    return spans


def _length(span: slice) -> int:
    return int(span.stop - span.start)


def read_ahead(
    reader: TileReader, grid: TileGrid, order: ReadingOrder, ahead: int
) -> Generator[tuple[Tile, NDArray[np.uint8] | SceneError | None], None, None]:
    """Yields (tile, image or None), one of each thread in turn, while the threads read the ones that follow.

    A tile that cannot be read, not even at a second attempt, comes with the error instead: the rest can be read.

    GDAL releases the interpreter's lock while it decodes, so reading runs beside inference. At most `ahead` tiles
    are held, read or being read, besides the one handed over.

    Args:
        reader: what reads a tile; called from several threads.
        grid: of the tiles.
        order: which thread reads which of them.
        ahead: tiles read ahead; at least one a thread is sensible.
    """
    failures: deque[Tile] = deque(maxlen=PATIENCE)
    waiting: deque[tuple[Tile, Future[NDArray[np.uint8] | SceneError | None]]] = deque()
    with ExitStack() as stack:
        stack.enter_context(reader.scene.caching(order.cache_bytes))
        # A thread for each run: its handle of the scene has the blocks that its tiles share.
        pools = [stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="lcageo-read")) for _ in order.runs]
        try:
            for number, index in _in_turn(order):
                tile = grid[index]
                waiting.append((tile, pools[number].submit(_attempted, reader, tile, failures)))
                if len(waiting) > ahead:
                    first, image = waiting.popleft()
                    yield first, image.result()
            while waiting:
                first, image = waiting.popleft()
                yield first, image.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _in_turn(order: ReadingOrder) -> Iterator[tuple[int, int]]:
    """The number of a run and the index of its next tile, one run after the other."""
    for together in zip_longest(*(run.tolist() for run in order.runs)):
        yield from ((number, index) for number, index in enumerate(together) if index is not None)


def _attempted(reader: TileReader, tile: Tile, failures: deque[Tile]) -> NDArray[np.uint8] | SceneError | None:
    """One tile, at the first or second attempt; `failures` are tiles that failed since one was read."""
    try:
        image = reader.read(tile)
    except SceneError:
        time.sleep(RETRY_AFTER_S if len(failures) < PATIENCE else 0.0)
        try:
            image = reader.read(tile)
        except SceneError as error:
            failures.append(tile)
            return error
    if image is not None:  # what the file does not store says nothing of what it does
        failures.clear()
    return image
