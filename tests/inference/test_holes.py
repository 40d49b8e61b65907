"""A damaged scene gives what can be read of it, and says what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely
from support.bright import BrightSquares, bright_card
from support.scenes import damaged_scene

from lcageo.config import DetectConfig
from lcageo.errors import SceneError
from lcageo.inference.scene import detect_scene
from lcageo.scene import prefetch
from lcageo.scene.raster import open_scene

PLACES = [(x, y, 16, 220) for x in range(20, 500, 70) for y in range(20, 500, 70)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)


def test_what_lies_in_readable_tiles_is_found_and_the_rest_is_a_hole(tmp_path: Path) -> None:
    with open_scene(damaged_scene(tmp_path / "a.tif", [0, 27], PLACES)) as scene:
        predictor = BrightSquares(bright_card(64))
        result = detect_scene(scene, predictor, DetectConfig(overlap="0"), warn=lambda line: None)
    bounds = {hole.bounds_xyxy for hole in result.summary.holes}
    assert bounds == {(0, 0, 64, 64), (192, 192, 256, 256)}
    holes = [shapely.box(*one) for one in bounds]
    squares_whole = [shapely.box(x, y, x + side, y + side) for x, y, side, _ in PLACES]
    seen = [one for one in squares_whole if not any(one.intersects(hole) for hole in holes)]
    found = [shapely.box(*box) for box in result.detections.boxes_xyxy]
    assert all(any(one.intersects(box) for box in found) for one in seen)
    assert result.summary.tiles.unreadable == 2 and result.summary.tiles.run == 62
    assert result.summary.hole_text().startswith(
        "2 of 64 tiles (2,050 m2, 3.1% of the scene) could not be read whole; the first: scene"
    )


def test_a_scene_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    with (
        open_scene(damaged_scene(tmp_path / "a.tif", list(range(64)))) as scene,
        pytest.raises(SceneError, match="damaged"),
    ):
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), warn=lambda line: None)
