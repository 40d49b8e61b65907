"""No command replaces what it reads, whatever it is told to overwrite."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import geopandas
import pytest
import shapely
from support.commands import Run
from support.found_layers import found, write
from support.scenes import UTM, noise, write_scene

AREA = shapely.box(UTM.c, UTM.f - 64, UTM.c + 64, UTM.f)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scene, areas in several formats and under other names, and layers."""
    write_scene(tmp_path / "scene.tif", noise(128, 128))
    subprocess.run(["gdalbuildvrt", "-q", "mosaic.vrt", "scene.tif"], cwd=tmp_path, check=True)
    subprocess.run(["gdal_translate", "-q", "-of", "PNG", "scene.tif", "scene.png"], cwd=tmp_path, check=True)
    subprocess.run(["gdalbuildvrt", "-q", "png.vrt", "scene.png"], cwd=tmp_path, check=True)
    area = geopandas.GeoDataFrame({"class": ["ship"]}, geometry=[AREA], crs=32633)
    for suffix in ("gpkg", "shp", "geojson"):
        area.to_file(tmp_path / f"area.{suffix}")
    (tmp_path / "link.gpkg").symlink_to("area.gpkg")
    os.link(tmp_path / "area.geojson", tmp_path / "hard.geojson")
    for name in ("truth.gpkg", "layer.gpkg", "layer.shp"):
        write(tmp_path / name, found())
    (tmp_path / "out" / "scenes").mkdir(parents=True)
    (tmp_path / "out" / "images").mkdir()
    shutil.copy(tmp_path / "area.gpkg", tmp_path / "out" / "survey.gpkg")
    shutil.copy(tmp_path / "area.gpkg", tmp_path / "out" / "images" / "labels.gpkg")
    (tmp_path / "out" / "train.json").write_text('{"info": {"description": "made by lcageo chips"}}')
    shutil.copy(tmp_path / "layer.gpkg", tmp_path / "page.html")
    return tmp_path


COMMANDS = [
    "detect scene.tif --aoi area.gpkg -o area.gpkg",
    "detect scene.tif --aoi area.shp -o area.shp",
    "detect scene.tif --aoi area.gpkg -o link.gpkg",
    "detect scene.tif --aoi link.gpkg -o ./../{name}/area.gpkg",
    "detect scene.tif --aoi hard.geojson -o area.geojson",
    "detect scene.tif --aoi area.gpkg -o new.gpkg --holes area.gpkg",
    "detect scene.tif --aoi area.gpkg -o new.gpkg --review area.gpkg",
    "detect scene.png -o new.gpkg --quicklook scene.png",
    "detect png.vrt -o new.gpkg --quicklook scene.png",
    "batch scene.tif --aoi out/survey.gpkg --out out",
    "filter layer.gpkg layer.gpkg",
    "filter layer.shp layer.shp",
    "filter layer.gpkg area.gpkg --aoi area.gpkg",
    "evaluate --layer layer.gpkg --truth truth.gpkg -o truth.gpkg",
    "evaluate --layer layer.gpkg --truth truth.gpkg -o layer.gpkg",
    "chips scene.tif --labels out/images/labels.gpkg -o out",
    "chips scene.tif --labels area.gpkg --aoi out/images/labels.gpkg -o out",
    "report scene.tif page.html -o page.html",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_is_never_overwritten(run: Run, untrained: Path, folder: Path, command: str) -> None:
    before = contents(folder)
    words = command.format(name=folder.name).split()
    model = ["--model", untrained] if words[0] in ("detect", "batch") else []
    outcome = run(*words, "--overwrite", *model)
    assert outcome.code in (1, 2) and "choose another" in outcome.err and "output '" in outcome.err, outcome.err
    assert contents(folder) == before


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lcageo-survey")
    return {path: path.read_bytes() for path in files}


def test_outputs_beside_inputs_are_written(run: Run, untrained: Path, folder: Path) -> None:
    options = ("--model", untrained, "--score", "0.02", "--overwrite")
    assert run("detect", "mosaic.vrt", "--aoi", "area.gpkg", "-o", "area.csv", *options).code == 0
    assert run("filter", "layer.gpkg", "layer.csv", "--aoi", "area.shp").code == 0
