"""The summary of a survey, read back by csv and json."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from lcageo.calibration import Expected
from lcageo.survey.state import Joined, SceneRecord, State
from lcageo.survey.summary import SUMMARY, as_json, counts, write_summary
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord

DONE = SceneRecord(
    "a.tif", State.DONE, 2.5, {"planned": 4, "run": 3}, {"ship": 2}, ["scenes/a.gpkg"], ["slow", "no CRS"],
    files=["a.tif"], crs="local", corners=[(0, 0)] * 4, size=(10, 20), candidates=5,
    hints=["none above the thresholds", "coarse"], distance_from_training=1.25,
)  # fmt: skip
JOINED = Joined("hash", {"ship": 1}, {"ship": Expected(1, 0.8, 0.0, 1.0)})
FAILED = SceneRecord("odd \udcff.tif", State.FAILED, error="not a raster")


def written(folder: Path, *records: SceneRecord) -> Path:
    with Publication() as publication:
        write_summary(records, ("ship", "car"), JOINED, RunRecord(model="m"), publication, folder)
        publication.publish()
    return folder


def test_the_table_has_a_row_per_scene_and_a_column_per_class(tmp_path: Path) -> None:
    text = (written(tmp_path, DONE, FAILED) / "summary.csv").read_text(encoding="utf-8")
    done, failed = csv.DictReader(text.splitlines())
    assert done["layer"] == "scenes/a.gpkg" and done["tiles_planned"] == "4" and done["tiles_run"] == "3"
    assert (done["found"], done["ship"], done["car"], done["candidates"]) == ("2", "2", "0", "5") and done[
        "warnings"
    ] == "slow; no CRS"
    assert failed["scene"] == "odd \\udcff.tif" and failed["error"] == "not a raster"
    assert (done["hints"], done["distance_from_training"]) == ("none above the thresholds; coarse", "1.25")
    assert failed["hints"] == failed["distance_from_training"] == ""
    assert failed["layer"] == failed["found"] == failed["ship"] == failed["seconds"] == ""


def test_the_json_has_the_record_and_every_scene(tmp_path: Path) -> None:
    content = json.loads((written(tmp_path, DONE, FAILED) / SUMMARY).read_text(encoding="utf-8"))
    assert content["model"] == "m" and [scene["state"] for scene in content["per_scene"]] == ["done", "failed"]
    assert content["per_scene"][0]["per_class"] == {"ship": 2} and content["per_scene"][1]["error"] == "not a raster"


def test_the_counts_tell_scenes_from_the_survey(tmp_path: Path) -> None:
    content = json.loads((written(tmp_path, DONE, FAILED) / SUMMARY).read_text(encoding="utf-8"))
    both = {"in_scenes": 2, "unique": 1}
    right = {"found": 1, "right": 0.8, "low": 0.0, "high": 1.0}
    assert content["counts"] == {**both, "candidates": 5, "per_class": {"ship": {**both, "probably_right": right}}}
    assert counts([DONE], Joined())["unique"] is None


def test_internal_values_of_a_scene_are_left_out() -> None:
    entry = as_json(DONE)
    assert not {"files", "crs", "corners", "size"} & set(entry) and entry["found"] == 2


def test_a_survey_without_scenes_has_a_table_without_rows(tmp_path: Path) -> None:
    assert (written(tmp_path) / "summary.csv").read_text().count("\n") == 1
