"""Surveys: what is run, what is skipped, what the folder contains; with a predictor that needs no network."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from support.bright import BrightSquares, Failing, PowerCutError
from support.scenes import UTM, noise, squares, write_scene

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import InterruptedRunError, OutputError
from lcageo.inference import runner
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import detect_scene
from lcageo.scene.raster import open_scene
from lcageo.survey.scenes import find_scenes
from lcageo.survey.state import SceneRecord, State
from lcageo.survey.survey import SurveyConfig, open_survey

PLACES = [(x, y, 8 + (x + y) % 9, 205 + (x * y) % 50) for x in range(6, 480, 31) for y in range(6, 380, 33)]
CONFIG = DetectConfig(overlap="24")


def cut(whole: NDArray[np.uint8], folder: Path, name: str, x: int, y: int, width: int, height: int) -> Path:
    """A part of a larger scene, georeferenced."""
    folder.mkdir(exist_ok=True, parents=True)
    place = UTM @ UTM.translation(x, y)
    return write_scene(folder / name, whole[:, y : y + height, x : x + width], transform=place)


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """Four scenes of 280 x 230 pixels that overlap by 60 and more, together 500 x 400."""
    whole, folder = squares(400, 500, PLACES), tmp_path / "flight"
    for number, (x, y) in enumerate([(0, 0), (220, 0), (0, 170), (220, 170)]):
        cut(whole, folder, f"part {number} ü.tif", x, y, 280, 230)
    return folder


def run(
    folder: Path, out: Path, predictor: BrightSquares | None = None, suffix: str = ".geojson", force: bool = False,
    config: DetectConfig = CONFIG,
) -> tuple[BrightSquares, list[SceneRecord]]:  # fmt: skip
    """Brings a survey up to date; the predictor has counted its batches."""
    predictor = predictor or Failing()
    with open_survey(SurveyConfig(out, suffix), config, LocalRunner(predictor)) as survey:
        jobs = survey.look(find_scenes([str(folder)], None, True, out), force)
        records = list(survey.run(jobs, lambda line: None, lambda *_: None, force))
        survey.finish(lambda line: None)
    return predictor, records


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.geojson"))}


def test_the_joint_layer_shows_what_one_scene_of_all_would(flight: Path, tmp_path: Path) -> None:
    run(flight, tmp_path / "out", suffix=".gpkg")
    joint = geopandas.read_file(tmp_path / "out" / "survey.gpkg", layer="survey")
    whole = write_scene(tmp_path / "whole.tif", squares(400, 500, PLACES))
    with open_scene(whole) as scene:
        found = detect_scene(scene, Failing(), CONFIG).detections
    x1, y1, x2, y2 = found.boxes_xyxy.T
    left, right, top, bottom = UTM.a * x1 + UTM.c, UTM.a * x2 + UTM.c, UTM.e * y1 + UTM.f, UTM.e * y2 + UTM.f
    expected = {shapely.box(*corners).normalize().wkt for corners in zip(left, bottom, right, top, strict=True)}
    assert {polygon.normalize().wkt for polygon in joint.geometry} == expected and len(joint) == len(expected) > 100
    assert joint["id"].tolist() == list(range(1, len(joint) + 1))
    assert set(joint["scene"]) == {f"part {number} ü" for number in range(4)}


def test_a_second_run_does_only_what_is_missing_or_changed(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(run(flight, out)[1]) == 4
    first = files(out)
    predictor, records = run(flight, out)
    assert records == [] and predictor.batches == [] and files(out) == first and len(first) == 5
    (out / "scenes" / "part 1 ü.geojson").unlink()
    assert [record.scene for record in run(flight, out)[1]] == [str(flight / "part 1 ü.tif")]
    assert files(out) == first
    cut(squares(400, 500, PLACES[::2]), flight, "part 2 ü.tif", 0, 170, 280, 230)
    cut(squares(400, 500, PLACES), flight, "part 5.tif", 100, 100, 280, 230)
    assert [Path(record.scene).name for record in run(flight, out)[1]] == ["part 2 ü.tif", "part 5.tif"]
    assert files(out)["survey.geojson"] != first["survey.geojson"]
    assert len(run(flight, out, config=replace(CONFIG, iou=0.5))[1]) == 5
    assert len(run(flight, out, config=replace(CONFIG, iou=0.5), force=True)[1]) == 5


def test_layers_of_another_format_may_be_older_than_the_last_run(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(flight, out)
    first = files(out)
    other = replace(CONFIG, score=0.9)
    assert len(run(flight, out, suffix=".fgb", config=other)[1]) == 4 and files(out) == first
    assert len(run(flight, out, config=other)[1]) == 4 and files(out) != first
    assert run(flight, out, config=other)[1] == []


def test_a_scene_that_is_gone_leaves_the_joint_layer(flight: Path, tmp_path: Path) -> None:
    run(flight, tmp_path / "out", suffix=".gpkg")
    (flight / "part 3 ü.tif").unlink()
    assert run(flight, tmp_path / "out", suffix=".gpkg")[1] == []
    assert set(geopandas.read_file(tmp_path / "out" / "survey.gpkg", layer="survey")["scene"]) == {
        f"part {n} ü" for n in range(3)
    }


def test_a_bad_file_does_not_affect_the_others_and_is_tried_again(flight: Path, tmp_path: Path) -> None:
    good = (flight / "part 0 ü.tif").read_bytes()
    (flight / "part 0 ü.tif").write_bytes(good[:1000])
    records = run(flight, tmp_path / "out")[1]
    assert [record.state for record in records] == [State.FAILED, State.DONE, State.DONE, State.DONE]
    assert "part 0 ü.tif" in str(records[0].error)
    (flight / "part 0 ü.tif").write_bytes(good)
    assert [record.state for record in run(flight, tmp_path / "out")[1]] == [State.DONE]


def test_a_bug_of_ours_fails_only_its_scene(flight: Path, tmp_path: Path) -> None:
    class Buggy(Failing):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            self.batches.append(0)
            return super().predict(images) if len(self.batches) != 3 else 1 // 0  # type: ignore[return-value]

    records = run(flight, tmp_path / "out", Buggy())[1]
    assert [record.state for record in records].count(State.FAILED) == 1
    assert "unexpected ZeroDivisionError" in str(records[0].error)


@pytest.mark.parametrize("in_flight", [1, runner.IN_FLIGHT])
@pytest.mark.parametrize("good", [0, 3, 14, 30])
def test_a_survey_that_broke_off_resumes_and_gives_the_same_bytes(
    flight: Path, tmp_path: Path, good: int, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IN_FLIGHT", in_flight)
    run(flight, tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(PowerCutError):
        run(flight, out, Failing(good))
    predictor, _ = run(flight, out)
    assert files(out) == files(tmp_path / "whole")
    undisturbed, _ = run(flight, tmp_path / "again")
    # A good batch that overtakes the one that breaks off is lost with it; one at a time, none is.
    assert len(undisturbed.batches) - len(predictor.batches) in {max(0, good - lost) for lost in range(in_flight)}


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


def test_settings_that_change_after_a_break_off_restart_the_scene(flight: Path, tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        run(flight, tmp_path / "out", Failing(3))
    other = replace(CONFIG, max_per_tile=2)
    run(flight, tmp_path / "out", config=other)
    run(flight, tmp_path / "whole", config=other)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


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
    assert int(first["found"]) == len(layer) == int(first["grey square"]) + int(first["white square"]) > 0
    assert int(first["tiles_planned"]) == int(first["tiles_run"]) > 4 and "part 9.tif" in rows[-1]["error"]
    assert content["per_scene"][1]["found"] == len(layer)
    joint = geopandas.read_file(tmp_path / "out" / "survey.geojson")
    assert "nowhere" not in set(joint["scene"])


def test_a_survey_of_nothing_placed_has_no_joint_layer(tmp_path: Path) -> None:
    (tmp_path / "flight").mkdir()
    write_scene(tmp_path / "flight" / "a.tif", noise(50, 50), None, None)
    run(tmp_path / "flight", tmp_path / "out")
    assert not (tmp_path / "out" / "survey.geojson").exists() and (tmp_path / "out" / "summary.csv").exists()


def test_layers_that_another_made_are_not_replaced(flight: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "out" / "scenes" / "part 0 ü.geojson"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    for _ in range(2):
        with pytest.raises(OutputError, match="was not made by this survey; use --overwrite"):
            run(flight, tmp_path / "out")
    assert stranger.read_text() == "mine"


def test_a_second_process_is_refused(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_survey(SurveyConfig(out, ".csv"), CONFIG, LocalRunner(Failing())):
        code = f"from lcageo.survey.state import *; SurveyState(Path({str(out)!r}))"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode and "another process is writing the same result" in second.stderr


def test_a_damaged_state_is_created_again(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(flight, out)
    first = files(out)
    (out / ".lcageo-survey").write_bytes(b"nothing to be read" * 300)
    with open_survey(SurveyConfig(out, ".geojson"), CONFIG, LocalRunner(Failing())) as survey:
        jobs = survey.look(find_scenes([str(flight)], None, True, out), overwrite=True)
        list(survey.run(jobs, lambda line: None, lambda *_: None))
        survey.finish(lambda line: None)
    assert len(jobs) == 4 and files(out) == first


def test_a_damaged_journal_loses_its_own_tiles_only(flight: Path, tmp_path: Path) -> None:
    run(flight, tmp_path / "whole")
    with pytest.raises(PowerCutError):
        run(flight, tmp_path / "out", Failing(5))
    (journal,) = [path for path in (tmp_path / "out").rglob("*journal") if path.is_file()]
    journal.write_bytes(b"nothing to be read" * 1000)
    run(flight, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_name_that_is_not_valid_text_fails_only_its_scene(flight: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(flight) + b"/odd \xff.tif"))
    odd.write_bytes((flight / "part 0 ü.tif").read_bytes())
    for _ in range(2):
        states = {record.scene: record.state for record in run(flight, tmp_path / "out")[1]}
        assert states[str(odd)] is State.FAILED and list(states.values()).count(State.FAILED) == 1
    assert "odd \\udcff.tif" in (tmp_path / "out" / "summary.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["summary.csv", "summary.json", "survey.geojson"])
def test_a_summary_that_another_made_is_not_replaced(flight: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputError, match="was not made by this survey"):
        run(flight, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "mine"


def test_a_scene_that_changes_while_it_is_run_is_run_again(flight: Path, tmp_path: Path) -> None:
    class Growing(Failing):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            if not self.batches:
                os.utime(flight / "part 0 ü.tif", ns=(1, 1))
            return super().predict(images)

    run(flight, tmp_path / "out", Growing())
    assert [Path(record.scene).name for record in run(flight, tmp_path / "out")[1]] == ["part 0 ü.tif"]


def test_a_failure_stays_recorded_and_its_old_layer_is_removed(flight: Path, tmp_path: Path) -> None:
    run(flight, tmp_path / "out")
    (flight / "part 0 ü.tif").write_bytes(b"no raster")
    run(flight, tmp_path / "out")
    assert not (tmp_path / "out" / "scenes" / "part 0 ü.geojson").exists()
    with open_survey(SurveyConfig(tmp_path / "out", ".geojson"), CONFIG, LocalRunner(Failing())) as survey:
        jobs = survey.look(find_scenes([str(flight)], None, True, tmp_path / "out"))
        assert [Path(job.scene).name for job in jobs] == ["part 0 ü.tif"]
        assert [record.state for record in survey.records.values()] == [State.FAILED, *[State.DONE] * 3]


def test_what_a_missing_share_held_keeps_its_older_layers(flight: Path, tmp_path: Path) -> None:
    """A list names the scenes, so that they belong to the survey though they are gone."""
    listed, out, said = tmp_path / "scenes.txt", tmp_path / "out", list[str]()
    listed.write_text("".join(f"flight/part {number} ü.tif\n" for number in range(4)), encoding="utf-8")

    def again() -> list[SceneRecord]:
        with open_survey(SurveyConfig(out, ".geojson"), CONFIG, LocalRunner(Failing())) as survey:
            jobs = survey.look(find_scenes([str(listed)], None, True, out))
            records = list(survey.run(jobs, said.append, lambda *_: None))
            survey.finish(said.append)
        return records

    assert len(again()) == 4
    first, (away, back) = files(out), (tmp_path / "away", flight)
    flight.rename(away)
    for _ in range(2):
        assert [record.state for record in again()] == [State.FAILED] * 4 and files(out) == first
    assert any("survey.geojson' stays as it was: files of 4 scenes in it do not exist" in line for line in said)
    assert json.loads((out / "summary.json").read_text())["counts"]["unique"]
    away.rename(back)
    assert len(again()) == 4 and files(out) == first


def test_a_file_that_appears_beside_a_scene_is_a_change(flight: Path, tmp_path: Path) -> None:
    run(flight, tmp_path / "out")
    (flight / "part 1 ü.tfw").write_text("0.5\n0\n0\n-0.5\n500000\n5000000\n")
    assert [Path(record.scene).name for record in run(flight, tmp_path / "out")[1]] == ["part 1 ü.tif"]
    assert run(flight, tmp_path / "out")[1] == []


def test_a_survey_is_the_same_from_any_folder(flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(flight, tmp_path / "out")
    monkeypatch.chdir(flight)
    assert run(Path(), tmp_path / "out")[1] == [] and len(find_scenes([".", str(flight)], None, False, Path())) == 4


def test_a_failure_to_write_leaves_the_older_layer(
    flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    run(flight, tmp_path / "out")
    before = files(tmp_path / "out" / "scenes")
    monkeypatch.setattr("lcageo.vector.objects.write_encoded", full)
    assert {record.state for record in run(flight, tmp_path / "out", force=True)[1]} == {State.FAILED}
    assert files(tmp_path / "out" / "scenes") == before
