"""A real Dask scheduler and real workers, each a process: the one-machine result, whichever process dies."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.scenes import UTM, noise, write_scene

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
    import json

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


def wait_for_tiles(output: Path, process: subprocess.Popen[str]) -> None:
    """Waits until the journal, which its owner has locked, holds some tiles: its log grows with every batch."""
    log = output.with_name(f".{output.name}.lcageo-journal-wal")
    until = time.monotonic() + 120
    while not log.exists() or log.stat().st_size < 60_000:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_only_causes_a_retry(
    tmp_path: Path, start: Start, worker: Callable[[], subprocess.Popen[str]], command: Callable[..., list[str]]
) -> None:
    whole = one_machine(command, tmp_path / "whole" / "found.geojson")
    workers = [worker(), worker()]
    client = start(*command(tmp_path / "out" / "found.geojson", "--cluster", address(tmp_path)))
    wait_for_tiles(tmp_path / "out" / "found.geojson", client)
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
    client = start(*command(out, "--cluster", address(tmp_path)))
    wait_for_tiles(out, client)
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


def test_an_address_without_a_scheduler_is_reported(
    tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lcageo.config import DetectConfig
    from lcageo.errors import DeviceError
    from lcageo.inference import cluster
    from lcageo.runtime.catalog import find_card

    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    runner = cluster.cluster_runner("tcp://127.0.0.1:9", find_card(str(untrained)), DetectConfig(), "cpu", None)
    with pytest.raises(DeviceError, match=r"no scheduler answers at 'tcp://127.0.0.1:9'"), runner:
        pass
