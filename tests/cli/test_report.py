"""`lcageo report`: what it writes, and what it refuses. How pages behave is tests/cli/test_report_page.py's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from support.commands import Run
from support.scenes import UTM, damaged_scene, noise, write_scene

from lcageo.detections import Detections
from lcageo.report import scene as scene_page
from lcageo.scene import prefetch
from lcageo.scene.stretch import Stretch
from lcageo.vector.features import feature_parts
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

FOUND = Detections(
    np.array([[20, 30, 60, 80], [100, 100, 150, 120], [10, 150, 30, 170]], np.float64),
    np.array([0.9, 0.5, 0.3], np.float32),
    np.array([0, 1, 1]),
)
CLASSES = ("ship", "vehicle")


def write(path: Path, provenance: dict[str, Any] | None = None, objects: Detections = FOUND) -> Path:
    """A layer of what was found in the scenes that write_scene places."""
    to_map = lambda xs, ys: (UTM.c + UTM.a * xs, UTM.f + UTM.e * ys)  # noqa: E731
    parts = feature_parts([objects], CLASSES, to_map, pyproj.CRS(32633), "scene")
    write_layer(parts, RunRecord.from_json(provenance or {"crs": "EPSG:32633"}), FileTarget.of(path))
    return path


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def test_a_page_is_written_and_told_of(tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(200, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert outcome.code == 0 and outcome.out == "page.html\n", outcome.err
    assert "3 objects, 2 classes" in outcome.err
    data = data_of(tmp_path / "page.html")
    assert data["size"] == [300, 200] and data["metres"] == pytest.approx(0.5, rel=2e-3) and data["crs"] == "EPSG:32633"
    assert data["affine"] == list(UTM)[:6] and data["north"][1] == pytest.approx(-1, abs=1e-3)
    assert [(one["name"], one["count"]) for one in data["classes"]] == [("ship", 1), ("vehicle", 2)]
    assert "exists; give --overwrite" in run("report", scene, layer, "-o", "page.html").err
    assert run("report", scene, layer, "-o", "page.html", "--overwrite", "-q").err == ""


def test_the_picture_is_what_the_detector_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (4, 200, 300), dtype=np.uint16)
    scene = write_scene(tmp_path / "scene.tif", pixels)
    seen: list[Any] = []
    reduced = scene_page.reduced_image
    monkeypatch.setattr(
        scene_page, "reduced_image", lambda *given: (seen.append((given[0].info.bands, *given[1:])), reduced(*given))[1]
    )
    told = {"crs": "EPSG:32633", "bands": [4, 3, 2], "stretch": {"low": [0, 1, 2], "high": [100, 200, 300]}}
    broken = {"crs": "EPSG:32633", "bands": "all", "stretch": {"low": [5, 5, 5], "high": [1, 2, "x"]}}
    other = {"crs": "EPSG:32633", "bands": [7, 3, 2]}
    for name, provenance in (("told", told), ("broken", broken), ("other", other)):
        layer = write(tmp_path / f"{name}.gpkg", provenance)
        assert run("report", scene, layer, "-o", f"{name}.html", "--side", 256).code == 0
    assert seen[0] == ((4, 3, 2), Stretch((0, 1, 2), (100, 200, 300)), 256)
    assert seen[2][0] == seen[1][0] == (1, 2, 3) and seen[1][1].low == pytest.approx((80, 80, 80), abs=25)


def test_the_slider_starts_where_the_layer_s_thresholds_are(tmp_path: Path, run: Run) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(200, 300))
    for number, (thresholds, least) in enumerate(
        [({"ship": 0.7, "vehicle": 0.4}, 4000), ({"ship": 0.3}, 0), (None, 0), ("none", 0), ({"ship": "high"}, 0)]
    ):
        layer = write(tmp_path / f"{number}.gpkg", {"crs": "EPSG:32633", "thresholds": thresholds})
        assert run("report", scene, layer, "-o", f"{number}.html").code == 0
        assert data_of(tmp_path / f"{number}.html")["least"] == least


def test_a_page_is_not_left_half_written(small_disk: Path, tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(900, 900)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", small_disk / "page.html")
    assert outcome.code == 1 and "cannot be written" in outcome.err and not list(small_disk.iterdir())


def test_only_the_surest_are_shown_of_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(scene_page, "MAX_OBJECTS", 2)
    scene, layer = write_scene(tmp_path / "scene.tif", noise(200, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert "warning: the page shows the 2 highest-scoring of 3 objects" in outcome.err
    assert "the 2 highest-scoring of 3" in data_of(tmp_path / "page.html")["warnings"][0]


def test_what_lies_outside_is_left_out_and_told(tmp_path: Path, run: Run) -> None:
    scene, layer = write_scene(tmp_path / "scene.tif", noise(140, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert outcome.code == 0 and "1 features of" in outcome.err and "are outside the scene and left out" in outcome.err


def test_coverage_is_in_tiles_and_says_where_to_see_holes(tmp_path: Path, run: Run) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(200, 300))
    tiles = {"planned": 40, "without_data": 10, "unreadable": 2, "run": 28}
    layer = write(tmp_path / "found.gpkg", {"crs": "EPSG:32633", "tiles": tiles, "model": "m"})
    run("report", scene, layer, "-o", "page.html")
    data = data_of(tmp_path / "page.html")
    assert data["coverage"][:5] == [
        ["planned", "40 (100.0%)"],
        ["outside area of interest", "0 (0.0%)"],
        ["without data", "10 (25.0%)"],
        ["unreadable", "2 (5.0%)"],
        ["run", "28 (70.0%)"],
    ]
    assert "--holes" in data["coverage"][5][1] and ["model", "m"] in data["provenance"]
    own = tmp_path / "own.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.box(UTM.c + 1, UTM.f - 9, UTM.c + 9, UTM.f - 1)], crs=32633).to_file(own)
    assert run("report", scene, own, "-o", "own.html").code == 0
    assert data_of(tmp_path / "own.html")["coverage"] == [["tiles", "not recorded in the layer"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("scene.tif", "found.gpkg"), 2, "-o is missing"),
        (("scene.tif", "-o", "a.html"), 2, "give the layer that detect wrote as well"),
        (("scene.tif", "found.gpkg", "-o", "a.pdf"), 2, "is not an HTML page; choose a file name that ends in .html"),
        (("scene.tif", "found.gpkg", "-o", "none/a.html"), 1, "does not exist; create it"),
        (("scene.tif", "found.gpkg", "-o", "a.html", "--side", 100), 2, "--side 100 is out of range; choose 256 to"),
        (("scene.tif", "none.gpkg", "-o", "a.html"), 1, "'none.gpkg' does not exist"),
        (("none.tif", "found.gpkg", "-o", "a.html"), 1, "scene 'none.tif' does not exist"),
        (("scene.tif", "found.gpkg", "-o", "a.html", "--holes", "none.gpkg"), 1, "--holes 'none.gpkg' does not exist"),
        ((".", "-o", "pages"), 1, "has no summary.json; give the folder that 'lcageo batch --out' wrote"),
        ((".", "-o", "pages.html"), 2, "is a single page, but a survey has many; choose a folder"),
        ((".", "-o", "pages", "--holes", "a.gpkg"), 2, "--holes is for a scene"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[Any, ...], code: int, message: str, tmp_path: Path, run: Run
) -> None:
    write_scene(tmp_path / "scene.tif", noise(200, 300))
    write(tmp_path / "found.gpkg")
    outcome = run("report", *arguments)
    assert outcome.code == code and message in outcome.err, outcome.err
    assert not list(tmp_path.glob("*.html")) and not (tmp_path / "pages").exists()


# ---- surveys ----


@pytest.fixture
def survey(tmp_path: Path, run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of four scenes: one to the east of another, one with a hole, one that is no raster."""
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    (tmp_path / "flight" / "later").mkdir(parents=True)
    write_scene(tmp_path / "flight" / "a #1.tif", noise(200, 300))
    east = rasterio.Affine.translation(200, 0) @ UTM
    write_scene(tmp_path / "flight" / "later" / "b.tif", noise(200, 300, seed=1), transform=east)
    damaged_scene(tmp_path / "flight" / "torn.tif", [0])
    (tmp_path / "flight" / "broken.tif").write_bytes(b"II*\0junk")
    outcome = run("batch", "flight", "--out", "out", "--recursive", "--holes", "--model", untrained, "--score", 0.02)
    assert outcome.code == 3, outcome.err
    return tmp_path / "out"


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
        entry["objects"] for entry in summary["per_scene"]
    )
    assert "not a raster" in scenes["broken"]["notes"][0] and scenes["broken"]["corners"] is None
    assert len(data_of(tmp_path / "pages" / "scenes" / "torn.html")["reasons"]) == 1


def test_footprints_lie_as_on_the_ground(survey: Path, run: Run, tmp_path: Path) -> None:
    run("report", survey, "-o", "pages")
    scenes = {scene["name"]: scene for scene in data_of(tmp_path / "pages" / "index.html")["scenes"]}
    west, east = (np.array(scenes[name]["corners"]) for name in ("a #1", "later/b"))
    # 300 x 200 pixels of 0.5 m, the other 200 m to the east; a metre of UTM 33 at 15 E is 0.9996 of one on the ground.
    assert np.hypot(*(west[1] - west[0])) == pytest.approx(150 / 0.9996, rel=1e-5)
    assert np.hypot(*(west[3] - west[0])) == pytest.approx(100 / 0.9996, rel=1e-5)
    assert east - west == pytest.approx(np.tile([200 / 0.9996, 0], (4, 1)), abs=0.05)
    assert west[0][1] < west[3][1], "north is up"


def test_pages_are_made_again_only_when_asked(survey: Path, run: Run) -> None:
    assert run("report", survey, "-o", "pages").code == 0
    refused = run("report", survey, "-o", "pages")
    assert refused.code == 2 and "exists; give --overwrite" in refused.err
    assert run("report", survey, "-o", "pages", "--overwrite").code == 0
    assert run("report", survey, "-o", survey).code == 0, "beside the layers is a good place"


def test_a_scene_that_is_gone_costs_its_own_page(survey: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "flight" / "a #1.tif").unlink()
    outcome = run("report", survey, "-o", "pages")
    assert outcome.code == 3 and "some scenes have no page" in outcome.err
    assert "a #1.tif' does not exist; check the path (the path is relative to the folder where" in outcome.err
    scenes = {scene["name"]: scene for scene in data_of(tmp_path / "pages" / "index.html")["scenes"]}
    assert scenes["a #1"]["href"] is None and scenes["later/b"]["href"] is not None


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ("{", "is not a survey's summary"),
        ('{"per_scene": 3}', "per_scene is not a list"),
        ('{"per_scene": [{"scene": "a.tif"}]}', "is not a survey's summary"),
        (
            '{"per_scene": [{"scene": "a.tif", "state": "done", "per_class": {}, "error": null, "warnings": [], '
            '"outputs": ["scenes/../../a.gpkg"]}]}',
            "results are outside the folder",
        ),
    ],
)
def test_a_summary_that_is_none_is_refused(summary: str, message: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text(summary)
    outcome = run("report", "out", "-o", "pages")
    assert outcome.code == 1 and message in outcome.err and not (tmp_path / "pages").exists()


def test_a_survey_across_the_antimeridian_stays_together() -> None:
    from lcageo.report.survey import _on_map

    west = np.array([[179.9, 10.1], [180.0, 10.1], [180.0, 10.0], [179.9, 10.0]])
    corners, (width, height) = _on_map([west, None, west - [359.9, 0]])
    assert corners[1] is None and width == pytest.approx(0.2 * 111_320 * np.cos(np.radians(10.05)) * 1.08, rel=0.01)
    assert height < width
    assert _on_map([None]) == ([None], (1.0, 1.0))
