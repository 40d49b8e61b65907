"""Batches on their way through a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bright import BrightSquares, bright_card, find_squares
from support.scenes import noise, squares, write_scene
from support.square_scenes import SQUARES, rows, run

from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError
from lcageo.inference.scene import detect_scene
from lcageo.scene.raster import open_scene


def test_the_batch_size_does_not_matter(scene_path: Path) -> None:
    results = [run(scene_path, overlap="40", batch=batch).detections for batch in (1, 3, 100)]
    assert rows(results[0]) == rows(results[1]) == rows(results[2])
    assert len(results[0]) == len(SQUARES)


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(scene_path: Path) -> None:
    warnings: list[str] = []
    predictor = BrightSquares(bright_card(64), largest_batch=3)
    with open_scene(scene_path) as scene:
        result = detect_scene(scene, predictor, DetectConfig(overlap="40"), 16, warnings.append)
    assert rows(result.detections) == rows(find_squares(squares(220, 340, SQUARES)))
    assert max(predictor.batches) == 2 and len(warnings) == 3 and "continuing with 2" in warnings[-1]


def test_a_device_that_cannot_hold_one_tile_is_an_error(scene_path: Path) -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 1 tiles"):
        run(scene_path, largest_batch=0)


def test_a_failure_in_the_middle_stops_the_readers_before_the_scene_is_closed(tmp_path: Path) -> None:
    # GDAL crashes the process when a file is closed under a read: hence a process of its own, and many rounds.
    program = """
import sys, numpy as np
from support.bright import BrightSquares, bright_card
from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError
from lcageo.inference.scene import detect_scene
from lcageo.scene.raster import open_scene
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
