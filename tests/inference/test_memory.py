"""Batch and cache fitted to a memory limit, with a model whose requirement is known."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from support.bright import BrightSquares, bright_card

from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.inference.memory import MERGING_BYTES, MIN_CACHE_BYTES, fit_to_memory
from lcageo.inference.runner import LocalRunner
from lcageo.scene.order import MAX_CACHE_BYTES

TILE_BYTES = 50_000_000


class Hungry(BrightSquares):
    """Takes TILE_BYTES of memory for each tile while it runs."""

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        taken = np.ones(len(images) * TILE_BYTES, np.uint8)
        time.sleep(0.05)  # to be seen by the sampling
        assert taken[-1]
        return [Detections.empty() for _ in images]


def fitted_to_six_tiles() -> LocalRunner:
    limit = psutil.Process().memory_info().rss + MERGING_BYTES + MIN_CACHE_BYTES + 6 * TILE_BYTES
    return fit_to_memory(Hungry(bright_card(64)), 100, limit)


def test_the_batch_is_the_largest_power_of_two_that_fits() -> None:
    """In a process of its own: this one may give memory of earlier tests back while the model is measured."""
    here = Path(__file__).parent
    code = "import test_memory; runner = test_memory.fitted_to_six_tiles(); print(runner.batch, runner.max_cache_bytes)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent, here.parents[1])))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    batch, cache = map(int, done.stdout.split())
    assert batch == 4 and MIN_CACHE_BYTES <= cache <= MAX_CACHE_BYTES


def test_the_batch_is_never_larger_than_requested() -> None:
    runner = fit_to_memory(BrightSquares(bright_card(64)), 2, 1 << 50)
    assert runner.batch == 2 and runner.max_cache_bytes == MAX_CACHE_BYTES


def test_a_model_that_runs_single_tiles_only_gets_a_batch_of_one() -> None:
    assert fit_to_memory(BrightSquares(bright_card(64), largest_batch=1), 8, 1 << 40).batch == 1


def test_a_limited_run_keeps_to_the_tiles_whose_memory_was_measured() -> None:
    runner = fit_to_memory(BrightSquares(replace(bright_card(64), larger_tile_size=128)), 2, 1 << 50)
    assert runner.predictor.card.larger_tile_size == 128 and runner.card.larger_tile_size is None


def test_a_limit_that_is_too_small_is_refused_with_one_that_suffices() -> None:
    predictor = Hungry(bright_card(64))
    with pytest.raises(UsageError, match=r"--max-memory 10M is too little for model 'bright'") as refused:
        fit_to_memory(predictor, 4, 10_000_000)
    sufficient = re.search(r"give at least ([\d,]+)M", str(refused.value))
    assert sufficient is not None
    assert fit_to_memory(predictor, 4, int(sufficient[1].replace(",", "")) * 1_000_000).batch >= 1
