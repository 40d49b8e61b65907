"""Writing the results of a scene, all together, and what does not fit an existing layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas
import pytest
from PIL import Image
from support.bright import Failing, PowerCutError
from support.scenes import squares, write_scene

from lcageo.config import DetectConfig
from lcageo.errors import OutputError, UsageError
from lcageo.inference.jobs import Job, plan_jobs
from lcageo.inference.run import JobOutcome, run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run
from lcageo.journal.journal import journal_path
from lcageo.vector.target import FileTarget

PLACES = [(x, y, 8 + (x + y) % 17, 205 + (x * y) % 50) for x in range(5, 330, 37) for y in range(5, 210, 41)]
CONFIG = DetectConfig(overlap="24")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    scene = write_scene(tmp_path / "scene.tif", squares(220, 340, PLACES))
    return Job(str(scene), (FileTarget.of(tmp_path / "found.geojson"),), None)


def outcome_of(job: Job, config: DetectConfig = CONFIG) -> JobOutcome:
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), config, lambda line: None))
    return outcome


def test_a_run_that_breaks_off_while_its_files_are_moved_into_place_resumes(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [job.layers[0].path, job.layers[0].path.with_suffix(".csv")]
    moved, replace_file = [], Path.replace

    def until_the_power_fails(path: Path, target: Path) -> None:
        if len(moved) == 2:  # the first layer and its style
            raise PowerCutError
        moved.append(target)
        replace_file(path, target)

    def detect() -> None:
        jobs = plan_jobs([job.scene], layers, None, overwrite=False)
        (outcome,) = run_jobs(jobs, Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
        assert outcome.error is None

    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(Path, "replace", until_the_power_fails)
        detect()
    assert [layer.exists() for layer in layers] == [False, False]  # tests/cli/test_killed.py kills the process
    detect()
    assert all(layer.exists() for layer in layers) and not journal_path(layers[0]).exists()
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        detect()


def test_every_output_holds_the_same_objects(job: Job, tmp_path: Path) -> None:
    layers = [FileTarget.of(tmp_path / name) for name in ("found.gpkg", "found.csv")]
    holes = FileTarget.of_layer(tmp_path / "holes.gpkg")
    outcome = outcome_of(replace(job, layers=tuple(layers), holes=holes, quicklook=tmp_path / "found.png"))
    assert outcome.result is not None and outcome.result.objects == len(PLACES)
    assert [len(geopandas.read_file(layer.path, layer="found")) for layer in layers] == [len(PLACES)] * 2
    assert len(geopandas.read_file(holes.path, layer="holes")) == 0
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.width >= 340


def test_none_is_written_if_one_cannot_be(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr("lcageo.inference.results.save_quicklook", full)
    outcome = outcome_of(replace(job, quicklook=tmp_path / "found.png"))
    assert isinstance(outcome.error, OutputError) and not job.layers[0].path.exists() and job.journal.exists()


def test_a_run_is_appended_once(job: Job, tmp_path: Path) -> None:
    appending = replace(job, layers=(FileTarget.of(tmp_path / "all.gpkg"),), append=True)
    assert outcome_of(appending).error is None
    again = outcome_of(appending)
    assert isinstance(again.error, UsageError)
    assert "already has the objects that this run would find" in str(again.error)
    other = outcome_of(appending, replace(CONFIG, iou=0.5))
    assert other.error is None and any("from a run with other settings" in line for line in other.warnings)
    assert len(geopandas.read_file(tmp_path / "all.gpkg", layer="all")) == 2 * len(PLACES)
