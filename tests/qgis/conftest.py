"""QGIS with the plugin, and a small scene with what an untrained model finds in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from conftest import REPOSITORY
from support.qgis_runs import Qgis, installed
from support.scenes import noise, write_scene


@pytest.fixture(scope="session")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> Qgis:
    """QGIS in a home of its own; skips where it is not installed."""
    return installed(tmp_path_factory.mktemp("qgis"))


@pytest.fixture(scope="session")
def searched(qgis: Qgis, untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif and what `lcageo:detect` writes for it: found.gpkg, review.gpkg, log.txt."""
    folder = tmp_path_factory.mktemp("searched")
    write_scene(folder / "scene.tif", noise(400, 400))
    ended = qgis.run(
        "detect", INPUT=folder / "scene.tif", MODEL_FOLDER=untrained, SCORE=0.03, KEEP=0.02,
        OUTPUT=folder / "found.gpkg", REVIEW=folder / "review.gpkg",
    )  # fmt: skip
    assert ended.code == 0, ended.text
    assert ended.results == {"OUTPUT": str(folder / "found.gpkg"), "REVIEW": str(folder / "review.gpkg")}
    (folder / "log.txt").write_text(ended.text)
    return folder


@pytest.fixture(scope="session")
def rendered(qgis: Qgis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered scene, scene.tif, and what the default model finds in it, found.gpkg."""
    folder = tmp_path_factory.mktemp("rendered")
    make = [sys.executable, str(REPOSITORY / "examples" / "make_scene.py"), str(folder / "scene.tif")]
    subprocess.run([*make, "--size", "1000", "--gsd", "0.3"], check=True, capture_output=True)
    ended = qgis.run("detect", INPUT=folder / "scene.tif", OUTPUT=folder / "found.gpkg")
    assert ended.code == 0, ended.text
    return folder


@pytest.fixture(scope="session")
def seen(qgis: Qgis, searched: Path, untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `qgis_plugin_probe.py` sees inside QGIS; tiles come from a folder, all of one colour."""
    folder = tmp_path_factory.mktemp("seen")
    scene = write_scene(folder / "scene.tif", noise(900, 900))
    tile = folder / "tile.png"
    PIL.Image.new("RGB", (256, 256), (90, 60, 30)).save(tile)
    done = qgis.probe(
        "qgis_plugin_probe.py", scene, untrained, searched / "found.gpkg", searched / "review.gpkg",
        f"file://{tile}?{{z}}/{{x}}/{{y}}", folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**printed, "folder": folder, "command": str(qgis.command)}


@pytest.fixture(scope="session")
def dialog(qgis: Qgis, searched: Path, untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `qgis_dialog_probe.py` sees inside QGIS; its photo has pixels of 0.5 m, its corner at 500000, 5000000."""
    folder = tmp_path_factory.mktemp("dialog")
    PIL.Image.fromarray(noise(300, 300).transpose(1, 2, 0)).save(folder / "photo.jpg")
    (folder / "photo.jgw").write_text("0.5\n0\n0\n-0.5\n500000.25\n4999999.75\n")
    path = os.pathsep.join([str(qgis.profile / "python" / "plugins"), "/usr/share/qgis/python/plugins"])
    files = [searched / "scene.tif", searched / "found.gpkg", folder / "photo.jpg", untrained, folder]
    done = subprocess.run(
        ["/usr/bin/python3", str(Path(__file__).with_name("qgis_dialog_probe.py")), *map(str, files)],
        env=qgis.environment() | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**printed, "folder": folder}
