"""How every scene of a survey ended."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import geopandas
import pytest
from support.bright import Failing
from support.scenes import squares, write_scene
from support.surveys import CONFIG, run

from lcageo.errors import InterruptedRunError, OutputError
from lcageo.inference.runner import LocalRunner
from lcageo.survey.scenes import find_scenes
from lcageo.survey.survey import SurveyConfig, open_survey


def test_a_stopped_survey_leaves_a_summary_of_its_progress(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_survey(
        SurveyConfig(out, ".csv"), CONFIG, LocalRunner(Failing(30, InterruptedRunError("stop")))
    ) as survey:
        jobs = survey.look(find_scenes([str(flight)], None, False, out))
        with pytest.raises(InterruptedRunError):
            list(survey.run(jobs, lambda line: None, lambda *_: None))
        survey.summarize()
    states = [scene["state"] for scene in json.loads((out / "summary.json").read_text())["per_scene"]]
    assert states == ["done", "waiting", "waiting", "waiting"]


def test_the_summary_lists_every_scene(flight: Path, tmp_path: Path) -> None:
    (flight / "part 9.tif").write_bytes(b"no raster")
    write_scene(flight / "nowhere.tif", squares(100, 100, [(20, 20, 20, 250)]), None, None)
    run(flight, tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text(encoding="utf-8").splitlines()))
    content = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert [row["state"] for row in rows] == ["done"] * 5 + ["failed"]
    assert content["scenes"] == {"done": 5, "holes": 0, "failed": 1, "waiting": 0}
    nowhere, first = rows[0], rows[1]
    assert "has no CRS" in nowhere["warnings"] and nowhere["white square"] == "1"
    layer = geopandas.read_file(tmp_path / "out" / first["layer"])
    assert int(first["objects"]) == len(layer) == int(first["grey square"]) + int(first["white square"]) > 0
    assert int(first["tiles_planned"]) == int(first["tiles_run"]) > 4 and "part 9.tif" in rows[-1]["error"]
    assert content["per_scene"][1]["objects"] == len(layer)
    joint = geopandas.read_file(tmp_path / "out" / "survey.geojson")
    assert "nowhere" not in set(joint["scene"])


@pytest.mark.parametrize("name", ["summary.csv", "summary.json", "survey.geojson"])
def test_a_summary_that_another_made_is_not_replaced(flight: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputError, match="was not made by this survey"):
        run(flight, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "mine"
