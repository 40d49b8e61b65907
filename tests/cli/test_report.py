"""`lcageo report`: what it writes, and what it refuses. How pages behave is tests/cli/test_report_page.py's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import Run
from support.report_pages import data_of, write
from support.scenes import UTM, noise, write_scene


def test_a_page_is_written_and_summarised(tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(200, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert outcome.code == 0 and outcome.out == "page.html\n", outcome.err
    assert "3 objects found, 2 classes" in outcome.err
    data = data_of(tmp_path / "page.html")
    assert data["size"] == [300, 200] and data["metres"] == pytest.approx(0.5, rel=2e-3) and data["crs"] == "EPSG:32633"
    assert data["affine"] == list(UTM)[:6] and data["north"][1] == pytest.approx(-1, abs=1e-3)
    assert [(one["name"], one["count"]) for one in data["classes"]] == [("ship", 1), ("vehicle", 2)]
    assert "exists; use --overwrite" in run("report", scene, layer, "-o", "page.html").err
    assert run("report", scene, layer, "-o", "page.html", "--overwrite", "-q").err == ""


def test_a_page_is_not_left_half_written(small_disk: Path, tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(900, 900)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", small_disk / "page.html")
    assert outcome.code == 1 and "cannot be written" in outcome.err and not list(small_disk.iterdir())


def test_what_lies_outside_is_left_out_and_told(tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(140, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert outcome.code == 0 and "left out: 1 feature of" in outcome.err and "outside the scene" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("scene.tif", "found.gpkg"), 2, "-o is missing"),
        (("scene.tif", "-o", "a.html"), 2, "also give the layer that detect wrote"),
        (("scene.tif", "found.gpkg", "-o", "a.pdf"), 2, "is not an HTML page; choose a file name that ends in .html"),
        (("scene.tif", "found.gpkg", "-o", "none/a.html"), 1, "does not exist; create it"),
        (("scene.tif", "found.gpkg", "-o", "a.html", "--side", 100), 2, "--side 100 is out of range; choose 256 to"),
        (("scene.tif", "none.gpkg", "-o", "a.html"), 1, "'none.gpkg' does not exist"),
        (("none.tif", "found.gpkg", "-o", "a.html"), 1, "scene 'none.tif' does not exist"),
        (("scene.tif", "found.gpkg", "-o", "a.html", "--holes", "none.gpkg"), 1, "--holes 'none.gpkg' does not exist"),
        ((".", "-o", "pages"), 1, "has no summary.json; give the folder that 'lcageo batch --out' wrote"),
        ((".", "-o", "pages.html"), 2, "is a single page, but a survey has many; choose a folder"),
        ((".", "-o", "pages", "--holes", "a.gpkg"), 2, "--holes is only for a scene"),
        ((".", "-o", "pages", "--crs", "EPSG:4326"), 2, "--crs is only for a scene; leave it out"),
        ((".", "-o", "pages", "--class-field", "a"), 2, "--class-field is only for a scene"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    arguments: tuple[Any, ...], code: int, message: str, tmp_path: Path, run: Run
) -> None:
    write_scene(tmp_path / "scene.tif", noise(200, 300))
    write(tmp_path / "found.gpkg")
    outcome = run("report", *arguments)
    assert outcome.code == code and message in outcome.err, outcome.err
    assert not list(tmp_path.glob("*.html")) and not (tmp_path / "pages").exists()


def test_a_survey_has_an_index_and_a_page_for_each_scene(survey: Path, run: Run, tmp_path: Path) -> None:
    outcome = run("report", "out", "-o", "pages")
    assert outcome.code == 0 and outcome.out == "pages/index.html\n", outcome.err
    files = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.html")}
    assert files == {"index.html", "scenes/a #1.html", "scenes/later/b.html", "scenes/torn.html"}
    data = data_of(tmp_path / "pages" / "index.html")
    summary = json.loads((survey / "summary.json").read_text())
    scenes = {scene["name"]: scene for scene in data["scenes"]}
    assert scenes["a #1"]["href"] == "scenes/a%20%231.html" and scenes["broken"]["href"] is None
    assert {name: scene["state"] for name, scene in scenes.items()} == {
        "a #1": "done", "later/b": "done", "torn": "holes", "broken": "failed",
    }  # fmt: skip
    assert sum(map(sum, (scene["counts"] for scene in scenes.values()))) == sum(
        entry["found"] for entry in summary["per_scene"]
    )
    assert "not a raster" in scenes["broken"]["notes"][0] and scenes["broken"]["corners"] is None
    assert len(data_of(tmp_path / "pages" / "scenes" / "torn.html")["reasons"]) == 1


def test_pages_are_made_again_only_when_asked(survey: Path, run: Run) -> None:
    assert run("report", survey, "-o", "pages").code == 0
    refused = run("report", survey, "-o", "pages")
    assert refused.code == 2 and "exists; use --overwrite" in refused.err
    assert run("report", survey, "-o", "pages", "--overwrite").code == 0
    assert run("report", survey, "-o", survey).code == 0, "beside the layers is a good place"
