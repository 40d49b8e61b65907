"""What `pip install .` installs: enough to detect on a CPU, without PyTorch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import REPOSITORY
from support.scenes import noise, write_scene

MOST_MB = 1500
HEAVY = ("torch", "nvidia", "triton", "onnxscript", "onnxruntime")


@pytest.mark.slow
@pytest.mark.skipif("LCAGEO_TEST_INSTALL" not in os.environ, reason="needs the network: set LCAGEO_TEST_INSTALL=1")
def test_an_empty_environment_detects_without_torch(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["LCAGEO_CACHE"] = str(tmp_path / "cache")

    def run(*command: object) -> str:
        done = subprocess.run(
            [programs / str(command[0]), *map(str, command[1:])],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "-q", REPOSITORY)
    size = sum(
        path.stat().st_size for path in (tmp_path / "venv").rglob("*") if path.is_file() and not path.is_symlink()
    )
    installed = {line.split("==")[0].lower() for line in run("python", "-m", "pip", "freeze").splitlines()}
    assert size < MOST_MB * 1e6 and not {name for name in installed if name.startswith(HEAVY)}
    write_scene(tmp_path / "scene.tif", noise(100, 100))
    run("lcageo", "detect", "scene.tif", "-o", "found.gpkg", "--quicklook", "found.png")
    run("lcageo", "filter", "found.gpkg", "best.csv", "--top", "5")
    run("lcageo", "report", "scene.tif", "found.gpkg", "-o", "report.html")
    assert re.search("^runs models +lca-s with openvino", run("lcageo", "doctor"), re.MULTILINE)
    assert "intact" in run("lcageo", "models", "verify")
