"""What OpenVINO and ONNX Runtime have in common: tiles run in parallel, each on its own cores."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Engine
from lcageo.detections import Detections
from lcageo.errors import DeviceError, DeviceMemoryError
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.selection import Selection

MAX_SIDE_BY_SIDE = 8
"""Maximum number of tiles in parallel, as each takes memory; with more cores, several share a tile."""
Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""(1, 3, S, S) uint8 to scores (1, N, K) and boxes (1, N, 4); called from several threads; raises RuntimeError."""


def side_by_side() -> tuple[int, int]:
    """Number of tiles to run in parallel on this machine, and number of threads for each."""
    tiles = min(machine.cores(), MAX_SIDE_BY_SIDE)
    return tiles, max(1, machine.cores() // tiles)


def other_backend(card: ModelCard) -> str:
    """What to try where a backend fails: torch runs all networks, but no graphs."""
    return "onnx or openvino" if card.is_graph else "torch"


class CpuPredictor:
    """Predictor that runs each tile on its own.

    With one tile per core, cores do not wait for each other, and the result of a tile does not depend on the batch.
    """

    tile_by_tile = True

    def __init__(self, card: ModelCard, engine: Engine, selection: Selection, prepare: Callable[[bytes], Run]) -> None:
        """Loads nothing yet; see `prepare`.

        Args:
            card: the model.
            engine: what runs it, as shown to the user.
            selection: which boxes to return.
            prepare: makes an ONNX graph ready to run; may raise DeviceError.
        """
        self.card, self.engine = card, engine
        tiles, _ = side_by_side()
        self.batch = 2 * tiles
        self._selection = selection
        self._threads = ThreadPoolExecutor(tiles, thread_name_prefix="lcageo-model")
        self._prepare = prepare
        self._runs: dict[int, Run] = {}
        self._preparing = threading.Lock()

    def prepare(self, side: int) -> None:
        """See Predictor.prepare."""
        if not self._runs:
            self._run_for(side)

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """See Predictor.predict."""
        machine.refuse_fork()
        run = self._run_for(images.shape[-1])
        return list(self._threads.map(partial(self._one, run), images))

    def forward(self, images: NDArray[np.uint8]) -> None:
        """See Predictor.forward."""
        machine.refuse_fork()
        run = self._run_for(images.shape[-1])
        list(self._threads.map(lambda image: run(image[None]), images))

    def _run_for(self, side: int) -> Run:
        """Function that runs tiles of this side: a graph has one size, and `evaluate --as-scene` uses smaller tiles."""
        with self._preparing:
            if side not in self._runs:
                if self.card.is_graph and side != self.card.tile_size:
                    raise DeviceError(
                        f"model '{self.card.name}' is an ONNX graph and takes only tiles of {self.card.tile_size} "
                        "pixels; choose another model"
                    )
                self._runs[side] = self._ready(replace(self.card, tile_size=side))
            return self._runs[side]

    def _ready(self, card: ModelCard) -> Run:
        run = self._prepare(onnx_graph(card))
        # Once before threads start: OpenVINO 2026.4 sets up tables at its first tile, and two threads that do so at the
        # same time can deadlock, one holding the GIL and the other a lock in C++.
        try:
            run(np.zeros((1, 3, card.tile_size, card.tile_size), np.uint8))
        except RuntimeError as error:
            raise DeviceError(
                f"{self.engine.backend} cannot run model '{card.name}': {error}; try --backend {other_backend(card)}"
            ) from error
        return run

    def _one(self, run: Run, image: NDArray[np.uint8]) -> Detections:
        try:
            scores, boxes = run(image[None])
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError) or "alloc" in str(error):
                raise DeviceMemoryError(f"not enough memory on cpu for a tile of {image.shape[-1]} pixels") from error
            raise
        (found,) = self._selection.detections(scores, boxes, image.shape[-1])
        return found
