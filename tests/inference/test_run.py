"""Several jobs at a time or one by one: a scene that fails leaves the others alone, an interruption stops all."""

from __future__ import annotations

import signal
from pathlib import Path

import pyproj
import pytest
import rasterio
from support.bright import BrightSquares, Failing, bright_card
from support.scenes import noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError, InterruptedRunError, OutputError, SceneError
from lcageo.inference.jobs import Job, plan_jobs
from lcageo.inference.run import JobOutcome, check_placeable, run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run
from lcageo.scene.georef import Georeference
from lcageo.vector.target import FileTarget


class ManyAtOnce(LocalRunner):
    """Takes three scenes at a time."""

    @property
    def scenes_at_once(self) -> int:
        return 3


RUNNERS = [LocalRunner, ManyAtOnce]


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[Job, ...]:
    """Four scenes with a square each, of which the second is damaged."""
    paths = [write_scene(tmp_path / f"{number}.tif", squares(90, 90, [(20, 20, 9, 250)])) for number in range(4)]
    paths[1].write_bytes(b"not a raster")
    return plan_jobs([str(path) for path in paths], [tmp_path / "out"], None, overwrite=False)


def run_all(jobs: tuple[Job, ...], runner: LocalRunner) -> list[JobOutcome]:
    return list(run_jobs(jobs, Run(runner, DetectConfig(), lambda line: None)))


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_scene_that_fails_leaves_the_others_alone(jobs: tuple[Job, ...], kind: type[LocalRunner]) -> None:
    outcomes = {outcome.job.scene: outcome for outcome in run_all(jobs, kind(BrightSquares(bright_card(64))))}
    assert list(map(outcomes.__contains__, [job.scene for job in jobs])) == [True] * 4
    failed = outcomes[jobs[1].scene]
    assert isinstance(failed.error, SceneError) and failed.result is None and not jobs[1].layers[0].path.exists()
    for job in (jobs[0], *jobs[2:]):
        result = outcomes[job.scene].result
        assert result is not None and result.objects == 1 and job.layers[0].path.exists() and not job.journal.exists()


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_device_that_fails_ends_the_run(jobs: tuple[Job, ...], kind: type[LocalRunner]) -> None:
    with pytest.raises(DeviceMemoryError):
        run_all(jobs, kind(BrightSquares(bright_card(64), largest_batch=0)))
    assert not any(job.layers[0].path.exists() for job in jobs)


def test_a_signal_ends_the_run_and_the_next_one_resumes(jobs: tuple[Job, ...]) -> None:
    with pytest.raises(InterruptedRunError, match="stopped"):
        run_all(jobs, LocalRunner(Failing(1, signal.SIGTERM), 1))
    rest = run_all(jobs, LocalRunner(BrightSquares(bright_card(64)), 1))
    assert [outcome.result is None for outcome in sorted(rest, key=lambda one: one.job.scene)] == [
        False, True, False, False
    ]  # fmt: skip


def test_warnings_stay_with_their_scene(tmp_path: Path) -> None:
    plain = write_scene(tmp_path / "plain.tif", noise(70, 70), None, None)
    placed = write_scene(tmp_path / "placed.tif", noise(70, 70))
    jobs = plan_jobs([str(plain), str(placed)], [tmp_path / "out"], None, overwrite=False)
    first, second = run_all(jobs, LocalRunner(BrightSquares(bright_card(64))))
    assert any("has no CRS" in line for line in first.warnings) and second.warnings == ()


def test_geojson_of_a_local_grid_is_refused(tmp_path: Path) -> None:
    local = pyproj.CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    place = Georeference(local, rasterio.Affine.identity())
    check_placeable(place, [FileTarget.of(tmp_path / "a.gpkg")])
    with pytest.raises(OutputError, match=r"requires longitude and latitude, .* such as -o .*a\.gpkg"):
        check_placeable(place, [FileTarget.of(tmp_path / "a.geojson")])
