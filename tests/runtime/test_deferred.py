"""A predictor that loads in the background: once, for the side it is asked for, with the errors of loading."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.bright import BrightSquares, bright_card

from lcageo.errors import DeviceError
from lcageo.runtime.deferred import DeferredPredictor
from lcageo.runtime.predictor import Predictor

CARD = bright_card(64)
TILES = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)


def test_it_answers_as_the_loaded_predictor() -> None:
    loaded = BrightSquares(CARD)
    deferred: Predictor = DeferredPredictor(CARD, lambda side: loaded)
    assert deferred.card is CARD
    assert (deferred.engine, deferred.batch, deferred.tile_by_tile) == (loaded.engine, 2, False)
    found, expected = deferred.predict(TILES), loaded.predict(TILES)
    assert [one.boxes_xyxy.tolist() for one in found] == [one.boxes_xyxy.tolist() for one in expected]
    deferred.forward(TILES)
    assert loaded.batches == [2, 2, 2]


def test_it_loads_once_and_in_the_background() -> None:
    sides, may_end = list[int](), threading.Event()

    def load(side: int) -> Predictor:
        sides.append(side)
        assert may_end.wait(60) and threading.current_thread() is not threading.main_thread()
        return BrightSquares(CARD)

    deferred = DeferredPredictor(CARD, load)
    assert not sides
    deferred.prepare(32)  # would wait for ever if it loaded here
    deferred.prepare(64)
    may_end.set()
    assert deferred.batch == 2 and sides == [32]


def test_without_being_told_a_side_it_loads_for_that_of_the_card() -> None:
    sides = list[int]()

    def load(side: int) -> Predictor:
        sides.append(side)
        return BrightSquares(CARD)

    assert DeferredPredictor(CARD, load).engine == BrightSquares.engine and sides == [64]


def test_whatever_needs_it_raises_the_error_of_loading() -> None:
    def load(side: int) -> Predictor:
        raise DeviceError("no such device")

    deferred = DeferredPredictor(CARD, load)
    deferred.prepare(64)
    for _ in range(2):
        with pytest.raises(DeviceError, match="no such device"):
            deferred.predict(TILES)
