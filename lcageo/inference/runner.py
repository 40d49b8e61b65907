"""Runs tiles of a scene: reads them, runs the model over them in batches, and returns the outcome of each."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Engine
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError, ServerError
from lcageo.inference.plan import ScenePlan
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import of_possible_size
from lcageo.scene.blocks import level_at
from lcageo.scene.look import look
from lcageo.scene.order import CACHE_BYTES, MAX_CACHE_BYTES, REMOTE_CACHE_BYTES, ReadingOrder, reading_order
from lcageo.scene.prefetch import read_ahead
from lcageo.scene.tiles import Tile

READ_THREADS = 2
REMOTE_THREADS = 1
"""Two would read different parts of a scene, and more blocks would be fetched for both: what is fetched in parallel are
the blocks of the tiles that this one reads next."""
AHEAD_BYTES = 32_000_000
"""Maximum size of what is read ahead of the model from a server: tiles, or as many stored pixels as they show."""
IN_FLIGHT = 2
"""Batches submitted to the model at a time: while one runs, the next is prepared and the last one recorded."""
RECORD_AFTER_S = 1.0
"""Tiles that are not run, because they are empty or unreadable, are recorded after this time if no batch ends earlier.
"""
Warn = Callable[[str], None]
Outcomes = Generator[list[TileOutcomes], None, None]
Image = NDArray[np.uint8]
Common = TypeVar("Common")
Item = TypeVar("Item")
Result = TypeVar("Result")
Results = Generator[Result, None, None]


class TileRunner(Protocol):
    """Runs one model over tiles, in this process or elsewhere."""

    @property
    def card(self) -> ModelCard:
        """The model."""

    @property
    def engine(self) -> Engine:
        """Backend, precision and device that run it."""

    @property
    def batch(self) -> int:
        """Tiles run at a time."""

    @property
    def scenes_at_once(self) -> int:
        """Number of scenes that keep it busy."""

    def prepare(self, side: int) -> None:
        """Starts to make the model ready for its first tiles, of this side, if that can begin before they are there."""

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """Yields the outcomes of tiles in any order, as parts that ended at the same time; a list may be empty.

        Args:
            plan: of the scene.
            todo: (N,) indices of the tiles.
            warn: receives messages that the user should read.

        Raises:
            DeviceMemoryError: if a device cannot hold a single tile.
        """

    def map(self, function: Callable[[Common, Item], Result], common: Common, items: Iterable[Item]) -> Results[Result]:
        """Yields `function(common, item)` of each item, in their order.

        Args:
            function: of a module, without side effects; a cluster runs it on its workers.
            common: what all calls share.
            items: taken as results are.
        """


class Map(Protocol):
    """`TileRunner.map`."""

    def __call__(
        self, function: Callable[[Common, Item], Result], common: Common, items: Iterable[Item]
    ) -> Results[Result]:
        """See there."""


def map_here(function: Callable[[Common, Item], Result], common: Common, items: Iterable[Item]) -> Results[Result]:
    """`TileRunner.map` in this process."""
    return (function(common, item) for item in items)


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """Runs tiles in this process, and reads ahead on threads."""

    predictor: Predictor
    own_batch: int | None = None
    """See `batch`; None: the predictor's."""
    max_cache_bytes: int = MAX_CACHE_BYTES
    """Maximum size of the cache of decoded blocks."""
    own_tiles_only: bool = False
    """Whether tiles never have more than the model's own size, for which the memory was measured."""
    ahead_bytes: int = AHEAD_BYTES
    """See AHEAD_BYTES."""

    @property
    def card(self) -> ModelCard:
        """The predictor's model."""
        card = self.predictor.card
        return replace(card, larger_tile_size=None) if self.own_tiles_only else card

    @property
    def engine(self) -> Engine:
        """The predictor's engine."""
        return self.predictor.engine

    @property
    def batch(self) -> int:
        """Tiles of the model's own size run at a time; halved when the device's memory does not hold it."""
        return self.predictor.batch if self.own_batch is None else self.own_batch

    @property
    def scenes_at_once(self) -> int:
        """One scene, which uses the whole machine."""
        return 1

    def prepare(self, side: int) -> None:
        """See `TileRunner.prepare`."""
        self.predictor.prepare(side)

    def map(self, function: Callable[[Common, Item], Result], common: Common, items: Iterable[Item]) -> Results[Result]:
        """See `TileRunner.map`."""
        return map_here(function, common, items)

    def batch_of(self, side: int) -> int:
        """Number of tiles of this side run at a time: fewer of larger ones, which take as much memory."""
        return math.ceil(self.batch * min(1.0, (self.predictor.card.tile_size / side) ** 2))

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """See `TileRunner.run`; tiles that are not run come with the next batch."""
        with closing(self._run(plan, todo, warn)) as batches:
            for outcomes in batches:
                yield [TileOutcomes.of(outcomes)] if outcomes else []

    def order(self, plan: ScenePlan, todo: NDArray[np.int64]) -> ReadingOrder:
        """The order in which some tiles of a scene are read, and the cache that this takes."""
        info, is_remote = plan.reader.scene.info, plan.reader.scene.is_remote
        threads = REMOTE_THREADS if is_remote else READ_THREADS
        usual = REMOTE_CACHE_BYTES if is_remote else CACHE_BYTES
        return reading_order(info, plan.grid, todo, threads, self.max_cache_bytes, usual)

    def _run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Generator[list[TileOutcome], None, None]:
        not_run: list[TileOutcome] = []
        yielded = time.monotonic()
        batch = self.batch_of(plan.reader.tile_size)
        info, order = plan.reader.scene.info, self.order(plan, todo)
        if not order.fits:
            warn(
                f"scene '{info.path}' is stored in blocks of {info.block_shape[1]:,} x {info.block_shape[0]:,} pixels, "
                "too large for the cache, so reading is slow; make a tiled copy with gdal_translate -co TILED=YES"
            )
        ahead = max(batch, READ_THREADS)
        if plan.reader.scene.is_remote:
            ahead = max(ahead, self.ahead_bytes // _bytes_of_tile(plan))
        with (
            closing(_Batches(self.predictor, plan, batch, warn)) as batches,
            closing(read_ahead(plan.reader, plan.grid, order, ahead)) as images,
        ):
            outage: ServerError | None = None
            try:
                for read in images:
                    if read is None:  # so that a run that waits for a server can be stopped
                        yield not_run
                        not_run, yielded = [], time.monotonic()
                        continue
                    tile, image = read
                    if isinstance(image, np.ndarray):
                        batches.add(tile, image)
                    else:
                        not_run.append(TileOutcome(tile.index, None, unread="" if image is None else str(image)))
                    while batches.full or (not_run and time.monotonic() - yielded > RECORD_AFTER_S):
                        yield not_run + (batches.next_done() if batches.full else [])
                        not_run, yielded = [], time.monotonic()
            except ServerError as error:  # what was read before is still run and recorded
                outage = error
            while batches.any:
                batches.start(at_least=1)
                yield not_run + batches.next_done()
                not_run = []
            if not_run:
                yield not_run
            if outage is not None:
                raise outage


def _bytes_of_tile(plan: ScenePlan) -> int:
    """Size of a tile's image, or of the stored pixels that it shows, whichever is larger."""
    info, grid = plan.reader.scene.info, plan.grid
    level = level_at(info, min(grid.scale))
    shown = grid.tile_width * grid.tile_height * grid.scale[0] * grid.scale[1] / level**2
    return max(3 * plan.reader.tile_size**2, round(shown * info.count * np.dtype(info.dtype).itemsize))


class _Batches:
    """Tiles being run by the model, some batches at a time."""

    def __init__(self, predictor: Predictor, plan: ScenePlan, size: int, warn: Warn) -> None:
        self._predictor, self._plan, self._size, self._warn = predictor, plan, size, warn
        self._waiting: deque[tuple[Tile, Image]] = deque()
        self._running: deque[tuple[int, list[tuple[Tile, Image]], Future[list[Detections]]]] = deque()
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="lcageo-batch")

    def close(self) -> None:
        """Waits for running batches, and drops those that have not started."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def any(self) -> bool:
        """Whether any tile waits or runs."""
        return bool(self._waiting or self._running)

    @property
    def full(self) -> bool:
        """Whether a batch should be taken out before more tiles are added."""
        return len(self._running) >= IN_FLIGHT and len(self._waiting) >= self._size

    def add(self, tile: Tile, image: Image) -> None:
        """Adds a tile, and starts a batch once there are enough."""
        self._waiting.append((tile, image))
        self.start(self._size)

    def start(self, at_least: int) -> None:
        """Submits batches while fewer than IN_FLIGHT run and at least so many tiles wait."""
        while len(self._running) < IN_FLIGHT and len(self._waiting) >= at_least:
            some = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            # Always the same shape, for the last batch, too: then no bit of a tile's boxes depends on the other tiles.
            count = len(some) if self._predictor.tile_by_tile else self._size
            images = np.zeros((count, *some[0][1].shape), np.uint8)
            for index, (_, image) in enumerate(some):
                images[index] = image
            self._running.append((self._size, some, self._threads.submit(self._predictor.predict, images)))

    def next_done(self) -> list[TileOutcome]:
        """The outcomes of the batch that was started first; empty if the device's memory did not hold it.

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
                self._warn(f"{error}; continuing with {self._size}")
            return []
        self.start(self._size)
        card, pixel_m = self._predictor.card, self._plan.tile_pixel_m
        outcomes = []
        # Further passes see the same ground again, of which one look is enough.
        appearance = card.appearance if self._plan.first == 0 else None
        for (tile, image), detections in zip(some, found, strict=False):  # not strict: the batch may be padded
            possible = of_possible_size(detections, card, pixel_m, tile.width, tile.height)
            impossible = len(detections) - len(possible)
            distance = None if appearance is None else appearance.distance(look(image, card.fill).tolist())
            outcomes.append(TileOutcome(tile.index, tile.to_scene(possible), impossible, distance=distance))
        return outcomes
