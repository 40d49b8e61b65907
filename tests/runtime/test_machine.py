from __future__ import annotations

import os

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
