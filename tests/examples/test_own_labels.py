"""The workflow for own labels: real commands on a small scene, starting from an untrained model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import geopandas
import own_labels
import pytest
import shapely
import typer.main
from conftest import REPOSITORY
from support.scenes import UTM, squares, write_scene

from lcageo.cli.app import app

PLACES = [(x, y, 24, 250) for x in range(16, 500, 60) for y in range(16, 240, 60)]


@pytest.mark.slow
def test_the_workflow_runs_and_reserves_the_rest_of_the_scene(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    scene = write_scene(tmp_path / "scene.tif", squares(256, 512, PLACES))
    boxes = [
        shapely.box(UTM.c + x / 2, UTM.f - (y + side) / 2, UTM.c + (x + side) / 2, UTM.f - y / 2)
        for x, y, side, _ in PLACES
    ]
    truth = tmp_path / "truth.gpkg"
    geopandas.GeoDataFrame({"class": ["square"] * len(boxes)}, geometry=boxes, crs="EPSG:32633").to_file(truth)
    options = ["--model", untrained, "--size", 128, "--minutes", 0.05, "--batch", 2]
    own_labels.main([str(one) for one in (tmp_path / "own", "--scene", scene, "--truth", truth, *options)])
    printed = capsys.readouterr().out
    assert "16 objects to label in the west, 20 in the rest of the scene" in printed
    assert "0 objects kept, 0 deleted, 16 drawn" in printed
    figures = {line[:32].strip(): line[32:].split() for line in printed.splitlines()}
    assert [0 <= float(value) <= 1 for value in figures["square"]] == [True, True]
    assert (tmp_path / "own" / "tuned" / "model.toml").exists() and (tmp_path / "own" / "after.gpkg").exists()
    for side in ("train", "val"):
        content = json.loads((tmp_path / "own" / "chips" / f"{side}.json").read_text())
        left = {image["id"]: image["scene_xyxy"][0] for image in content["images"]}
        ends = [left[one["image_id"]] + one["bbox"][0] + one["bbox"][2] for one in content["annotations"]]
        assert ends and max(ends) <= 256


def test_boxes_in_pixels_are_where_the_scene_has_them(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", squares(256, 512, PLACES))
    (tmp_path / "boxes.csv").write_text("image_path,xmin,ymin,xmax,ymax,label\nscene.tif,20,30,60,50,Tree\n")
    (row,) = own_labels.true_objects(tmp_path / "boxes.csv", scene).itertuples()
    assert row.geometry.bounds == (UTM.c + 10, UTM.f - 25, UTM.c + 30, UTM.f - 15)
    assert row[1] == "tree"


@pytest.mark.parametrize(("guide", "count"), [("own_labels.md", 6), ("scenes_and_layers.md", 12)])
def test_guides_use_existing_commands_and_options(guide: str, count: int) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = (REPOSITORY / "examples" / guide).read_text()
    lines = [line.removeprefix("$ lcageo ") for line in text.splitlines() if line.startswith("$ lcageo ")]
    assert len(lines) == count
    for line in lines:
        name, *words = shlex.split(line)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line
