"""What a killed command leaves is used or removed by the next; nothing that a user made is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
import shapely
from support.commands import Run
from support.found_layers import found, write
from support.scenes import UTM, noise, squares, write_scene

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
