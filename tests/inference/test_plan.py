"""What will be read of a scene, and how, is decided before any tile is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bright import bright_card
from support.scenes import noise, write_scene
from support.square_scenes import run

from lcageo.errors import UsageError
from lcageo.inference.plan import choose_overlap, choose_scale
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene


@pytest.fixture
def info(scene_path: Path) -> SceneInfo:
    with open_scene(scene_path) as scene:
        return scene.info  # 0.5 m


@pytest.mark.parametrize(
    ("model_range", "gsd", "scale", "words"),
    [
        ((0.3, 1.0), "auto", 1.0, None),
        ((1.3, 2.0), "auto", 2.6, "resampled to 1.3 m"),
        ((0.1, 0.2), "auto", 0.4, "resampled to 0.2 m"),
        ((0.01, 0.1), "auto", 1.0, "too small to be seen"),
        ((1.3, 2.0), "native", 1.0, None),
        ((0.3, 1.0), 0.7, 1.4, None),
        ((0.3, 1.0), 0.5, 1.0, None),
    ],
)
def test_resolution_is_chosen_by_the_exact_ratio(
    info: SceneInfo, model_range: tuple[float, float], gsd: float | str, scale: float, words: str | None
) -> None:
    card = replace(bright_card(), gsd_m=model_range)
    chosen, notes = choose_scale(info, card, gsd)
    assert chosen == pytest.approx(scale, rel=1e-3)  # the UTM scale factor is 0.9996
    assert not notes if words is None else words in notes[0]


def test_a_resolution_outside_the_models_range_is_reported(info: SceneInfo) -> None:
    assert "--gsd 100 is outside the range of model 'bright'" in choose_scale(info, bright_card(), 100.0)[1][0]


def test_an_absurd_enlargement_is_refused(info: SceneInfo) -> None:
    with pytest.raises(UsageError, match=r"would enlarge .* 5,0.. times; give at least 0\.125"):
        choose_scale(info, bright_card(), 0.0001)


def test_a_scene_is_sampled_only_if_something_depends_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "a.tif", noise(100, 100))
    monkeypatch.setattr("lcageo.scene.prefetch.sample_scene", lambda scene: pytest.fail("it was sampled"))
    run(path, edge_nodata="none")
    run(write_scene(tmp_path / "b.tif", noise(100, 100), nodata=0))
    run(write_scene(tmp_path / "c.tif", noise(100, 100).astype(np.uint16), nodata=0), stretch="0,200")


def test_a_scene_of_unknown_resolution_is_used_as_it_is(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 20), None, None)) as scene:
        assert choose_scale(scene.info, bright_card(), "native") == (1.0, [])
        scale, notes = choose_scale(scene.info, bright_card(), 0.5)
    assert scale == 1.0 and "is ignored" in notes[0]


def test_overlap_is_the_largest_object_else_a_quarter() -> None:
    assert choose_overlap(bright_card(256), None) == 64
    assert choose_overlap(bright_card(256, largest_object_px=100), None) == 100
    assert choose_overlap(bright_card(256, largest_object_px=1000), None) == 192
    assert choose_overlap(bright_card(256, largest_object_px=100), "10%") == 26


def test_an_area_off_the_scene_is_refused(scene_path: Path) -> None:
    with pytest.raises(UsageError, match="does not overlap scene"):
        run(scene_path, bbox=(0.0, 0.0, 1.0, 1.0))
