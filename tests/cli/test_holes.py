"""What a user meets when parts of a scene cannot be read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.commands import Run
from support.readers import read_layer
from support.scenes import UTM, damaged_scene, noise, write_scene

from lcageo.scene import prefetch


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)


def test_detect_writes_the_rest_with_its_holes_and_ends_with_3(run: Run, untrained: Path, tmp_path: Path) -> None:
    scene = damaged_scene(tmp_path / "scene.tif", [9])
    outcome = run("detect", scene, "--model", untrained, "--score", "0.02", "-o", "a.gpkg", "--holes", "holes.gpkg")
    assert outcome.code == 3
    assert "parts are missing" in outcome.err and "could not be read completely; the first: scene" in outcome.err
    assert len(read_layer(tmp_path / "a.gpkg").rows) > 0
    holes = read_layer(tmp_path / "holes.gpkg").rows
    assert holes and all("damaged" in str(row["reason"]) for row in holes)
    again = run("detect", scene, "--model", untrained, "--score", "0.02", "-o", "a.gpkg", "--overwrite", "--json")
    assert again.code == 3 and json.loads(again.out)[0]["provenance"]["tiles"]["unreadable"] == len(holes)


def test_a_scene_without_holes_gives_an_empty_layer(run: Run, untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(128, 128))
    assert run("detect", scene, "--model", untrained, "-o", "a.gpkg", "--holes", "holes.gpkg").code == 0
    assert read_layer(tmp_path / "holes.gpkg").rows == []


def test_holes_and_failures_are_named_together(run: Run, untrained: Path, tmp_path: Path) -> None:
    damaged_scene(tmp_path / "holed.tif", [9])
    (tmp_path / "text.tif").write_text("no raster")
    outcome = run("detect", "holed.tif", "text.tif", "--model", untrained, "-o", "results")
    assert outcome.code == 3 and "1 of 2 scenes failed" in outcome.err
    for message in ("holed.tif: ", "could not be read completely", "not a raster"):
        assert message in outcome.err


def test_holes_do_not_replace_the_result(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(128, 128))
    outcome = run("detect", "scene.tif", "--model", untrained, "-o", "a.gpkg", "--holes", "a.gpkg")
    assert outcome.code == 2 and "-o and --holes would both write 'a.gpkg'" in outcome.err


def test_a_dry_run_of_a_damaged_scene_times_what_can_be_read(run: Run, untrained: Path, tmp_path: Path) -> None:
    damaged_scene(tmp_path / "scene.tif", [0])
    assert run("detect", "scene.tif", "--model", untrained, "--dry-run").code == 0


def test_what_a_missing_file_of_a_mosaic_shows_is_a_hole(run: Run, untrained: Path, tmp_path: Path) -> None:
    for name, x in (("west", 0), ("east", 300)):
        write_scene(tmp_path / f"{name}.tif", noise(300, 300), transform=UTM @ UTM.translation(x, 0))
    subprocess.run(["gdalbuildvrt", "-q", "m.vrt", "west.tif", "east.tif"], cwd=tmp_path, check=True)
    options = ("--model", untrained, "--score", "0.02", "--overlap", "0")
    assert run("detect", "m.vrt", "-o", "whole.gpkg", *options).code == 0
    (tmp_path / "east.tif").unlink()
    outcome = run("detect", "m.vrt", "-o", "part.gpkg", "--holes", "holes.gpkg", *options)
    assert outcome.code == 3 and "east.tif', which does not exist" in outcome.err
    holes = read_layer(tmp_path / "holes.gpkg")
    assert max(shape.bounds[2] for shape in holes.geometry) == UTM.c + 300  # half a metre per pixel
    assert min(shape.bounds[0] for shape in holes.geometry) <= UTM.c + 150
    found = read_layer(tmp_path / "part.gpkg").geometry
    assert len(found) and all(shape.bounds[2] <= UTM.c + 150 for shape in found)
    described = run("info", "m.vrt")
    assert described.code == 0 and "missing" in described.out and "east.tif" in described.out


def test_a_scene_whose_missing_file_is_restored_is_run_again(run: Run, untrained: Path, tmp_path: Path) -> None:
    for name, x in (("west", 0), ("east", 300)):
        write_scene(tmp_path / f"{name}.tif", noise(300, 300), transform=UTM @ UTM.translation(x, 0))
    subprocess.run(["gdalbuildvrt", "-q", "m.vrt", "west.tif", "east.tif"], cwd=tmp_path, check=True)
    (tmp_path / "east.tif").rename(tmp_path / "away")
    batch = ("batch", "m.vrt", "--out", "out", "--model", untrained, "--score", "0.02")
    assert run(*batch).code == 3
    (tmp_path / "away").rename(tmp_path / "east.tif")
    assert run(*batch).code == 0
