"""What a card's entries must be; tests of `read_card` go through most of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcageo.errors import ConfigError
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.layouts import Layout


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layout": Layout.OBB}, "either network or layout"),
        ({"network": None}, "either network or layout"),
        ({"iou": 1.5}, r"iou \(0 to 1\)"),
        ({"tile_size": 400}, "a multiple of 32"),
        ({"classes": ("ship",)}, "as many as network.num_classes"),
    ],
)
def test_entries_that_are_not_allowed_are_refused(card: ModelCard, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(card, **changes)


def test_another_program_s_tiles_and_number_of_classes_are_its_own(card: ModelCard) -> None:
    other = replace(card, network=None, layout=Layout.RETINANET, tile_size=400, classes=("tree",), iou=0.3)
    assert other.tile_size == 400
    with pytest.raises(ConfigError, match="classes"):
        replace(other, classes=())
