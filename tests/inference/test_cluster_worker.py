"""Pieces of a scene's work for a cluster."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcageo.inference.cluster_worker import units
from lcageo.scene.tiles import plan_tiles


@given(
    width=st.integers(1, 9_000), height=st.integers(1, 9_000), min_units=st.integers(1, 50),
    max_tiles=st.integers(1, 99), whole_rows=st.booleans(), seed=st.integers(0, 3),
)  # fmt: skip
def test_every_tile_is_in_one_unit_of_work(
    width: int, height: int, min_units: int, max_tiles: int, whole_rows: bool, seed: int
) -> None:
    grid = plan_tiles(width, height, 256, 64)
    todo = np.flatnonzero(np.random.default_rng(seed).random(len(grid)) < 0.8)
    pieces = units(grid, todo, min_units, max_tiles, whole_rows)
    assert np.sort(np.concatenate([*pieces, np.zeros(0, np.int64)])).tolist() == todo.tolist()
    across = len(grid.col_starts)
    assert max(map(len, pieces), default=0) <= max(2 * max_tiles, across if whole_rows else 0)
    if not whole_rows:
        for piece in pieces:
            row, column = np.divmod(piece, across)
            assert max(np.ptp(row), np.ptp(column)) + 1 <= max(max_tiles, 1)
