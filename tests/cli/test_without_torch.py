"""A plain `pip install .` has no PyTorch: all that detects, chooses, shows and compares does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
import shapely
from support.bare import bare_environment
from support.scenes import UTM, noise, write_scene
from support.shapes import write_shapes

WITHOUT_IT = (
    "detect scene.tif --keep 0.001 -o found.gpkg --quicklook found.png --review review.gpkg -v",
    "detect scene.tif --model lca-s-int8 -o eight.geojson",
    "detect scene.tif --model lca-s-open --backend onnx -o open.geojson",
    "batch scene.tif --out results",
    "filter found.gpkg best.geojson --score 0.001",
    "report scene.tif found.gpkg -o page.html",
    "info scene.tif",
    "models list",
    "models info lca-s",
    "models verify",
    "chips scene.tif --labels truth.gpkg --class hut -o chips --size 64",
    "evaluate --layer found.gpkg --truth truth.gpkg",
    "data check shapes.json",
    "doctor",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path / "scene.tif", noise(100, 100))
    huts = [shapely.box(UTM.c + x, UTM.f - 20, UTM.c + x + 9, UTM.f - 9) for x in (5, 30)]
    layer = geopandas.GeoDataFrame({"class": ["ship"] * 2}, geometry=huts, crs="EPSG:32633")
    layer.to_file(tmp_path / "truth.gpkg")
    write_shapes(tmp_path / "shapes.json", 2, seed=0)
    return tmp_path


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = bare_environment(folder / "bare", ("torch", "onnxscript")) | {"LCAGEO_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "lcageo", *line.split()]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_what_does_not_train_works_without_torch(folder: Path) -> None:
    for line in WITHOUT_IT:
        done = run(line, folder)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (folder / "page.html").is_file() and (folder / "results" / "survey.gpkg").is_file()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("detect scene.tif --device cuda", '--device cuda requires torch: pip install "lcageo[torch]"'),
        ("detect scene.tif --backend torch", 'PyTorch as the backend requires torch: pip install "lcageo[torch]"'),
        ("export lca-s -o a.onnx", 'export requires torch, onnxscript: pip install "lcageo[torch]"'),
        ("models graph lca-s", 'making a graph requires torch, onnxscript: pip install "lcageo[torch]"'),
    ],
)
def test_what_requires_torch_names_its_extra(line: str, what: str, folder: Path) -> None:
    done = run(line, folder)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == f"error: {what}"


@pytest.mark.parametrize(
    "line",
    [
        "train --data shapes.json --val shapes.json --out run --imgsz 128",
        "evaluate --model lca-s --data shapes.json",
    ],
)
def test_training_and_measuring_say_that_they_need_it(line: str, folder: Path) -> None:
    done = run(line, folder)
    assert done.returncode in (1, 2), done.stderr
    assert done.stderr.splitlines()[-1].endswith('pip install "lcageo[train]"'), done.stderr
