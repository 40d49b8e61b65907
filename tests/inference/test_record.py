"""What is recorded of a run: its holes, its counts, its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from support.bright import BrightSquares, bright_card
from support.scenes import UTM, damaged_scene, noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.inference.record import Hole, SceneSummary, model_record
from lcageo.inference.scene import detect_scene
from lcageo.scene import prefetch
from lcageo.scene.raster import open_scene
from lcageo.vector.record import TileCounts

PLACES = [(x, y, 16, 220) for x in range(20, 500, 70) for y in range(20, 500, 70)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)


def test_what_is_in_readable_tiles_is_found_and_the_rest_is_a_hole(tmp_path: Path) -> None:
    with open_scene(damaged_scene(tmp_path / "a.tif", [0, 27], PLACES)) as scene:
        predictor = BrightSquares(bright_card(64))
        result = detect_scene(scene, predictor, DetectConfig(overlap="0"), warn=lambda line: None)
    bounds = {hole.bounds_xyxy for hole in result.summary.holes}
    assert bounds == {(0, 0, 64, 64), (192, 192, 256, 256)}
    holes = [shapely.box(*one) for one in bounds]
    all_squares = [shapely.box(x, y, x + side, y + side) for x, y, side, _ in PLACES]
    seen = [one for one in all_squares if not any(one.intersects(hole) for hole in holes)]
    found = [shapely.box(*box) for box in result.detections.boxes_xyxy]
    assert all(any(one.intersects(box) for box in found) for one in seen)
    assert result.summary.tiles.unreadable == 2 and result.summary.tiles.run == 62
    assert result.summary.hole_text().startswith(
        "2 of 64 tiles (2,050 m2, 3.1% of the scene) could not be read completely; the first: scene"
    )


def summary_of(path: Path) -> SceneSummary:
    with open_scene(path) as scene:
        return detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), warn=lambda line: None).summary


def test_objects_are_counted_by_class(tmp_path: Path) -> None:
    places = [(10, 10, 8, 210), (40, 10, 8, 240), (70, 10, 8, 250)]
    summary = summary_of(write_scene(tmp_path / "a.tif", squares(64, 100, places)))
    assert summary.objects == 3 and summary.per_class() == {"grey square": 1, "white square": 2}
    assert summary_of(write_scene(tmp_path / "b.tif", squares(64, 100, places[1:]))).per_class() == {"white square": 2}


def test_holes_that_overlap_or_leave_the_scene_count_once(tmp_path: Path) -> None:
    plain = summary_of(write_scene(tmp_path / "a.tif", noise(100, 100), None, None))
    holes = (Hole((0, 0, 60, 60), "torn"), Hole((40, 40, 130, 130), "burnt"))
    summary = replace(plain, holes=holes, tiles=TileCounts(planned=4, unreadable=2, run=2))
    assert summary.hole_bounds().tolist() == [[0, 0, 60, 60], [40, 40, 100, 100]]
    expected = 2 * 60 * 60 - 20 * 20
    assert summary.hole_text() == (
        f"2 of 4 tiles ({expected:,} pixels, {expected / 10_000:.1%} of the scene) could not be read completely; "
        "the first: torn"
    )


def test_a_record_says_how_the_scene_was_placed(tmp_path: Path) -> None:
    record = summary_of(write_scene(tmp_path / "a.tif", noise(100, 120))).record
    assert record.crs == "EPSG:32633" and record.scene_grid is not None and record.scene_grid.size == (120, 100)
    assert record.scene_grid.transform == tuple(UTM)[:6]
    assert summary_of(write_scene(tmp_path / "b.tif", noise(100, 120), None, None)).record.crs is None


def test_an_untrained_model_is_recorded_as_such() -> None:
    assert model_record(bright_card()).trained_on == "nothing to train"
    assert model_record(replace(bright_card(), trained_on="")).trained_on == "nothing: this model is untrained"
