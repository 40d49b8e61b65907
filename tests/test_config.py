from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcageo.config import DetectConfig, overlap_pixels
from lcageo.errors import ConfigError
from lcageo.network_config import BACKBONES, NetworkConfig, Norm, Preset


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"score": 1.5}, "score 1.5 is outside"),
        ({"iou": -0.1}, "iou -0.1 is outside"),
        ({"max_per_tile": 0}, "max-per-tile 0"),
        ({"gsd": "fine"}, "gsd 'fine'"),
        ({"gsd": 0.0}, "gsd 0.0 is not a positive"),
        ({"aoi": Path("a.gpkg"), "bbox": (0, 0, 1, 1)}, "exclude each other"),
        ({"bbox_crs": "EPSG:4326"}, "bbox-crs says nothing"),
    ],
)
def test_detect_config_refuses_what_makes_no_sense(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DetectConfig(**settings)


@pytest.mark.parametrize(
    "settings", [{"num_classes": 0}, {"backbone": "vgg"}, {"backbone_width": 7}, {"channels": 4}, {"head_convs": 0}]
)
def test_network_config_names_the_setting(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NetworkConfig(**{"preset": Preset.LCA, "num_classes": 2, **settings})


@pytest.mark.parametrize("settings", [{"backbone_width": 32}, {"norm": Norm.GN}])
def test_a_family_without_a_choice_refuses_it(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "plain", replace(BACKBONES["resnet50"], widths=None, norms=(Norm.BN,)))
    assert NetworkConfig(Preset.LCA, 2, "plain").backbone == "plain"
    with pytest.raises(ConfigError, match=next(iter(settings))):
        NetworkConfig(Preset.LCA, 2, "plain", **settings)


@pytest.mark.parametrize(("text", "pixels"), [("0", 0), ("200", 200), ("25%", 200), (" 12.5% ", 100)])
def test_overlap_in_pixels_and_per_cent(text: str, pixels: int) -> None:
    assert overlap_pixels(text, 800) == pixels


@pytest.mark.parametrize("text", ["", "%", "wide", "-1", "601", "76%", "nan%", "inf%"])
def test_overlap_refuses_others(text: str) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        overlap_pixels(text, 800)
