"""Fixtures of the tests of survey."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scenes import squares
from support.surveys import PLACES, cut


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """Four scenes of 280 x 230 pixels that overlap by 60 and more, together 500 x 400."""
    whole, folder = squares(400, 500, PLACES), tmp_path / "flight"
    for number, (x, y) in enumerate([(0, 0), (220, 0), (0, 170), (220, 170)]):
        cut(whole, folder, f"part {number} ü.tif", x, y, 280, 230)
    return folder
