"""What is said where few objects are found: each sentence is checked by doing what it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import geopandas
import pytest
from rasterio import Affine
from support.commands import Run
from support.scenes import UTM, noise, write_scene
from support.untrained import CLASSES, make_untrained_model

from lcageo.runtime.catalog import FOLDER_CARD, find_card, write_card

ONE_CLASS = ("--classes", "ship")
OPTIONS = ("--json", "--overwrite", "--backend", "torch", "--device", "cpu")


@pytest.fixture(scope="module")
def choosy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that looks for small objects, with a threshold that its boxes hardly reach."""
    folder = make_untrained_model(tmp_path_factory.mktemp("choosy"), tile_size=128)
    card = find_card(str(folder))
    thresholds, sizes = dict.fromkeys(CLASSES, 0.1), {"ship": (8.0, 18.0), "vehicle": (1.0, 4.0)}
    write_card(replace(card, thresholds=thresholds, lengths_px=(12.0, 100.0), size_m=sizes), folder / FOLDER_CARD)
    return folder


def hints_of(run: Run, *arguments: object) -> list[str]:
    outcome = run("detect", *arguments, *OPTIONS, "-o", "found.geojson")
    assert outcome.code in (0, 3), outcome.err
    (entry,) = json.loads(outcome.out)
    assert [line for line in outcome.err.splitlines() if line.startswith("hint: ")] == [
        f"hint: {line}" for line in entry["hints"]
    ]
    hints: list[str] = entry["hints"]
    return hints


def found(run: Run, *arguments: object) -> int:
    outcome = run("detect", *arguments, *OPTIONS, "-o", "again.geojson")
    assert outcome.code == 0, outcome.err
    count: int = json.loads(outcome.out)[0]["found"]
    return count


def test_the_score_that_a_hint_names_finds_as_many_as_it_says(run: Run, choosy: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(128, 128))
    assert found(run, scene, "--model", choosy, *ONE_CLASS, "--score", "0.02")
    best = geopandas.read_file("again.geojson").score.max()
    thresholds = dict.fromkeys(CLASSES, round(best + 0.001, 3))  # that nothing passes, but half of it something does
    write_card(replace(find_card(str(choosy)), thresholds=thresholds), choosy / FOLDER_CARD)
    (line,) = [one for one in hints_of(run, scene, "--model", choosy, *ONE_CLASS) if "thresholds" in one]
    stated = re.fullmatch(r"no object above the score thresholds; --score (\S+) finds (\d+) more", line)
    assert stated, line
    assert found(run, scene, "--model", choosy, *ONE_CLASS, "--score", stated[1]) == int(stated[2])


def test_a_coarse_scene_and_one_outside_the_range_are_told(run: Run, choosy: Path, tmp_path: Path) -> None:
    coarse = write_scene(tmp_path / "coarse.tif", noise(100, 100), transform=Affine(1.5, 0, 5e5, 0, -1.5, 5.8e6))
    asked = ("--model", choosy, "--score", "0.99")
    told = hints_of(run, coarse, *asked)
    classes = "ship (1 m or finer is better), vehicle (0.2 m or finer is better)"
    assert f"a resolution of 1.5 m per pixel is coarse for {classes}" in told
    fine = write_scene(tmp_path / "fine.tif", noise(100, 100), transform=Affine(0.15, 0, 5e5, 0, -0.15, 5.8e6))
    assert not any("coarse" in line for line in hints_of(run, fine, *asked, *ONE_CLASS))


def test_the_part_of_a_scene_in_degrees_that_is_too_coarse_is_measured(run: Run, choosy: Path, tmp_path: Path) -> None:
    """A degree of longitude shrinks with the cosine of the latitude: from 0 to 80 degrees, by four fifths."""
    scene = write_scene(tmp_path / "tall.tif", noise(400, 20), "EPSG:4326", Affine(2e-5, 0, 10, 0, -80 / 400, 80))
    (line,) = [one for one in hints_of(run, scene, "--model", choosy, "--score", "0.99") if "of the scene" in one]
    assert line.startswith("100% of the scene is outside the model's range of 0.1 to 2 m per pixel")


def test_what_was_not_searched_is_told(run: Run, choosy: Path, tmp_path: Path) -> None:
    pixels = noise(100, 1000)
    pixels[:, :, 130:] = 0
    scene = write_scene(tmp_path / "empty.tif", pixels, transform=UTM, nodata=0)
    told = hints_of(run, scene, "--model", choosy, "--score", "0.99", "--passes", "1")
    assert any(re.search(r"not searched, of the tiles: \d+% without data", line) for line in told)


def test_where_enough_is_found_nothing_is_said(run: Run, untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(300, 300))
    assert hints_of(run, scene, "--model", untrained, "--score", "0.02") == []
