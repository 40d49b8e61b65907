"""Running tiles of a scene: what reads them, runs the model over them in batches, and hands back what each gave."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import DeviceMemoryError
from lcageo.pipeline.journal import TileOutcome
from lcageo.pipeline.plan import ScenePlan
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import of_possible_size
from lcageo.scene.order import MAX_CACHE_BYTES, reading_order
from lcageo.scene.prefetch import read_ahead
from lcageo.scene.tiles import Tile

READ_THREADS = 2
RECORD_AFTER_S = 1.0
"""Tiles that are not run, for want of data or readability, are recorded after so long if no batch comes first."""
Warn = Callable[[str], None]
Outcomes = Generator[list[TileOutcome], None, None]


def default_batch(device: str) -> int:
    """Tiles run at a time where a user does not say: a CPU gains nothing by more."""
    return 2 if device == "cpu" else 16


class TileRunner(Protocol):
    """Runs one model over tiles, wherever."""

    @property
    def card(self) -> ModelCard:
        """The model."""

    @property
    def device(self) -> str:
        """What it runs on, such as 'cpu' or 'cuda:0'."""

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
    """Halved when the device's memory does not hold it."""
    max_cache_bytes: int = MAX_CACHE_BYTES
    """Most decoded blocks to keep."""

    @property
    def card(self) -> ModelCard:
        """The predictor's."""
        return self.predictor.card

    @property
    def device(self) -> str:
        """The predictor's."""
        return self.predictor.device

    @property
    def scenes_at_once(self) -> int:
        """One: it uses the whole machine."""
        return 1

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """Batch by batch, tiles without a valid pixel with the next batch."""
        waiting: deque[tuple[Tile, NDArray[np.uint8]]] = deque()
        not_run: list[TileOutcome] = []
        size, yielded = self.batch, time.monotonic()
        info = plan.reader.scene.info
        order = reading_order(info, plan.grid, todo, READ_THREADS, self.max_cache_bytes)
        if not order.fits:
            warn(
                f"scene '{info.path}' is stored in blocks of {info.block_shape[1]:,} x {info.block_shape[0]:,} pixels, "
                "too large to be kept while reading, which takes long; gdal_translate -co TILED=YES makes a quick copy"
            )
        with closing(read_ahead(plan.reader, plan.grid, order, ahead=max(size, READ_THREADS))) as images:
            for tile, image in images:
                if not isinstance(image, np.ndarray):
                    not_run.append(TileOutcome(tile.index, None, unread="" if image is None else str(image)))
                    if time.monotonic() - yielded > RECORD_AFTER_S:
                        yield not_run
                        not_run, yielded = [], time.monotonic()
                    continue
                waiting.append((tile, image))
                while len(waiting) >= size:
                    size, outcomes = self._run_batch(plan, waiting, size, warn)
                    yield not_run + outcomes
                    not_run, yielded = [], time.monotonic()
            while waiting:
                size, outcomes = self._run_batch(plan, waiting, size, warn)
                yield not_run + outcomes
                not_run = []
        if not_run:
            yield not_run

    def _run_batch(
        self, plan: ScenePlan, waiting: deque[tuple[Tile, NDArray[np.uint8]]], size: int, warn: Warn
    ) -> tuple[int, list[TileOutcome]]:
        """Runs up to `size` waiting tiles; gives the size for the next batch: half of it, if memory ran out."""
        some = [waiting[index] for index in range(min(size, len(waiting)))]
        # Always of one shape, the last one too: a tile's boxes then do not depend on its company, to the last bit.
        images = np.zeros((size, *some[0][1].shape), np.uint8)
        for place, (_, image) in enumerate(some):
            images[place] = image
        try:
            found = self.predictor.predict(images)[: len(some)]
        except DeviceMemoryError as error:
            if size == 1:
                raise
            warn(f"{error}; going on with {size // 2}")
            return size // 2, []
        outcomes = []
        for (tile, _), detections in zip(some, found, strict=True):
            waiting.popleft()
            possible = of_possible_size(detections, self.card, plan.tile_pixel_m, tile.width, tile.height)
            outcomes.append(TileOutcome(tile.index, tile.to_scene(possible), len(detections) - len(possible)))
        return size, outcomes
