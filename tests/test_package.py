"""What is installed: the public names, and a wheel that works away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import REPOSITORY
from support.untrained import make_untrained_model

import lcageo


def test_the_public_names_are_deliberate() -> None:
    assert sorted(lcageo.__all__) == [
        "DetectConfig", "Detections", "LcageoError", "__version__", "detect", "detect_scene", "find_card",
        "load_predictor", "open_scene",
    ]  # fmt: skip
    for name in lcageo.__all__:
        assert getattr(lcageo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lcageo.nonsense


def test_importing_lcageo_is_light() -> None:
    code = "import sys, lcageo; print(*{'torch', 'rasterio', 'geopandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.slow
def test_a_wheel_carries_the_models_and_works_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if name.startswith(("lcageo/", "models/", "pyproject", "README", "LICENSE", "CHANGELOG")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((REPOSITORY / name).read_bytes())
    folder = make_untrained_model(tmp_path / "model")
    card = (folder / "model.toml").read_text()
    (source / "models" / "untrained.toml").write_text(card)
    (source / "models" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    pages = {file.name for file in (REPOSITORY / "lcageo" / "report" / "assets").iterdir()}
    assert {file.name for file in (site / "lcageo" / "report" / "assets").iterdir()} == pages
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "lcageo", *arguments]
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    place = subprocess.run(
        [sys.executable, "-c", "import lcageo; print(lcageo.__file__)"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert place.startswith(str(site))
    assert "untrained" in run("models", "list")
    assert "whole" in run("models", "verify", "untrained")
