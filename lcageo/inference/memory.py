"""Keeping a run within a memory limit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import psutil

from lcageo.errors import DeviceMemoryError, UsageError
from lcageo.inference.runner import LocalRunner
from lcageo.remote import save_memory
from lcageo.runtime.predictor import Predictor
from lcageo.scene.order import CACHE_BYTES, MAX_CACHE_BYTES

MERGING_BYTES = 100_000_000
"""Reserve for merging, the journal and writing: they do not run beside the model, but the process keeps the memory."""
MIN_CACHE_BYTES = 16_000_000
SAMPLING_S = 0.001


def fit_to_memory(predictor: Predictor, batch: int, limit_bytes: int) -> LocalRunner:
    """A runner whose process stays within a memory limit: it sets the batch and the cache of decoded blocks.

    The model is run to measure what it requires.

    Args:
        predictor: the model, loaded.
        batch: maximum number of tiles to run at a time.
        limit_bytes: limit of resident memory.

    Raises:
        UsageError: if not even one tile at a time fits; the message names a sufficient limit.
        DeviceMemoryError: if the device cannot hold a single tile.
    """
    side = predictor.card.tile_size
    tile = np.zeros((1, 3, side, side), np.uint8)
    predictor.predict(tile)  # the first call allocates what stays
    base = psutil.Process().memory_info().rss
    one = _peak_bytes(lambda: predictor.predict(tile))
    try:
        two = one if batch == 1 else _peak_bytes(lambda: predictor.predict(np.concatenate([tile, tile])))
    except DeviceMemoryError:
        two, batch = one, 1
    per_tile = max(one - base, two - one) + 3 * tile.nbytes  # read ahead, waiting, in the batch
    left = limit_bytes - base - MERGING_BYTES - MIN_CACHE_BYTES
    if left < per_tile:
        needed = (limit_bytes - left + per_tile) / 1e6
        raise UsageError(
            f"--max-memory {limit_bytes / 1e6:,.0f}M is too little for model '{predictor.card.name}', even tile by "
            f"tile; give at least {1.05 * needed:,.0f}M, or use a smaller model"
        )
    # A power of two, so that a resumed run gets the same batch although no two measurements of memory agree.
    size = min(batch, 1 << (left // per_tile).bit_length() - 1)
    spare = MIN_CACHE_BYTES + left - size * per_tile
    cache_bytes = min(spare, MAX_CACHE_BYTES if spare > 2 * CACHE_BYTES else CACHE_BYTES)
    save_memory()
    return LocalRunner(predictor, size, cache_bytes, own_tiles_only=True, ahead_bytes=0)


def _peak_bytes(work: Callable[[], object]) -> int:
    """Resident memory of this process at its highest while `work` runs."""
    process, done = psutil.Process(), threading.Event()
    peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLING_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, name="lcageo-memory")
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return peak
