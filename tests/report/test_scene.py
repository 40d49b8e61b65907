"""The page of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from support.commands import Run
from support.report_pages import data_of, unpacked, write
from support.scenes import UTM, noise, write_scene

from lcageo.report import scene as scene_page
from lcageo.scene.stretch import Stretch


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


def test_only_the_surest_are_shown_of_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(scene_page, "MAX_OBJECTS", 2)
    scene, layer = write_scene(tmp_path / "scene.tif", noise(200, 300)), write(tmp_path / "found.gpkg")
    outcome = run("report", scene, layer, "-o", "page.html")
    assert "warning: the page shows the 2 highest-scoring of 3 objects" in outcome.err
    assert "the 2 highest-scoring of 3" in data_of(tmp_path / "page.html")["warnings"][0]


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


@pytest.mark.parametrize(("across", "down"), [(1, 2), (3, 1)])
def test_a_page_shows_square_ground(tmp_path: Path, across: int, down: int) -> None:
    """The same objects, on the same ground in square pixels and in others: their outlines lie in the same places."""
    place = tmp_path / "found.gpkg"
    write(place)
    pages = []
    for name, transform, pixels in (
        ("square", UTM, noise(180, 300)),
        ("oblong", UTM @ rasterio.Affine.scale(across, down), noise(180 // down, 300 // across)),
    ):
        scene = write_scene(tmp_path / f"{name}.tif", pixels, transform=transform)
        scene_page.report_scene(str(scene), place, tmp_path / f"{name}.html")
        pages.append(data_of(tmp_path / f"{name}.html"))
    square, oblong = pages
    assert oblong["size"] == pytest.approx(square["size"], rel=1e-3)
    assert oblong["metres"] == pytest.approx(square["metres"], rel=1e-3)
    assert oblong["affine"] == pytest.approx(square["affine"], rel=1e-3)
    assert oblong["pixel"] == pytest.approx([across, down], rel=1e-3) and square["pixel"] == [1, 1]
    corners = [unpacked(page["objects"]["steps"], "<i4").reshape(-1, 2).cumsum(axis=0) / 16 for page in pages]
    assert len(corners[0]) == 12 and np.abs(corners[0] - corners[1]).max() < 0.2
