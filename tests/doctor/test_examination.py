"""What an examination says is missing, on machines that lack it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lcageo.doctor import examination as doctor
from lcageo.runtime import machine


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_default_model", lambda: ("lca-s", "openvino fp32 on cpu", []))


def missing(health: doctor.Health) -> dict[str, str]:
    return {one.what: one.remedy for one in health.missing}


def test_packages_that_are_not_installed_come_with_the_command_that_adds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = doctor.examine()
    assert before.packages["numpy"] and "no-such-package" not in missing(before)
    monkeypatch.setitem(doctor.OPTIONAL, "no-such-package", ("nothing", "pip install nothing"))
    after = doctor.examine()
    assert after.packages["no-such-package"] is None and missing(after)["no-such-package"] == "pip install nothing"


def test_little_memory_and_a_cache_that_is_a_file_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3e8, total=4e9))
    told = missing(doctor.examine())
    assert "memory" in told and any("cannot be written to" in what for what in told)


def test_the_cache_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path))
    (tmp_path / "graph.onnx").write_bytes(bytes(2_500_000))
    assert doctor.examine().cache_mb == 2.5


def test_a_torch_that_cannot_be_loaded_does_not_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "may_have_gpu", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert [one.name for one in doctor.examine().devices] == ["cpu"]
