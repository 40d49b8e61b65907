from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcageo.config import DetectConfig, overlap_pixels
from lcageo.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"score": 1.5}, "score 1.5 is outside"),
        ({"iou": -0.1}, "iou -0.1 is outside"),
        ({"max_per_tile": 0}, "max-per-tile 0"),
        ({"gsd": "fine"}, "gsd 'fine'"),
        ({"gsd": 0.0}, "gsd 0.0 is not a positive"),
        ({"aoi": Path("a.gpkg"), "bbox": (0, 0, 1, 1)}, "cannot be combined"),
        ({"bbox_crs": "EPSG:4326"}, "bbox-crs requires bbox"),
    ],
)
def test_detect_config_refuses_invalid_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DetectConfig(**settings)


@pytest.mark.parametrize(("text", "pixels"), [("0", 0), ("200", 200), ("25%", 200), (" 12.5% ", 100)])
def test_overlap_in_pixels_and_per_cent(text: str, pixels: int) -> None:
    assert overlap_pixels(text, 800) == pixels


@pytest.mark.parametrize("text", ["", "%", "wide", "-1", "601", "76%", "nan%", "inf%"])
def test_overlap_refuses_others(text: str) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        overlap_pixels(text, 800)
