from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene

from lcageo.config import Backend, Engine, Precision
from lcageo.inference import bench as measuring


def test_bench_measures_a_scene_with_what_is_here(
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
