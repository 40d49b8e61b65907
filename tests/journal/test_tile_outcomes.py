"""Results of tiles as arrays: what goes in comes out."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.detections import Detections
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes


def some_tiles(seed: int) -> list[TileOutcome]:
    rng = np.random.default_rng(seed)
    outcomes = []
    for tile in rng.permutation(9)[: int(rng.integers(0, 9))].tolist():
        count = int(rng.integers(0, 4))
        found = Detections(rng.random((count, 4)), rng.random(count).astype(np.float32), rng.integers(0, 9, count))
        outcome = TileOutcome(tile, found, int(rng.integers(0, 3)), distance=float(rng.choice([0.5, 2.0])))
        others = TileOutcome(tile, None), TileOutcome(tile, None, unread="the disk is damaged"), outcome
        outcomes.append(others[min(2, int(rng.integers(0, 6)))])
    return outcomes


def as_plain(outcomes: list[TileOutcome]) -> list[tuple[object, ...]]:
    """Comparable, those that could be read first."""
    plain = [
        (bool(one.unread), one.tile, one.impossible, one.unread, one.distance,
         None if one.found is None else [values.tolist() for values in (one.found.boxes_xyxy, one.found.scores,
                                                                        one.found.labels)])
        for one in outcomes
    ]  # fmt: skip
    return sorted(plain, key=lambda one: one[0])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 9))
def test_tiles_come_back_from_arrays(seed: int, cut: int) -> None:
    outcomes = some_tiles(seed)
    packed = TileOutcomes.joined([TileOutcomes.of(outcomes[:cut]), TileOutcomes.of(outcomes[cut:])])
    assert len(packed) == len(outcomes) and as_plain(list(packed)) == as_plain(outcomes)
    assert as_plain(list(pickle.loads(pickle.dumps(packed)))) == as_plain(outcomes)
    read = [one for one in outcomes if not one.unread]
    even = packed.selected(packed.tiles % 2 == 0)
    assert as_plain(list(even)) == as_plain([one for one in read if one.tile % 2 == 0])
    assert [one.tile for one in packed.numbered_from(100)] == [one.tile + 100 for one in packed]
    of_boxes = [one.tile for one in read if one.found is not None for _ in range(len(one.found))]
    assert packed.tile_of_box().tolist() == of_boxes


def test_counts_that_do_not_fit_the_boxes_are_refused() -> None:
    one = TileOutcomes.of([TileOutcome(0, None)])
    with pytest.raises(ValueError, match=r"1 tiles, 0 boxes and their counts do not agree"):
        TileOutcomes(one.tiles, np.array([1], np.int32), one.impossible, one.distances, one.found)
