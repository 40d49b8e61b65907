"""Positions that a transformation makes less accurate than the pixels: every command that transforms says so."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
from support.commands import Run
from support.scenes import noise, write_scene

BNG = rasterio.Affine(0.5, 0, 624_161, 0, -0.5, 308_459.58)
"""In the British National Grid, whose grid no package of PROJ contains: PROJ's other transformation is 3.2 m off."""
UTM = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_800_000)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "bng.tif", noise(300, 300), "EPSG:27700", BNG)


def area(path: Path, side_m: float = 150) -> Path:
    box = shapely.box(BNG.c, BNG.f - side_m, BNG.c + side_m, BNG.f)
    geopandas.GeoDataFrame({"class": ["ship"]}, geometry=[box], crs=27700).to_crs(4326).to_file(path)
    return path


def warned(messages: str) -> list[str]:
    """What is said to be inaccurate, in warnings that name the grid, with the metres."""
    lines = [line for line in messages.splitlines() if "accurate" in line]
    assert all("the grid 'uk_os_OSTN15_NTv2_OSGBtoETRS.tif', which is not installed" in line for line in lines)
    return [line.partition("warning: ")[2].partition(" m: a better transformation")[0] for line in lines]


def test_layers_in_another_crs_and_areas(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    detect = ("detect", scene, "--model", untrained, "--score", "0.02")
    for command, expected in (
        (detect, ["positions in 'bng.geojson' are accurate to about 2"]),
        ((*detect, "-o", "bng.gpkg"), []),
        (
            (*detect, "-o", "b.gpkg", "--aoi", area(tmp_path / "aoi.gpkg")),
            [f"the borders of --aoi '{tmp_path / 'aoi.gpkg'}' are accurate to about 2"],
        ),
        (("filter", "bng.gpkg", "d.geojson"), ["positions in 'd.geojson' are accurate to about 2"]),
        (
            ("filter", "bng.gpkg", "e.gpkg", "--to", "EPSG:25830"),
            ["positions in 'e.gpkg' are accurate to about 3"],
        ),
        (("filter", "bng.gpkg", "same.gpkg"), []),
        (
            (*detect, "--append", "-o", "e.gpkg", "--iou", "0.3"),
            ["positions in 'e.gpkg' are accurate to about 3"],
        ),
        (("report", scene, "bng.geojson", "-o", "page.html"), []),  # comes back the way that it went
    ):
        outcome = run(*command)
        assert outcome.code == 0 and warned(outcome.err) == expected, outcome.err


def test_surveys_evaluation_and_chips(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for number in range(2):
        write_scene(folder / f"{number}.tif", noise(200, 200), "EPSG:32631", UTM)
    scene = scene.rename(folder / "bng.tif")
    truth, found = area(tmp_path / "truth.gpkg", 20), Path("found/scenes/bng.gpkg")
    for command, expected in (
        (
            ("batch", folder, "--out", "found", "--model", untrained, "--score", "0.02"),
            [f"positions in '{Path('found/survey.gpkg')}'"],
        ),
        (("evaluate", "--layer", found, "--truth", truth), [f"positions of '{found}'"]),
        (("chips", scene, "--labels", truth, "-o", "c", "--val", "0", "--size", "128"), ["positions of the labels"]),
    ):
        outcome = run(*command)
        assert outcome.code == 0, outcome.err
        assert warned(outcome.err) == [f"{what} are accurate to about 2" for what in expected]
