"""Fixtures of the tests of evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.compared_layers import layer, square


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Three found ships and a dam, of which two ships are right; three true ships, and a dam elsewhere."""
    found = layer(
        tmp_path / "found.gpkg",
        [square(0, 0), square(1, 0), square(52, 0), square(200, 200)],
        **{"id": [11, 12, 13, 14], "class": ["ship"] * 3 + ["dam"], "score": [0.9, 0.8, 0.7, 0.6]},
    )
    truth = layer(
        tmp_path / "truth.gpkg",
        [square(0, 0), square(50, 0), square(100, 0), square(0, 200)],
        **{"id": [1, 2, 3, 4], "class": ["ship"] * 3 + ["dam"]},
    )
    return found, truth
