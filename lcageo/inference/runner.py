"""Running tiles of a scene: what reads them, runs the model over them in batches, and hands back what each gave."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Engine
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError
from lcageo.inference.journal import TileOutcome
from lcageo.inference.plan import ScenePlan
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import of_possible_size
from lcageo.scene.order import MAX_CACHE_BYTES, reading_order
from lcageo.scene.prefetch import read_ahead
from lcageo.scene.tiles import Tile

READ_THREADS = 2
IN_FLIGHT = 2
"""Batches given to the model at a time: while one is run, the next is on its way, and results are kept."""
RECORD_AFTER_S = 1.0
"""Tiles that are not run, for want of data or readability, are recorded after so long if no batch comes first."""
Warn = Callable[[str], None]
Outcomes = Generator[list[TileOutcome], None, None]
Image = NDArray[np.uint8]


class TileRunner(Protocol):
    """Runs one model over tiles, wherever."""

    @property
    def card(self) -> ModelCard:
        """The model."""

    @property
    def engine(self) -> Engine:
        """What runs it, in which numbers, and where."""

    @property
    def batch(self) -> int:
        """Tiles run at a time."""

    @property
    def scenes_at_once(self) -> int:
        """How many scenes keep it busy."""

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """What tiles gave, some at a time, in any order; now and then perhaps nothing yet.

        Args:
            plan: of the scene.
            todo: (N,) indices of the tiles.
            warn: receives lines that the user should read.

        Raises:
            DeviceMemoryError: if a device cannot hold a single tile.
        """


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """Runs tiles in this process, read ahead on threads."""

    predictor: Predictor
    batch: int = 2
    """Tiles run at a time; halved when the device's memory does not hold it."""
    max_cache_bytes: int = MAX_CACHE_BYTES
    """Most decoded blocks to keep."""

    @property
    def card(self) -> ModelCard:
        """The predictor's."""
        return self.predictor.card

    @property
    def engine(self) -> Engine:
        """The predictor's."""
        return self.predictor.engine

    @property
    def scenes_at_once(self) -> int:
        """One: it uses the whole machine."""
        return 1

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """Batch by batch, tiles without a valid pixel with the next batch."""
        not_run: list[TileOutcome] = []
        yielded = time.monotonic()
        info = plan.reader.scene.info
        order = reading_order(info, plan.grid, todo, READ_THREADS, self.max_cache_bytes)
        if not order.fits:
            warn(
                f"scene '{info.path}' is stored in blocks of {info.block_shape[1]:,} x {info.block_shape[0]:,} pixels, "
                "too large to be kept while reading, which takes long; gdal_translate -co TILED=YES makes a quick copy"
            )
        ahead = max(self.batch, READ_THREADS)
        with (
            closing(_Batches(self.predictor, plan, self.batch, warn)) as batches,
            closing(read_ahead(plan.reader, plan.grid, order, ahead)) as images,
        ):
            for tile, image in images:
                if isinstance(image, np.ndarray):
                    batches.add(tile, image)
                else:
                    not_run.append(TileOutcome(tile.index, None, unread="" if image is None else str(image)))
                while batches.full or (not_run and time.monotonic() - yielded > RECORD_AFTER_S):
                    yield not_run + (batches.next_done() if batches.full else [])
                    not_run, yielded = [], time.monotonic()
            while batches.any:
                batches.start(at_least=1)
                yield not_run + batches.next_done()
                not_run = []
        if not_run:
            yield not_run


class _Batches:
    """Tiles on their way through the model, some batches at a time."""

    def __init__(self, predictor: Predictor, plan: ScenePlan, size: int, warn: Warn) -> None:
        self._predictor, self._plan, self._size, self._warn = predictor, plan, size, warn
        self._waiting: deque[tuple[Tile, Image]] = deque()
        self._running: deque[tuple[int, list[tuple[Tile, Image]], Future[list[Detections]]]] = deque()
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="lcageo-batch")

    def close(self) -> None:
        """Waits for what is under way; what only waits is left out."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def any(self) -> bool:
        """Whether a tile waits or is under way."""
        return bool(self._waiting or self._running)

    @property
    def full(self) -> bool:
        """Whether something had better be taken out before more is put in."""
        return len(self._running) >= IN_FLIGHT and len(self._waiting) >= self._size

    def add(self, tile: Tile, image: Image) -> None:
        """Takes a tile; runs it with others once they make a batch."""
        self._waiting.append((tile, image))
        self.start(self._size)

    def start(self, at_least: int) -> None:
        """Gives batches to the model while it takes more, and so many tiles wait."""
        while len(self._running) < IN_FLIGHT and len(self._waiting) >= at_least:
            some = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            # Always of one shape, the last one too: a tile's boxes then do not depend on its company, to the last bit.
            count = len(some) if self._predictor.tile_by_tile else self._size
            images = np.zeros((count, *some[0][1].shape), np.uint8)
            for place, (_, image) in enumerate(some):
                images[place] = image
            self._running.append((self._size, some, self._threads.submit(self._predictor.predict, images)))

    def next_done(self) -> list[TileOutcome]:
        """What the batch that was started first gave; nothing if the device could not hold it.

        Raises:
            DeviceMemoryError: if the device cannot hold a single tile.
        """
        size, some, running = self._running.popleft()
        try:
            found = running.result()
        except DeviceMemoryError as error:
            if size == 1:
                raise
            self._waiting.extendleft(reversed(some))
            if size == self._size:
                self._size = size // 2
                self._warn(f"{error}; going on with {self._size}")
            return []
        self.start(self._size)
        card, pixel_m = self._predictor.card, self._plan.tile_pixel_m
        outcomes = []
        for (tile, _), detections in zip(some, found, strict=False):  # of tiles that only fill the batch, nothing
            possible = of_possible_size(detections, card, pixel_m, tile.width, tile.height)
            outcomes.append(TileOutcome(tile.index, tile.to_scene(possible), len(detections) - len(possible)))
        return outcomes
