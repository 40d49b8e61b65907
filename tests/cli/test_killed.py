"""What a killed command leaves is used or removed by the next; nothing that a user made is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from support.commands import Run
from support.found_layers import found, write
from support.onnx_detectors import coloured, write_detector
from support.scenes import UTM, noise, squares, write_scene

from lcageo.runtime.layouts import Layout

DYING = """
import os, sys
from pathlib import Path
moves, at = 0, int(sys.argv[1])
sys.argv = ["lcageo", *sys.argv[2:]]
def dying(real):
    def move(self, target):
        global moves
        moves += 1
        if moves == at:
            os._exit(9)  # as SIGKILL: nothing is cleaned up
        return real(self, target)
    return move
Path.replace, Path.rename = dying(Path.replace), dying(Path.rename)
from lcageo.cli.app import main
main()
"""
COMMANDS = {
    "detect": "detect scene.tif -o found.shp -o found.gpkg --quicklook found.png --holes holes.fgb",
    "batch": "batch scene.tif --out survey --format fgb",
    "filter": "filter layer.gpkg ships.shp",
    "evaluate": "evaluate --layer layer.gpkg --truth layer.gpkg -o differences.gpkg",
    "report": "report scene.tif layer.gpkg -o page.html",
    "chips": "chips scene.tif --labels labels.gpkg --val 0 -o chips",
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("at", [1, 2])
def test_the_next_run_leaves_nothing_of_a_killed_one(
    run: Run, untrained: Path, tmp_path: Path, name: str, at: int
) -> None:
    write_scene(tmp_path / "scene.tif", squares(400, 400, [(40, 40, 20, 250), (300, 300, 30, 250)]))
    write(tmp_path / "layer.gpkg", found())
    boxes = [shapely.box(UTM.c + x, UTM.f - x - 10, UTM.c + x + 10, UTM.f - x) for x in (20, 150)]
    geopandas.GeoDataFrame({"class": ["a", "b"]}, geometry=boxes, crs=32633).to_file(tmp_path / "labels.gpkg")
    for folder in (tmp_path, tmp_path / "survey", tmp_path / "chips"):  # of the user's own
        folder.mkdir(exist_ok=True)
        (folder / ".found.shp-notes").mkdir()
        (folder / ".notes").write_text("mine")
    words = COMMANDS[name].split() + (["--model", untrained, "--score", "0.02"] if name in ("detect", "batch") else [])
    command = [sys.executable, "-c", DYING, str(at), *map(str, words)]
    died = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert died.returncode == (0 if (name, at) in ONE_MOVE else 9), died.stderr
    outcome = run(*words, *(["--overwrite"] if name != "detect" else []))
    assert outcome.code == 0, outcome.err  # detect is not told to overwrite: it goes on with what it has begun
    hidden = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob(".*")}
    own = {str(Path(folder, file)) for folder in (".", "survey", "chips") for file in (".notes", ".found.shp-notes")}
    assert hidden - {"survey/.lcageo-survey"} == own


ONE_MOVE = {("report", 2), ("evaluate", 2)}
"""Commands that move fewer files."""


def test_a_draft_of_another_format_is_removed_as_well(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(128, 128))
    batch = ("batch", "scene.tif", "--out", "survey", "--model", str(untrained), "--score", "0.02")
    subprocess.run([sys.executable, "-c", DYING, "1", *batch, "--format", "fgb"], cwd=tmp_path, capture_output=True)
    assert list(tmp_path.rglob("*.lcageo-draft"))
    assert run(*batch).code == 0
    assert not list(tmp_path.rglob("*.lcageo-draft"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_a_detector_of_another_program_goes_on_where_it_was_stopped(
    run: Run, tmp_path: Path, how: signal.Signals
) -> None:
    rng = np.random.default_rng(0)
    cells = {(int(x), int(y)): int(label) for x, y, label in rng.integers((0, 0, 0), (250, 250, 3), (300, 3))}
    pixels = coloured(2000, 2000, [(x, y, label) for (x, y), label in cells.items()])
    write_scene(tmp_path / "scene.tif", pixels, tiled=True, compress="deflate")
    write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS)
    words = ("detect", "scene.tif", "--model", "a.onnx", "--batch", "1")
    whole = run(*words, "-o", "whole.geojson")
    assert whole.code == 0, whole.err
    command = [sys.executable, "-m", "lcageo", *words, "-o", "found.geojson", "--progress", "json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as stopped:
        assert stopped.stderr is not None
        for line in stopped.stderr:
            event = json.loads(line)
            if event.get("phase") == "tiles" and event["done"]:
                break
        stopped.send_signal(how)
        stopped.communicate(timeout=600)
    assert stopped.returncode == (130 if how is signal.SIGINT else -how)
    assert not (tmp_path / "found.geojson").exists()
    again = run(*words, "-o", "found.geojson")
    assert again.code == 0 and "resumes after" in again.err, again.err
    one, other = (geopandas.read_file(tmp_path / f"{name}.geojson") for name in ("whole", "found"))
    assert len(one) == len(cells)
    assert_geodataframe_equal(one, other)
