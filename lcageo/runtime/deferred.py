"""A predictor that loads in the background, while the first scene is opened and planned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Engine
from lcageo.detections import Detections
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor


class DeferredPredictor:
    """A Predictor whose card is known before it is loaded.

    The first call of `prepare` starts to load it on a thread. Whatever needs the loaded predictor waits for it, and
    raises the errors of loading.
    """

    def __init__(self, card: ModelCard, load: Callable[[int], Predictor]) -> None:
        """Loads nothing yet.

        Args:
            card: the model, as the loaded predictor has it.
            load: loads it, ready for tiles of a side.
        """
        self.card = card
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lcageo-load")
        self._loading: Future[Predictor] | None = None
        self._starting = threading.Lock()

    def prepare(self, side: int) -> None:
        """Starts to load; does nothing if that has begun: other sides are made ready when they are needed."""
        with self._starting:
            if self._loading is None:
                self._loading = self._thread.submit(self._load, side)

    @property
    def _loaded(self) -> Predictor:
        self.prepare(self.card.tile_size)
        assert self._loading is not None, "`prepare` has started it"
        return self._loading.result()

    @property
    def engine(self) -> Engine:
        """See Predictor.engine."""
        return self._loaded.engine

    @property
    def batch(self) -> int:
        """See Predictor.batch."""
        return self._loaded.batch

    @property
    def tile_by_tile(self) -> bool:
        """See Predictor.tile_by_tile."""
        return self._loaded.tile_by_tile

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """See Predictor.predict."""
        return self._loaded.predict(images)

    def forward(self, images: NDArray[np.uint8]) -> None:
        """See Predictor.forward."""
        self._loaded.forward(images)
