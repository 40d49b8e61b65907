"""Several jobs at a time or one by one: a scene that fails leaves the others alone, an interruption stops all."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from support.bright import BrightSquares, Failing, bright_card
from support.scenes import noise, squares, write_scene
from support.servers import FileServer, served

from lcageo.config import DetectConfig
from lcageo.detections import Detections
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


class Watching(BrightSquares):
    """Waits in its first batch, for a while, until the server is asked for another file."""

    def __init__(self, server: FileServer, name: str) -> None:
        super().__init__(bright_card(64))
        self.server, self.name = server, name
        self.asked: bool | None = None

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        until = time.monotonic() + 60
        while self.asked is None:
            found = self.name in self.server.heads()
            self.asked = found if found or time.monotonic() > until else None
            time.sleep(0.02)
        return super().predict(images)


def test_the_next_scene_on_a_server_is_opened_while_one_runs(tmp_path: Path, jobs: tuple[Job, ...]) -> None:
    with served(tmp_path) as server:
        scenes = [server.url(Path(job.scene).name) for job in jobs]
        runner = LocalRunner(watching := Watching(server, "/1.tif"), 1)
        outcomes = run_all(plan_jobs(scenes, [tmp_path / "there"], None, overwrite=False), runner)
        assert watching.asked
        assert server.heads().count("/3.tif") == 1
    assert [outcome.job.scene for outcome in outcomes] == scenes
    assert [isinstance(outcome.error, SceneError) for outcome in outcomes] == [False, True, False, False]
    assert [outcome.result and outcome.result.objects for outcome in outcomes] == [1, None, 1, 1]


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


def test_a_shapefile_that_gdal_would_leave_without_its_crs_is_refused(tmp_path: Path) -> None:
    rotated = pyproj.CRS("+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18")  # as of weather models
    place = Georeference(rotated, rasterio.Affine.identity())
    check_placeable(place, [FileTarget.of(tmp_path / name) for name in ("a.gpkg", "a.geojson", "a.fgb")])
    with pytest.raises(OutputError, match=r"a\.shp' cannot store the scene's CRS .* such as -o .*a\.gpkg"):
        check_placeable(place, [FileTarget.of(tmp_path / "a.shp")])
    square = np.array([shapely.box(0, 0, 1, 1).wkb], dtype=object)
    pyogrio.raw.write(tmp_path / "as_gdal.shp", square, [], [], geometry_type="Polygon", crs=rotated.to_wkt())
    assert (tmp_path / "as_gdal.shp").exists() and not (tmp_path / "as_gdal.prj").exists()
    usual = Georeference(pyproj.CRS(25832), rasterio.Affine.identity())
    check_placeable(usual, [FileTarget.of(tmp_path / "a.shp")])
