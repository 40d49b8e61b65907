"""Measuring engines one by one, in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scenes import noise, write_scene

from lcageo.config import Backend, Engine, Precision
from lcageo.inference import bench
from lcageo.runtime import machine
from lcageo.runtime.catalog import find_card


def test_noise_is_run_where_no_scene_is_named(untrained: Path) -> None:
    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    measured = bench.measure(engine, find_card(str(untrained)), None, 3, 2, 0.0)
    assert measured.engine == engine and not measured.failure
    assert np.isfinite(measured.model_share) and measured.tiles_per_second > 0


def test_what_is_not_installed_is_reported(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.PACKAGE, Backend.OPENVINO, "no_such_package")
    engine = Engine(Backend.OPENVINO, Precision.FP32, "cpu")
    (measured,) = bench.measure_each([engine], find_card(str(untrained)), None, 1, None)
    assert measured.failure == "no_such_package not installed"


def test_every_backend_is_a_candidate_on_a_cpu() -> None:
    assert {engine.backend for engine in bench.candidates("cpu", find_card("lca-s"))} == set(Backend) - {Backend.AUTO}


def test_a_scene_of_fewer_tiles_than_wanted_is_measured(untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(200, 200))
    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    measured = bench.measure(engine, find_card(str(untrained)), str(scene), 100, 2, 0.0)
    assert not measured.failure and 0 < measured.model_share < 2 and measured.tiles_per_second > 0


def test_tiles_without_data_are_passed_over(untrained: Path, tmp_path: Path) -> None:
    pixels = noise(400, 400)
    pixels[:, :200] = 0
    scene = write_scene(tmp_path / "scene.tif", pixels, nodata=0)
    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    measured = bench.measure(engine, find_card(str(untrained)), str(scene), 1, 2, 0.0)
    assert not measured.failure and measured.tiles_per_second > 0
    empty = write_scene(tmp_path / "empty.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)
    measured = bench.measure(engine, find_card(str(untrained)), str(empty), 1, 2, 0.0)
    assert "empty.tif' has no tile with data" in measured.failure
