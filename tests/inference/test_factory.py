"""Opening predictors and runners as settings ask for them, and what the user is told meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.scenes import write_scene

from lcageo.config import Backend, DetectConfig, Passes, Precision, RunnerConfig
from lcageo.errors import DeviceError, InterruptedRunError, ModelError, UsageError
from lcageo.inference import factory
from lcageo.inference.factory import local_runner, open_predictor, open_runner
from lcageo.inference.jobs import plan_jobs
from lcageo.inference.run import run_jobs
from lcageo.inference.scene import Run
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_graph import read_kept
from lcageo.runtime.predictor import Predictor


class Heard:
    """Keeps messages by their kind."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.details: list[str] = []
        self.restricted: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def detail(self, line: str) -> None:
        self.details.append(line)

    def restriction(self, card: ModelCard) -> None:
        self.restricted.append(card.name)


@pytest.fixture
def asked(untrained: Path) -> RunnerConfig:
    return RunnerConfig(str(untrained), "cpu", Backend.TORCH, Precision.FP32)


def test_a_predictor_is_opened_as_requested_and_the_user_is_told(asked: RunnerConfig) -> None:
    heard = Heard()
    predictor = open_predictor(asked, DetectConfig(), heard)
    assert predictor.engine == asked.engine and heard.restricted == ["untrained"]
    assert heard.warnings == ["model 'untrained' is untrained: its boxes are meaningless"]
    assert any("licence of the weights" in line for line in heard.details)


def test_a_batch_is_taken_as_requested_or_from_the_predictor(asked: RunnerConfig) -> None:
    assert local_runner(replace(asked, batch=7), DetectConfig(), Heard()).batch == 7
    usual = local_runner(asked, DetectConfig(), Heard())
    assert usual.batch == usual.predictor.batch


def test_a_memory_limit_shrinks_the_batch(asked: RunnerConfig) -> None:
    with open_runner(replace(asked, batch=2, max_memory=1 << 40), DetectConfig(), heard := Heard()) as runner:
        assert runner.batch == 2 and "2 tiles at a time" in heard.details[-1]
    with pytest.raises(UsageError, match="--max-memory 1M is too little"):
        local_runner(replace(asked, max_memory=1_000_000), DetectConfig(), Heard())


def test_settings_that_cannot_be_are_refused(asked: RunnerConfig) -> None:
    limited = replace(asked, max_memory=1 << 40, cluster="local:1")
    with (
        pytest.raises(UsageError, match="--max-memory is for one process"),
        open_runner(limited, DetectConfig(), Heard()),
    ):
        pass
    with pytest.raises(ModelError, match="no-such-model"):
        open_predictor(replace(asked, model="no-such-model"), DetectConfig(), Heard())


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Large enough for larger tiles."""
    return write_scene(tmp_path / "scene.tif", np.full((3, 4000, 4000), 90, np.uint8))


def run_deferred(model: str | None, scene: Path) -> None:
    """Runs a scene with a model that loads meanwhile."""
    jobs = plan_jobs([str(scene)], [scene.with_name("found.gpkg")], None, overwrite=False)
    config = DetectConfig()
    with open_runner(RunnerConfig(model, "cpu"), config, Heard(), deferred=True) as runner:
        list(run_jobs(jobs, Run(runner, config, print)))


def test_a_run_on_a_cpu_loads_the_graph_of_its_own_tiles_only(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "cache"))
    config = DetectConfig(passes=Passes.ONE)
    asked = RunnerConfig(device="cpu", backend=Backend.OPENVINO)
    with open_runner(asked, config, heard := Heard(), deferred=True) as runner:
        assert not any(line.startswith("runs with") for line in heard.details), "loaded before the scene is known"
        jobs = plan_jobs([str(scene)], [tmp_path / "found.gpkg"], None, overwrite=False)
        (outcome,) = run_jobs(jobs, Run(runner, config, heard.warn))
    assert outcome.error is None and heard.details[-1].startswith("runs with openvino")
    larger = runner.card.larger_tile_size
    assert larger is not None
    (graph,) = (tmp_path / "cache").glob("*.graph")
    (image,) = onnx.load_from_string(read_kept(graph)).graph.input
    assert [axis.dim_value for axis in image.type.tensor_type.shape.dim[2:]] == [larger, larger]
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 1


def test_a_model_that_turns_out_to_be_damaged_ends_the_run_and_leaves_nothing(scene: Path, tmp_path: Path) -> None:
    whole = find_card(None).weights
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in whole.parent.glob(f"{whole.stem}.*"):
        shutil.copy(path, folder / path.name.replace(f"{whole.stem}.toml", "model.toml"))
    with (folder / whole.name).open("ab") as weights:
        weights.write(b"!")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match="SHA-256"):
        run_deferred(str(folder), scene)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interruption_does_not_wait_for_imports_of_other_threads(
    asked: RunnerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported, may_end = list[str](), threading.Event()

    def locked_for_ever(name: str) -> None:
        imported.append(name)
        may_end.wait(60)

    monkeypatch.setattr(factory, "import_module", locked_for_ever)
    with pytest.raises(KeyboardInterrupt), open_runner(asked, DetectConfig(), Heard()):
        raise KeyboardInterrupt
    assert imported == ["geopandas"]  # it still waits
    may_end.set()


def test_a_broken_backend_ends_the_run_instead_of_failing_each_scene(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("a symbol is missing")

    monkeypatch.setattr(factory, "load_engine", broken)
    with pytest.raises(DeviceError, match="a symbol is missing"):
        run_deferred(None, scene)


def test_a_signal_while_the_model_loads_ends_the_run_before_the_first_tile(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = factory.load_engine

    def interrupted(*arguments: Any) -> Predictor:
        os.kill(os.getpid(), signal.SIGINT)
        return load(*arguments)

    monkeypatch.setattr(factory, "load_engine", interrupted)
    with pytest.raises(InterruptedRunError, match="stopped before scene"):
        run_deferred(None, scene)
    assert sorted(tmp_path.iterdir()) == [scene]
