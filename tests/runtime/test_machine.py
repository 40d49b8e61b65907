from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lcageo.config import Backend
from lcageo.runtime import machine


def test_without_a_limit_all_cores_of_the_process_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert machine.cores() == len(psutil.Process().cpu_affinity() or ())


@pytest.mark.parametrize(("limit", "used"), [("1", 1), ("100000", None), ("0", None), ("", None), ("2,1", None)])
def test_omp_num_threads_limits_the_cores_if_it_is_a_positive_number(
    limit: str, used: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert machine.cores() == (len(os.sched_getaffinity(0)) if used is None else used)


def test_a_core_that_the_process_may_not_use_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_auto_stays_on_the_cpu_only_without_a_drivers_device_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(machine, "_GPU_FILES", (f"{tmp_path}/none",))
    assert machine.stays_on_cpu("auto") and machine.stays_on_cpu("cpu") and not machine.stays_on_cpu("cuda:1")
    monkeypatch.setattr(machine, "_GPU_FILES", (f"{tmp_path}/none", "/dev/null"))
    assert not machine.stays_on_cpu("auto") and machine.stays_on_cpu("cpu")


def test_a_package_is_looked_for_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(machine.has_package(backend) for backend in machine.PACKAGE)
    monkeypatch.setitem(machine.PACKAGE, Backend.ONNX, "no_such_package")
    assert not machine.has_package(Backend.ONNX)
    assert set(machine.PACKAGE) == set(Backend) - {Backend.AUTO}


FORK = """
import multiprocessing, sys
import numpy as np
from lcageo.config import Backend, DetectConfig
from lcageo.errors import DeviceError
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor

def load():
    return load_predictor(find_card(sys.argv[1]), DetectConfig(), "cpu", Backend(sys.argv[2]))

def work(queue, predictor):
    for attempt in (load, lambda: predictor and predictor.predict(IMAGE)):
        try:
            attempt()
            queue.put("ran")
        except DeviceError as error:
            queue.put(str(error))

IMAGE = np.zeros((1, 3, 256, 256), np.uint8)
if __name__ == "__main__":
    predictor = load() if sys.argv[3] == "used" else None
    if predictor:
        predictor.predict(IMAGE)
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(target=work, args=(queue, predictor))
    child.start()
    print(queue.get(timeout=100), queue.get(timeout=100), sep="\\n")
    child.join(100)
"""


@pytest.mark.parametrize("backend", [Backend.OPENVINO, Backend.ONNX, Backend.TORCH])
@pytest.mark.parametrize("used", ["used", "unused"])
def test_a_forked_process_runs_models_or_says_at_once_what_does(untrained: Path, backend: Backend, used: str) -> None:
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, untrained, backend, used],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout.splitlines()  # fmt: skip
    if used == "used":
        assert len(said) == 2 and all("get_context('spawn')" in line for line in said)
    else:
        assert said == ["ran", "ran"]
