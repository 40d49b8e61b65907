"""The main path with a real predictor that needs no network: it finds bright squares."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.bright import BrightSquares, bright_card, find_squares
from support.scenes import UTM, noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError, UsageError
from lcageo.inference.plan import choose_overlap, choose_scale
from lcageo.inference.scene import Progress, SceneResult, detect_scene
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene

LARGEST = 24
PLACES = [
    (5, 5, 20, 210),
    (60, 5, 24, 240),
    (200, 100, 8, 250),
    (301, 37, 17, 205),
    (90, 150, 24, 220),
    (280, 180, 20, 235),
]


def run(path: Path, tile_size: int = 64, batch: int = 4, largest_batch: int = 1000, **config: object) -> SceneResult:
    predictor = BrightSquares(bright_card(tile_size), largest_batch)
    with open_scene(path) as scene:
        return detect_scene(scene, predictor, DetectConfig(**config), batch, warn=lambda line: None)  # type: ignore[arg-type]


def rows(found: Detections) -> list[list[float]]:
    return sorted(
        [*box, float(score), int(label)]
        for box, score, label in zip(found.boxes_xyxy.tolist(), found.scores, found.labels, strict=True)
    )


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "squares.tif", squares(220, 340, PLACES))


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
def test_a_scene_in_tiles_gives_what_the_whole_gives(tmp_path: Path, seed: int, tile_size: int, overlap: int) -> None:
    pixels = scattered(seed, 260, 330)
    path = write_scene(tmp_path / f"{seed}.tif", pixels)
    assert rows(run(path, tile_size, overlap=str(overlap)).detections) == rows(find_squares(pixels))


def test_the_batch_size_does_not_matter(scene_path: Path) -> None:
    results = [run(scene_path, overlap="40", batch=batch).detections for batch in (1, 3, 100)]
    assert rows(results[0]) == rows(results[1]) == rows(results[2])
    assert len(results[0]) == len(PLACES)


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(scene_path: Path) -> None:
    told: list[str] = []
    predictor = BrightSquares(bright_card(64), largest_batch=3)
    with open_scene(scene_path) as scene:
        result = detect_scene(scene, predictor, DetectConfig(overlap="40"), 16, told.append)
    assert rows(result.detections) == rows(find_squares(squares(220, 340, PLACES)))
    assert max(predictor.batches) == 2 and len(told) == 3 and "going on with 2" in told[-1]


def test_a_device_that_cannot_hold_one_tile_is_an_error(scene_path: Path) -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 1 tiles"):
        run(scene_path, largest_batch=0)


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


def test_tiles_without_data_are_skipped_and_counted(tmp_path: Path) -> None:
    pixels = squares(200, 400, [(10, 10, 20, 240)])
    pixels[:, :, 150:] = 0
    result = run(write_scene(tmp_path / "a.tif", pixels, nodata=0), overlap="0")
    tiles = result.summary.tiles.as_json()
    assert tiles == {"planned": 28, "outside_area_of_interest": 0, "without_data": 16, "unreadable": 0, "run": 12}
    assert len(result.detections) == 1


def test_an_untagged_black_edge_is_skipped_only_if_asked(tmp_path: Path) -> None:
    pixels = noise(200, 400)
    pixels[:, :, 150:] = 0
    path = write_scene(tmp_path / "a.tif", pixels)
    auto, none = (
        run(path, overlap="0").summary.record.as_json(),
        run(path, overlap="0", edge_nodata="none").summary.record.as_json(),
    )
    assert auto["tiles"]["without_data"] == 16 and auto["edge_nodata"] == "black"
    assert none["tiles"]["without_data"] == 0 and none["edge_nodata"] is None


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
    eight = squares(220, 340, PLACES)
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


def test_provenance_says_what_was_done(scene_path: Path) -> None:
    record = run(scene_path, score=0.5, classes=("white square",)).summary.record.as_json()
    assert record["model"] == "bright" and record["model_sha256"] == "0" * 64
    assert record["parameters"]["score"] == 0.5 and record["parameters"]["classes"] == ("white square",)
    assert record["scene_pixels_per_tile_pixel"] == 1.0 and record["bands"] == [1, 2, 3]


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


def test_a_resolution_that_the_model_does_not_know_is_named(info: SceneInfo) -> None:
    assert "--gsd 100 is outside what model 'bright' works at" in choose_scale(info, bright_card(), 100.0)[1][0]


def test_a_scene_without_any_data_is_named(tmp_path: Path) -> None:
    told: list[str] = []
    with open_scene(write_scene(tmp_path / "a.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)) as scene:
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 2, told.append)
    assert told == [f"scene '{tmp_path / 'a.tif'}' has no pixel with data, so nothing was looked at"]


def test_an_absurd_enlargement_is_refused(info: SceneInfo) -> None:
    with pytest.raises(UsageError, match=r"would enlarge .* 5,0.. times; give at least 0\.125"):
        choose_scale(info, bright_card(), 0.0001)


def test_a_scene_is_looked_at_beforehand_only_if_something_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(100, 100))
    monkeypatch.setattr("lcageo.scene.prefetch.sample_scene", lambda scene: pytest.fail("it was sampled"))
    run(path, edge_nodata="none")
    run(write_scene(tmp_path / "b.tif", noise(100, 100), nodata=0))
    run(write_scene(tmp_path / "c.tif", noise(100, 100).astype(np.uint16), nodata=0), stretch="0,200")


def test_boxes_that_reach_into_padding_are_cut_before_they_are_compared(tmp_path: Path) -> None:
    class Twice(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            boxes = np.array([[80, 80, 100, 200], [80, 80, 100, 110]], np.float32)
            return [Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)) for _ in images]

    with open_scene(write_scene(tmp_path / "a.tif", noise(100, 100))) as scene:
        found = detect_scene(scene, Twice(bright_card(256)), DetectConfig()).detections
    assert found.boxes_xyxy.tolist() == [[80, 80, 100, 100]]


def test_a_failure_in_the_middle_stops_the_readers_before_the_scene_is_closed(tmp_path: Path) -> None:
    # GDAL crashes the process when a file is closed under a read: hence a process of its own, and many goes.
    program = """
import sys, numpy as np
from support.bright import BrightSquares, bright_card
from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError
from lcageo.inference.scene import detect_scene
from lcageo.scene.raster import open_scene
for go in range(20):
    try:
        with open_scene(sys.argv[1]) as scene:
            predictor = BrightSquares(bright_card(256))
            def fail(images):
                if len(predictor.batches) == go % 4:
                    raise DeviceMemoryError("full")
                predictor.batches.append(1)
                return [d for d in BrightSquares(predictor.card).predict(images)]
            predictor.predict = fail
            detect_scene(scene, predictor, DetectConfig(edge_nodata="none"), 1)
    except DeviceMemoryError:
        pass
print("survived")
"""
    path = write_scene(
        tmp_path / "a.tif", noise(3000, 3000), compress="deflate", tiled=True, blockxsize=1024, blockysize=1024
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", program, path], env=here, capture_output=True, text=True)
    assert done.stdout == "survived\n", done.stderr


def test_a_scene_of_unknown_resolution_is_used_as_it_is(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 20), None, None)) as scene:
        assert choose_scale(scene.info, bright_card(), "native") == (1.0, [])
        scale, notes = choose_scale(scene.info, bright_card(), 0.5)
    assert scale == 1.0 and "cannot be reached" in notes[0]


def test_overlap_is_the_largest_object_else_a_quarter() -> None:
    assert choose_overlap(bright_card(256), None) == 64
    assert choose_overlap(bright_card(256, largest_object_px=100), None) == 100
    assert choose_overlap(bright_card(256, largest_object_px=1000), None) == 192
    assert choose_overlap(bright_card(256, largest_object_px=100), "10%") == 26


def test_an_area_off_the_scene_is_refused(scene_path: Path) -> None:
    with pytest.raises(UsageError, match="does not overlap scene"):
        run(scene_path, bbox=(0.0, 0.0, 1.0, 1.0))


def test_objects_too_large_for_their_class_are_left_out_and_counted(scene_path: Path) -> None:
    card = replace(bright_card(64), size_m={"white square": (0.0, 10.5)})
    with open_scene(scene_path) as scene:
        gsd_m = scene.info.gsd_m
        config = DetectConfig(overlap=str(LARGEST))
        result = detect_scene(scene, BrightSquares(card), config, warn=lambda line: None)
    assert gsd_m is not None
    wanted = [side for _, _, side, grey in PLACES if grey < 230 or side * gsd_m <= 10.5]
    sides = result.detections.boxes_xyxy[:, 2] - result.detections.boxes_xyxy[:, 0]
    assert 0 < len(wanted) < len(PLACES) and sorted(sides.tolist()) == sorted(wanted)
    assert result.summary.record.boxes_of_impossible_size > 0
