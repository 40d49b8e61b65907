"""`lcageo info` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(300, 400))


def test_info_describes_the_scene(run: Run, scene: Path, untrained: Path) -> None:
    text = run("info", scene, "--model", untrained).out
    for words in ("400 x 300 pixels", "EPSG:32633", "0.5002 m per pixel", "6 tiles of 256", "3 of uint8"):
        assert words in text
    described = json.loads(run("info", scene, "--model", untrained, "--json").out)
    assert described["size"] == [400, 300] and described["tiling"]["tiles"] == 6 and described["warnings"] == []


def test_info_warns_and_needs_no_model(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(50, 50), None, None)
    outcome = run("info", "a.tif")
    assert outcome.code == 0 and "warning: scene 'a.tif' has no CRS, so results are in pixels" in outcome.out


def test_info_counts_the_tiles_of_every_pass(run: Run, scene: Path) -> None:
    assert "for large objects" not in run("info", scene, "--model", "lca-s").out, "one tile holds the scene"
    large = write_scene(scene.with_name("large.tif"), noise(700, 700))
    tiling = json.loads(run("info", large, "--model", "lca-s", "--json").out)["tiling"]
    counts = [one["tiles"] for one in tiling["further_passes"]]
    dry_run = run("detect", large, "--dry-run").out
    assert f"{tiling['tiles']} at scale 1 + {counts[0]} at scale 0.5 + {counts[1]} at scale 2" in dry_run
    assert f"at most {counts[1]} tiles of 608, 0.5 scene pixels per tile pixel, around small" in run("info", large).out
