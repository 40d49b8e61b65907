"""Running tiles in this process: batches, memory that runs out, readers that stop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bright import BrightSquares, bright_card, find_squares
from support.crowds import as_rows
from support.scenes import damaged_scene, noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.errors import ServerError
from lcageo.inference import plan as inference_plan
from lcageo.inference import runner
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import detect_scene
from lcageo.journal.tile_outcomes import TileOutcome
from lcageo.scene import prefetch
from lcageo.scene.order import ReadingOrder
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import TileGrid

PLACES = [
    (5, 5, 20, 210),
    (60, 5, 24, 240),
    (200, 100, 8, 250),
    (301, 37, 17, 205),
    (90, 150, 24, 220),
    (280, 180, 20, 235),
]


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "squares.tif", squares(220, 340, PLACES))


def outcomes_of(path: Path, batch: int, tiles: Sequence[int] | None = None) -> tuple[BrightSquares, list[TileOutcome]]:
    """Outcomes of some tiles (or all), by index; the predictor has counted its batches."""
    predictor = BrightSquares(bright_card(64))
    with open_scene(path) as scene:
        plan = plan_scene(scene, predictor.card, DetectConfig(overlap="0"))
        todo = np.arange(len(plan.grid)) if tiles is None else np.array(tiles, np.int64)
        found = [
            one
            for parts in LocalRunner(predictor, batch).run(plan, todo, lambda line: None)
            for part in parts
            for one in part
        ]
    return predictor, sorted(found, key=lambda one: one.tile)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_exactly_the_tiles_asked_for_are_run_in_batches_of_one_shape(scene_path: Path, batch: int) -> None:
    predictor, outcomes = outcomes_of(scene_path, batch, [0, 1, 7, 11, 20])
    assert [one.tile for one in outcomes] == [0, 1, 7, 11, 20] and set(predictor.batches) == {batch}
    assert len(predictor.batches) == -(-5 // batch)


def test_larger_tiles_find_the_same_and_fewer_of_them_run_at_a_time(
    scene_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_plan, "WORTH_PX", 1)
    found = []
    for larger, batches in ((None, [8] * 5), (128, [2] * 4)):
        predictor = BrightSquares(replace(bright_card(64, largest_object_px=24), larger_tile_size=larger))
        with open_scene(scene_path) as scene:
            found.append(detect_scene(scene, predictor, DetectConfig(), batch=8).detections)
        assert predictor.batches == batches
    assert sorted(as_rows(found[0])) == sorted(as_rows(found[1])) and len(found[0]) == len(PLACES)


def test_no_tiles_give_nothing(scene_path: Path) -> None:
    predictor, outcomes = outcomes_of(scene_path, 2, [])
    assert outcomes == [] and predictor.batches == []


def test_empty_and_unreadable_tiles_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    pixels = noise(64, 192)
    pixels[:, :, 64:128] = 0
    predictor, outcomes = outcomes_of(write_scene(tmp_path / "empty.tif", pixels, nodata=0), 1)
    assert [one.found is None for one in outcomes] == [False, True, False] and len(predictor.batches) == 2
    predictor, outcomes = outcomes_of(damaged_scene(tmp_path / "damaged.tif", [9]), 1)
    assert [one.tile for one in outcomes if one.unread] == [9] and len(predictor.batches) == 63


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(scene_path: Path) -> None:
    warnings: list[str] = []
    predictor = BrightSquares(bright_card(64), largest_batch=3)
    with open_scene(scene_path) as scene:
        result = detect_scene(scene, predictor, DetectConfig(overlap="40"), 16, warnings.append)
    assert sorted(as_rows(result.detections)) == sorted(as_rows(find_squares(squares(220, 340, PLACES))))
    assert max(predictor.batches) == 2 and len(warnings) == 3 and "continuing with 2" in warnings[-1]


def test_a_failure_in_the_middle_stops_the_readers_before_the_scene_is_closed(tmp_path: Path) -> None:
    # GDAL crashes the process when a file is closed under a read: hence a process of its own, and many rounds.
    program = """
import sys, numpy as np
from support.bright import BrightSquares, bright_card
from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError
from lcageo.inference.scene import detect_scene
from lcageo.scene.order import ReadingOrder
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import TileGrid
for round in range(20):
    try:
        with open_scene(sys.argv[1]) as scene:
            predictor = BrightSquares(bright_card(256))
            def fail(images):
                if len(predictor.batches) == round % 4:
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


@pytest.mark.parametrize("empty", [False, True])
def test_what_was_read_before_an_outage_is_returned(
    scene_path: Path, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_tiles(reader: TileReader, grid: TileGrid, order: ReadingOrder, ahead: int) -> Iterator[object]:
        for index in (0, 1):
            yield grid[index], None if empty else reader.read(grid[index])
        raise ServerError("503", 503)

    monkeypatch.setattr(runner, "read_ahead", two_tiles)
    with open_scene(scene_path) as scene:
        plan = plan_scene(scene, bright_card(64), DetectConfig(overlap="0"))
        done = []
        with pytest.raises(ServerError, match="503"):
            for parts in LocalRunner(BrightSquares(bright_card(64)), 4).run(plan, np.arange(9), lambda line: None):
                done += [one.tile for part in parts for one in part]
    assert sorted(done) == [0, 1]
