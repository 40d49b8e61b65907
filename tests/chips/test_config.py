"""Settings of chips that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.chips.config import ChipConfig
from lcageo.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"class_field": "kind", "class_name": "ship"}, "cannot be combined"),
        ({"review": Path("review.gpkg"), "class_name": "ship"}, "leave out the class"),
        ({"size": 31}, "size 31 is outside 32 to 2,000"),
        ({"overlap": "80%"}, "75 % of the chip"),
        ({"point_size_m": 0.0}, r"point-size 0\.0 is not a positive number"),
        ({"gsd_m": 0.0}, "gsd 0.0 is not a positive number of metres"),
        ({"block_m": float("inf")}, "block inf"),
        ({"min_visible": 0.0}, "min-visible"),
        ({"negatives": 1.0}, "negatives 1.0"),
        ({"val": -0.1}, "val -0.1"),
        ({"seed": -1}, "below 0"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ChipConfig(**settings)  # type: ignore[arg-type]


def test_parameters_are_ready_for_json() -> None:
    assert ChipConfig(aoi=Path("area.gpkg"), bands=(4, 3, 2)).parameters()["aoi"] == "area.gpkg"
