from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.detections import Detections
from lcageo.errors import ConfigError
from lcageo.scene.tiles import plan_tiles

SIDES = st.integers(1, 700)
TILE_SIZES = st.integers(8, 300)
SHARES = st.floats(0, 0.75)
SCALES = st.floats(0.3, 4.0)


@given(SIDES, SIDES, TILE_SIZES, SHARES)
def test_every_pixel_is_covered_and_no_tile_leaves_the_scene(width: int, height: int, size: int, share: float) -> None:
    grid = plan_tiles(width, height, size, int(size * share))
    covered = np.zeros((height, width), np.bool_)
    for tile in grid:
        assert tile.col_off + tile.width <= width and tile.row_off + tile.height <= height
        covered[tile.row_off : tile.row_off + tile.height, tile.col_off : tile.col_off + tile.width] = True
    assert covered.all()


@given(st.tuples(SIDES, SIDES), TILE_SIZES, SHARES, st.tuples(SCALES, SCALES))
def test_neighbours_share_at_least_the_overlap_and_reach_the_border(
    sides: tuple[int, int], size: int, share: float, scales: tuple[float, float]
) -> None:
    overlap = int(size * share)
    grid = plan_tiles(*sides, size, overlap, scales)
    axes = zip(sides, scales, (grid.col_starts, grid.row_starts), (grid.tile_width, grid.tile_height), strict=True)
    for side, scale, starts, length in axes:
        assert all(0 < after - before <= size - overlap for before, after in pairwise(starts))
        end = (starts[-1] + length) * scale
        assert side - 1e-6 * scale <= end < side + scale + 1e-6


@given(SIDES, SIDES, TILE_SIZES, st.tuples(SCALES, SCALES))
def test_bounds_of_all_tiles_are_those_of_each(width: int, height: int, size: int, scale: tuple[float, float]) -> None:
    grid = plan_tiles(width, height, size, size // 4, scale)
    assert [tile.bounds for tile in grid] == [tuple(row) for row in grid.bounds().tolist()]
    assert [tile.index for tile in grid] == list(range(len(grid)))


def test_a_scene_of_40_gigapixels_is_planned_at_once() -> None:
    grid = plan_tiles(200_000, 200_000, 800, 200)
    assert len(grid) == 333 * 333
    assert grid[len(grid) - 1].bounds == (199_200, 199_200, 200_000, 200_000)


def test_tile_pixels_become_scene_pixels() -> None:
    tile = plan_tiles(1000, 1000, 100, 20, scale=(2.5, 0.5))[1]
    found = Detections(np.array([[0, 0, 10, 20]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert tile.to_scene(found).boxes_xyxy.tolist() == [[200, 0, 225, 10]]


def test_an_overlap_without_a_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="overlap of 100 pixels does not fit tiles of 100"):
        plan_tiles(1000, 1000, 100, 100)


def test_there_is_no_tile_beyond_the_last() -> None:
    grid = plan_tiles(10, 10, 8, 0)
    with pytest.raises(IndexError):
        grid[4]


@given(
    st.integers(1, 700), st.integers(1, 700), st.integers(0, 47), st.sampled_from([0.5, 1.0, 1.7]), st.integers(0, 999)
)
def test_the_tile_nearest_to_a_point_shows_most_around_it(
    width: int, height: int, overlap: int, scale: float, seed: int
) -> None:
    grid = plan_tiles(width, height, 64, overlap, (scale, 2 * scale))
    bounds = grid.bounds()
    expected = np.zeros(len(grid), np.bool_)
    points = np.random.default_rng(seed).uniform(0, (width, height), (8, 2))
    for x, y in points:
        (chosen,) = np.flatnonzero(grid.nearest(np.array([x]), np.array([y])))
        x1, y1, x2, y2 = bounds.T
        assert x1[chosen] <= x <= x2[chosen] and y1[chosen] <= y <= y2[chosen]
        margins = np.minimum(x - x1, x2 - x), np.minimum(y - y1, y2 - y)  # (tiles,), negative outside
        assert all(margin[chosen] == pytest.approx(margin.max()) for margin in margins)
        expected[chosen] = True
    xs, ys = points.T
    assert grid.nearest(xs, ys).tolist() == expected.tolist()
    assert not grid.nearest(xs[:0], ys[:0]).any()
