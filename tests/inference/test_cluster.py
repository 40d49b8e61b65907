"""A real Dask scheduler and real workers, each a process: the one-machine result, whichever process dies."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from numpy.typing import NDArray
from support.bright import bright_card
from support.scenes import UTM, noise, write_scene

from lcageo.config import DetectConfig, Passes
from lcageo.detections import Detections
from lcageo.errors import DeviceError
from lcageo.inference import cluster
from lcageo.inference.cluster import ClusterRunner
from lcageo.inference.cluster_worker import SceneWork
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import map_here
from lcageo.inference.scene import merge
from lcageo.journal.journal import Journal
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes
from lcageo.runtime.catalog import find_card
from lcageo.scene.raster import open_scene
from lcageo.vector.features import numbered
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import Encoding, encoded_objects, write_encoded

# The last bits of a convolution depend on the number of threads.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes, which end with the test."""
    running = []

    def starter(*command: object) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", *map(str, command)], env=ENVIRONMENT, text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return running[-1]

    yield starter
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def worker(start: Start, tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Starts a worker of a scheduler that runs already."""
    where = tmp_path / "scheduler.json"
    start("distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", where, "--no-dashboard", "--no-show")
    options = (
        "--scheduler-file",
        where,
        "--nthreads",
        1,
        "--no-nanny",
        "--no-dashboard",
        "--local-directory",
        tmp_path,
    )
    return lambda: start("distributed.cli.dask_worker", *options)


def address(tmp_path: Path) -> str:
    where = tmp_path / "scheduler.json"
    until = time.monotonic() + 60
    while not where.exists() or not where.read_text():
        assert time.monotonic() < until
        time.sleep(0.1)
    return str(json.loads(where.read_text())["address"])


@pytest.fixture
def command(tmp_path: Path, untrained: Path) -> Callable[..., list[str]]:
    """The command that makes an output of one scene of some 300 tiles."""
    scene = write_scene(tmp_path / "scene.tif", noise(1_100, 1_400), tiled=True, blockxsize=256, blockysize=256)
    for name in ("whole", "out"):
        (tmp_path / name).mkdir()
    options = ["--model", str(untrained), "--score", "0.06", "--overlap", "70%"]
    return lambda output, *more: ["lcageo", "detect", str(scene), *options, "-o", str(output), *more]


def one_machine(command: Callable[..., list[str]], output: Path) -> bytes:
    subprocess.run([sys.executable, "-m", *command(output)], env=ENVIRONMENT, check=True, capture_output=True)
    return output.read_bytes()


def wait_for_tiles(process: subprocess.Popen[str]) -> None:
    """Waits until a client with --progress json has recorded some tiles."""
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "progress" and event["done"] > 0:
            return
    raise AssertionError("the client ended before any tile was done")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_only_causes_a_retry(
    tmp_path: Path, start: Start, worker: Callable[[], subprocess.Popen[str]], command: Callable[..., list[str]]
) -> None:
    whole = one_machine(command, tmp_path / "whole" / "found.geojson")
    workers = [worker(), worker()]
    more = ("--cluster", address(tmp_path), "--progress", "json")
    client = start(*command(tmp_path / "out" / "found.geojson", *more))
    wait_for_tiles(client)
    workers[0].send_signal(signal.SIGKILL)
    _, messages = client.communicate(timeout=300)
    assert client.returncode == 0, messages
    assert (tmp_path / "out" / "found.geojson").read_bytes() == whole and len(whole) > 100_000


@pytest.mark.slow
def test_a_client_that_is_killed_can_be_resumed(
    tmp_path: Path, start: Start, worker: Callable[[], subprocess.Popen[str]], command: Callable[..., list[str]]
) -> None:
    whole, out = one_machine(command, tmp_path / "whole" / "found.geojson"), tmp_path / "out" / "found.geojson"
    worker()
    client = start(*command(out, "--cluster", address(tmp_path), "--progress", "json"))
    wait_for_tiles(client)
    client.send_signal(signal.SIGKILL)
    client.wait()
    with sqlite3.connect(out.with_name(f".{out.name}.lcageo-journal")) as journal:
        ((done,),) = journal.execute("SELECT SUM(LENGTH(tiles)) / 8 FROM batches")
    journal.close()
    again = start(*command(out, "--cluster", address(tmp_path)))
    _, messages = again.communicate(timeout=300)
    assert again.returncode == 0, messages
    assert done > 0 and f"resumes after {done:,} of" in messages and out.read_bytes() == whole


@pytest.mark.slow
def test_a_survey_on_processes_of_this_machine(tmp_path: Path, untrained: Path) -> None:
    for number in range(3):
        place = UTM @ UTM.translation(number * 200, 0)
        write_scene(tmp_path / f"{number}.tif", noise(300, 300, seed=number), transform=place)
    options = [
        "--model",
        str(untrained),
        "--score",
        "0.02",
        "--format",
        "geojson",
        "--pattern",
        "?.tif",
        "--passes",
        "2",
    ]
    (tmp_path / "broken.tif").write_bytes(b"nothing")
    for out, more in (("one", []), ("two", ["--cluster", "local:2"])):
        ran = subprocess.run(
            [sys.executable, "-m", "lcageo", "batch", str(tmp_path), "--out", str(tmp_path / out), *options, *more],
            env=ENVIRONMENT, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
    for name in ("scenes/0.geojson", "scenes/1.geojson", "scenes/2.geojson", "survey.geojson"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_workers_merge_and_encode_what_one_machine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of this process as workers, and random objects in place of a model's."""
    import distributed

    from lcageo.inference import merge as merging

    monkeypatch.setattr(cluster, "run_unit", random_unit)
    monkeypatch.setattr(cluster, "UNIT_BATCHES", 2)
    monkeypatch.setattr(merging, "CELL_SIDE", 3)
    config = DetectConfig(passes=Passes.TWO, overlap="24")
    with (
        open_scene(write_scene(tmp_path / "scene.tif", noise(300, 500))) as scene,
        distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client,
        Journal.in_memory() as here, Journal.open(tmp_path / "journal", {}) as there,
    ):  # fmt: skip
        plan = plan_scene(scene, bright_card(64), config)
        runner = ClusterRunner.__new__(ClusterRunner)  # without a model
        runner._client, runner._model, runner._counted, runner._workers, runner.batch = client, None, 1e18, 2, 2
        for one in plan.passes:
            tiles, work = np.arange(len(one.grid)), SceneWork.of(one)
            here.add([random_unit(work, None, 2, tiles)[0].numbered_from(one.first)])
            parts = [part for some in runner.run(one, tiles, print) for part in some]
            assert len(parts) > 2 and np.sort(np.concatenate([part.tiles for part in parts])).tolist() == tiles.tolist()
            there.add([part.numbered_from(one.first) for part in parts])
        merge(plan, config, here)
        merge(plan, config, there, None, runner.map)
        place = scene.info.georeference
        for suffix in ("gpkg", "parquet", "geojson", "csv"):
            for journal, each, folder in ((here, map_here, "here"), (there, runner.map, "there")):
                target = FileTarget.of(tmp_path / folder / f"found.{suffix}")
                target.path.parent.mkdir(exist_ok=True)
                encoding = Encoding(bright_card(64).classes, place.to_map, place.crs, "scene", target.vector_format)
                write_encoded(each(encoded_objects, encoding, numbered(journal.objects())), RunRecord(), target)
            one, other = ((tmp_path / folder / f"found.{suffix}") for folder in ("here", "there"))
            assert len(one.read_bytes()) > 10_000
            if suffix != "gpkg":  # which holds the time
                assert one.read_bytes() == other.read_bytes()
            else:
                assert pyogrio.read_dataframe(one, "found").equals(pyogrio.read_dataframe(other, "found"))


def random_unit(work: SceneWork, model: object, batch: int, tiles: NDArray[np.int64]) -> tuple[TileOutcomes, list[str]]:
    """Objects that only depend on the tile."""
    outcomes = []
    for tile in tiles.tolist():
        rng = np.random.default_rng(tile)
        corners, sides = rng.uniform(0, 60, (9, 2)), rng.uniform(5, 30, (9, 2))
        boxes = np.concatenate([corners, corners + sides], axis=1)
        found = Detections(boxes, rng.random(9).astype(np.float32), rng.integers(0, 2, 9))
        outcomes.append(TileOutcome(tile, work.grid[tile].to_scene(found)))
    return TileOutcomes.of(outcomes), []


def test_an_address_without_a_scheduler_is_reported(
    tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    runner = cluster.cluster_runner("tcp://127.0.0.1:9", find_card(str(untrained)), DetectConfig(), "cpu", None)
    with pytest.raises(DeviceError, match=r"no scheduler answers at 'tcp://127.0.0.1:9'"), runner:
        pass
