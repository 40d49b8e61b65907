from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lcageo.chips.blocks import BlockPlane, BlockSplit, split_blocks, stratified

PLANE = BlockPlane(pyproj.CRS("EPSG:32633"), 1.0)


@given(groups=st.integers(2, 60), share=st.sampled_from([0.1, 0.2, 0.5]))
def test_equal_groups_of_one_class_are_shared_out_to_the_next_whole_one(groups: int, share: float) -> None:
    second = stratified(np.full((groups, 1), 3), share)
    assert abs(int(second.sum()) - groups * share) <= 1 and second.any()


@given(counts=arrays(np.int64, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.integers(0, 30)))
def test_a_class_in_two_groups_or_more_is_where_a_single_one_could_not_be(counts: np.ndarray) -> None:
    second = stratified(counts, 0.2)
    rarest = min(range(counts.shape[1]), key=lambda label: ((counts[:, label] > 0).sum() or 99, label))
    if (counts[:, rarest] > 0).sum() >= 2:  # it chooses first
        assert counts[second, rarest].any() and counts[~second, rarest].any()
    elif (counts[:, rarest] > 0).any():
        assert counts[~second, rarest].any()
    assert not stratified(counts, 0.0).any()


@given(
    points=arrays(np.float64, st.tuples(st.integers(1, 50), st.just(2)), elements=st.floats(-1e6, 1e6)),
    side=st.sampled_from([7.5, 100.0]),
    seed=st.integers(0, 5),
)
def test_a_position_is_on_the_side_of_its_block(points: np.ndarray, side: float, seed: int) -> None:
    split = split_blocks(PLANE, side, points, np.zeros(len(points), np.int64), 0.3, seed)
    together = split.validates(*points.T)
    for (x, y), val in zip(points.tolist(), together.tolist(), strict=True):
        block = (int(np.floor(x / side)), int(np.floor(y / side)))
        assert split.chosen[block] == val
        inside = np.array([(block[0] + 0.5) * side]), np.array([(block[1] + 0.5) * side])
        assert split.validates(*inside)[0] == val


def test_blocks_without_labels_validate_by_the_share() -> None:
    split = BlockSplit(PLANE, 10.0, {}, 0.25, 3)
    xs, ys = np.meshgrid(np.arange(-500.0, 500, 10), np.arange(-500.0, 500, 10))
    assert split.validates(xs, ys).mean() == pytest.approx(0.25, abs=0.02)
    assert (split.validates(xs + 4.9, ys + 4.9) == split.validates(xs, ys)).all()
