from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import Run
from support.scenes import noise, write_scene

from lcageo.config import Backend, Engine, Precision
from lcageo.inference import bench as measuring
from lcageo.runtime import machine
from lcageo.runtime.catalog import find_card


def test_bench_measures_a_scene_with_the_installed_backends(
    run: Run, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiled one takes most of a minute, and says nothing of the command."""
    scene = write_scene(tmp_path / "scene.tif", noise(400, 500))
    some = [Engine(Backend.ONNX, Precision.FP32, "cpu"), Engine(Backend.OPENVINO, Precision.FP16, "cpu")]
    monkeypatch.setattr(measuring, "candidates", lambda device, card: some)
    outcome = run("bench", scene, "--model", untrained, "--tiles", 4, "--json")
    assert outcome.code == 0, outcome.err
    measured, refused = json.loads(outcome.out)
    assert measured["tiles_per_second"] > 0 and measured["first_tile_s"] > 0.1
    assert 0 < measured["model_share"] < 2
    assert "no fast fp16" in refused["failure"] and refused["tiles_per_second"] == 0


def test_noise_is_run_without_a_scene(untrained: Path) -> None:
    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    measured = measuring.measure(engine, find_card(str(untrained)), None, 3, 2, 0.0)
    assert measured.engine == engine and not measured.failure
    assert np.isfinite(measured.model_share) and measured.tiles_per_second > 0


def test_a_missing_package_is_named(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.PACKAGE, Backend.OPENVINO, "no_such_package")
    engine = Engine(Backend.OPENVINO, Precision.FP32, "cpu")
    (measurement,) = measuring.measure_each([engine], find_card(str(untrained)), None, 1, None)
    assert measurement.failure == "no_such_package not installed"


def test_every_backend_is_a_candidate_on_a_cpu() -> None:
    assert {engine.backend for engine in measuring.candidates("cpu", find_card("lca-s"))} == set(Backend) - {
        Backend.AUTO
    }
