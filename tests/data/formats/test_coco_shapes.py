from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pycocotools import mask as reference

from lcageo.data.formats.coco_shapes import box_of_shape
from lcageo.errors import DataError


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.02, 0.9))
def test_bounds_of_masks_are_those_of_the_coco_api(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    assume(mask.any())
    compressed = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    x, y, across, down = reference.toBbox(compressed).tolist()
    expected = (x, y, x + across, y + down)
    assert box_of_shape({"size": [height, width], "counts": compressed["counts"].decode()}) == expected
    runs, last = [0], False
    for value in mask.ravel(order="F").tolist():
        if value is not last:
            runs.append(0)
            last = value
        runs[-1] += 1
    assert box_of_shape({"size": [height, width], "counts": runs}) == expected


def test_long_runs_of_large_masks_are_decompressed() -> None:
    mask = np.zeros((900, 1100), np.uint8)
    mask[300:700, 200:1000] = 1
    mask[0, 5] = 1
    counts = reference.encode(np.asfortranarray(mask))["counts"].decode()
    assert box_of_shape({"size": [900, 1100], "counts": counts}) == (5, 0, 1000, 700)


def test_polygons_give_their_bounds() -> None:
    assert box_of_shape([[1, 2, 5, 2, 3, 9], [0.5, 4, 2, 4, 2, 6]]) == (0.5, 2, 5, 9)
    assert box_of_shape([1, 2, 5, 2, 3, 9]) == (1, 2, 5, 9)  # one polygon without its list
    assert box_of_shape(None) is None and box_of_shape([]) is None and box_of_shape({}) is None


@pytest.mark.parametrize(
    "shape",
    [
        [[1, 2, 3]], [["a", 2, 3, 4]], [[True, 2, 3, 4]], [[float("nan")] * 6], "text", 7, [[]], [1, [2, 3]],
        {"size": [2, 2], "counts": [0, 9]}, {"size": [2], "counts": [0, 1]}, {"size": [2, 2], "counts": "\x01"},
        {"size": [2, 2], "counts": [4]}, {"counts": [1, 2]}, {"size": [2, 2], "counts": [1, -1]},
        {"size": [2, 2], "counts": "o" * 50},
    ],
)  # fmt: skip
def test_other_shapes_are_refused(shape: Any) -> None:
    with pytest.raises(DataError, match="segmentation"):
        box_of_shape(shape)
