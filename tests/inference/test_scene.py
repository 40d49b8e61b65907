"""The main path with a real predictor that needs no network: it finds bright squares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.bright import BrightSquares, bright_card, find_squares
from support.scenes import UTM, damaged_scene, noise, squares, write_scene
from support.square_scenes import SQUARES, rows, run

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import SceneError
from lcageo.inference.scene import Progress, detect_scene
from lcageo.scene import prefetch
from lcageo.scene.raster import open_scene

LARGEST = 24


def scattered(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Squares of up to LARGEST pixels that do not touch: one in each cell of a lattice, at random, or none."""
    rng = np.random.default_rng(seed)
    places = []
    cell = LARGEST + 3
    for top in range(0, height - cell, cell):
        for left in range(0, width - cell, cell):
            if rng.random() < 0.6:
                side = int(rng.integers(3, LARGEST + 1))
                x, y = left + int(rng.integers(1, cell - side)), top + int(rng.integers(1, cell - side))
                places.append((x, y, side, int(rng.integers(200, 256))))
    return squares(height, width, places)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    tile_size=st.sampled_from([64, 96, 128, 160, 256, 512]),
    overlap=st.integers(LARGEST, 48),
)
def test_a_scene_in_tiles_gives_what_the_scene_in_one_piece_gives(
    tmp_path: Path, seed: int, tile_size: int, overlap: int
) -> None:
    pixels = scattered(seed, 260, 330)
    path = write_scene(tmp_path / f"{seed}.tif", pixels)
    assert rows(run(path, tile_size, overlap=str(overlap)).detections) == rows(find_squares(pixels))


def test_progress_reaches_the_number_of_tiles(scene_path: Path) -> None:
    seen: list[Progress] = []
    with open_scene(scene_path) as scene:
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 4, lambda line: None, seen.append)
    total = seen[-1].total
    assert [at.done for at in seen] == [*range(0, total, 4), total]


def test_a_scene_without_objects_gives_none(tmp_path: Path) -> None:
    assert len(run(write_scene(tmp_path / "a.tif", noise(100, 100))).detections) == 0


def test_a_scene_of_one_pixel_runs(tmp_path: Path) -> None:
    assert len(run(write_scene(tmp_path / "a.tif", np.full((3, 1, 1), 220, np.uint8))).detections) == 1


def test_only_objects_with_their_centre_in_the_area_are_kept_and_only_its_tiles_run(scene_path: Path) -> None:
    # Scene columns 0 to 100 and rows 0 to 100; the square at (60, 5) has its centre at column 72.
    bbox = (UTM.c, UTM.f - 50.0, UTM.c + 50.0, UTM.f)
    result = run(scene_path, bbox=bbox)
    assert sorted(result.detections.boxes_xyxy[:, 0].tolist()) == [5, 60]
    tiles = result.summary.tiles.as_json()
    assert (
        tiles["outside_area_of_interest"] > 0 and tiles["run"] + tiles["outside_area_of_interest"] == tiles["planned"]
    )
    assert rows(run(scene_path, bbox=(UTM.c, UTM.f - 50.0, UTM.c + 35.9, UTM.f)).detections)[-1][0] == 5


def test_16_bit_scenes_are_stretched_alike_everywhere(tmp_path: Path) -> None:
    eight = squares(220, 340, SQUARES)
    sixteen = write_scene(tmp_path / "a.tif", eight.astype(np.uint16) * 100)
    found = run(sixteen, overlap="40", stretch="0,25500").detections
    assert rows(found) == rows(find_squares(eight))


def test_resampling_puts_boxes_back_where_they_were(tmp_path: Path) -> None:
    places = [(20, 20, 24, 250), (100, 60, 16, 250), (203, 150, 20, 250)]
    path = write_scene(tmp_path / "a.tif", squares(220, 340, places))
    for gsd in (0.3, 0.77, 1.0):
        found = run(path, overlap="44", gsd=gsd).detections
        assert len(found) == 3
        for row, (x, y, side, _) in zip(rows(found), places, strict=True):
            # Thresholding a resampled edge is good to one pixel of the resampled image.
            assert row[:4] == pytest.approx([x, y, x + side, y + side], abs=max(1.0, gsd / 0.5))


def test_a_scene_without_any_data_is_reported(tmp_path: Path) -> None:
    warnings: list[str] = []
    with open_scene(write_scene(tmp_path / "a.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)) as scene:
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 2, warnings.append)
    assert warnings == [f"scene '{tmp_path / 'a.tif'}' has no pixel with data, so it was not searched"]


def test_boxes_that_reach_into_padding_are_cut_before_they_are_compared(tmp_path: Path) -> None:
    class Twice(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            boxes = np.array([[80, 80, 100, 200], [80, 80, 100, 110]], np.float32)
            return [Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)) for _ in images]

    with open_scene(write_scene(tmp_path / "a.tif", noise(100, 100))) as scene:
        found = detect_scene(scene, Twice(bright_card(256)), DetectConfig()).detections
    assert found.boxes_xyxy.tolist() == [[80, 80, 100, 100]]


def test_objects_too_large_for_their_class_are_left_out_and_counted(scene_path: Path) -> None:
    card = replace(bright_card(64), size_m={"white square": (0.0, 10.5)})
    with open_scene(scene_path) as scene:
        gsd_m = scene.info.gsd_m
        config = DetectConfig(overlap=str(LARGEST))
        result = detect_scene(scene, BrightSquares(card), config, warn=lambda line: None)
    assert gsd_m is not None
    wanted = [side for _, _, side, grey in SQUARES if grey < 230 or side * gsd_m <= 10.5]
    sides = result.detections.boxes_xyxy[:, 2] - result.detections.boxes_xyxy[:, 0]
    assert 0 < len(wanted) < len(SQUARES) and sorted(sides.tolist()) == sorted(wanted)
    assert result.summary.record.boxes_of_impossible_size > 0


LATTICE = [(x, y, 16, 220) for x in range(20, 500, 70) for y in range(20, 500, 70)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)


def test_what_lies_in_readable_tiles_is_found_and_the_rest_is_a_hole(tmp_path: Path) -> None:
    with open_scene(damaged_scene(tmp_path / "a.tif", [0, 27], LATTICE)) as scene:
        predictor = BrightSquares(bright_card(64))
        result = detect_scene(scene, predictor, DetectConfig(overlap="0"), warn=lambda line: None)
    bounds = {hole.bounds_xyxy for hole in result.summary.holes}
    assert bounds == {(0, 0, 64, 64), (192, 192, 256, 256)}
    holes = [shapely.box(*one) for one in bounds]
    squares_whole = [shapely.box(x, y, x + side, y + side) for x, y, side, _ in LATTICE]
    seen = [one for one in squares_whole if not any(one.intersects(hole) for hole in holes)]
    found = [shapely.box(*box) for box in result.detections.boxes_xyxy]
    assert all(any(one.intersects(box) for box in found) for one in seen)
    assert result.summary.tiles.unreadable == 2 and result.summary.tiles.run == 62
    assert result.summary.hole_text().startswith(
        "2 of 64 tiles (2,050 m2, 3.1% of the scene) could not be read completely; the first: scene"
    )


def test_a_scene_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    with (
        open_scene(damaged_scene(tmp_path / "a.tif", list(range(64)))) as scene,
        pytest.raises(SceneError, match="damaged"),
    ):
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), warn=lambda line: None)
