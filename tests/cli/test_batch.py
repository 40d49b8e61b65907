"""lcageo batch as a user meets it: what is printed and written, exit codes, --watch."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio import Affine
from support.commands import Run
from support.readers import read_layer
from support.scenes import UTM, noise, write_scene

from lcageo.calibration import Calibration, Expected
from lcageo.cli.batch import MAX_HINTS, _table
from lcageo.runtime.catalog import FOLDER_CARD, find_card, write_card
from lcageo.scene.look import appearance_of, look
from lcageo.survey.state import Joined, SceneRecord, State
from lcageo.vector.publish import BUSY_S


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    folder = tmp_path / "flight"
    (folder / "later").mkdir(parents=True)
    write_scene(folder / "a b.tif", noise(300, 300))
    write_scene(folder / "later" / "ç.tif", noise(260, 260, seed=1), transform=UTM @ UTM.translation(200, 0))
    return folder


def test_a_survey_gives_layers_a_joint_one_and_a_summary(
    run: Run, flight: Path, untrained: Path, tmp_path: Path
) -> None:
    command = ("batch", flight, "--out", "out", "--recursive", "--model", untrained, "--score", "0.02", "--quicklooks")
    outcome = run(*command)
    assert outcome.code == 0 and outcome.out.split() == ["out/survey.gpkg", "out/summary.json"]
    for line in ("2 scenes, 0 of them up to date", "a b.tif   done", "ç.tif     done", "all 2"):
        assert line in outcome.err
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    layers = {"scenes/a b.gpkg", "scenes/later/ç.gpkg", "quicklooks/a b.png", "quicklooks/later/ç.png"}
    assert made == {*layers, "survey.gpkg", "summary.csv", "summary.json", ".lcageo-survey"}
    counts = [len(read_layer(tmp_path / "out" / name).rows) for name in ("scenes/a b.gpkg", "scenes/later/ç.gpkg")]
    joint = read_layer(tmp_path / "out" / "survey.gpkg").rows
    assert 0 < len(joint) < sum(counts) and {row["scene"] for row in joint} == {"a b", "later/ç"}
    again = run(*command, "--json")
    assert again.code == 0 and "2 scenes, 2 of them up to date" in again.err
    assert [scene["found"] for scene in json.loads(again.out)] == counts


def test_equal_names_are_told_apart(run: Run, tmp_path: Path, untrained: Path) -> None:
    for place in ("north/1", "south/1", "south/2"):
        (tmp_path / place).mkdir(parents=True)
        write_scene(tmp_path / place / "scene.tif", noise(100, 100), transform=UTM)
    write_scene(tmp_path / "south" / "other.tif", noise(100, 100))
    options = ("--recursive", "--model", untrained, "--score", "0.02", "--backend", "torch", "--device", "cpu")
    outcome = run("batch", "north", "south", "--out", "out", *options)
    assert outcome.code == 0, outcome.err
    names = re.findall(r"^(\S+\.tif) +done", outcome.err, re.MULTILINE)
    assert sorted(names) == ["2/scene.tif", "north/1/scene.tif", "other.tif", "south/1/scene.tif"]


def test_objects_of_overlapping_scenes_count_once_as_unique(
    run: Run, flight: Path, untrained: Path, tmp_path: Path
) -> None:
    options = ("--out", "out", "--recursive", "--model", untrained, "--score", "0.03", "--keep", "0.02")
    first, again = (run("batch", flight, *options) for _ in range(2))
    joint = [row["score"] >= 0.03 for row in read_layer(tmp_path / "out" / "survey.gpkg").rows]
    scenes = [
        row["score"] >= 0.03
        for name in ("scenes/a b.gpkg", "scenes/later/ç.gpkg")
        for row in read_layer(tmp_path / "out" / name).rows
    ]
    unique, found = sum(joint), sum(scenes)
    assert 0 < unique < found < len(scenes)
    for outcome in (first, again):
        table = " ".join(outcome.err.split())
        assert "class in scenes unique" in table and f"all {found:,} {unique:,}" in table
        assert f"and {len(scenes) - found:,} candidates below the thresholds" in table
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    counts = {name: summary["counts"][name] for name in ("in_scenes", "unique", "candidates")}
    assert counts == {"in_scenes": found, "unique": unique, "candidates": len(scenes) - found}
    report = run("report", "out", "-o", "pages")
    assert f"{found:,} objects found in scenes ({unique:,} unique), 2 pages" in report.err


def test_what_to_label_next_is_written_of_every_scene(run: Run, flight: Path, untrained: Path, tmp_path: Path) -> None:
    outcome = run("batch", flight, "--out", "out", "--recursive", "--model", untrained, "--score", "0.02", "--review")
    assert outcome.code == 0, outcome.err
    for name in ("a b", "later/ç"):
        kinds = {row["kind"] for row in read_layer(tmp_path / "out" / "review" / f"{name}.gpkg").rows}
        assert kinds == {"tile", "object"}
        written = read_layer(tmp_path / "out" / "scenes" / f"{name}.gpkg").rows
        assert written and min(row["score"] for row in written) >= 0.02


def test_failed_scenes_are_named_and_give_exit_code_3(run: Run, flight: Path, untrained: Path, tmp_path: Path) -> None:
    (flight / "bad.tif").write_bytes(b"II*\0 nothing")
    options = ("--out", "out", "--model", untrained, "-q", "--format", "csv", "--holes")
    outcome = run("batch", flight, *options)
    assert outcome.code == 3 and "1 of 2 scenes failed:" in outcome.err and "bad.tif: scene" in outcome.err
    assert (tmp_path / "out" / "holes" / "a b.csv").exists()
    assert run("batch", flight / "bad.tif", *options).code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["."], "no scenes found in ."),
        (["empty.txt"], "list 'empty.txt' names no raster; write the path of one on each line"),
        (["flight", "--format", "xls"], "--format 'xls' is not a known format"),
        (["flight", "--cluster", "local:0"], "does not give the number of workers"),
        (["flight", "--cluster", "somewhere"], "neither an address"),
        (["flight", "--cluster", "local:1", "--max-memory", "4G"], "--max-memory is for one process"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    run: Run, flight: Path, untrained: Path, arguments: list[str], words: str
) -> None:
    Path("empty.txt").write_text("# no raster\n\n")
    outcome = run("batch", *arguments, "--out", "out", "--model", untrained)
    assert outcome.code == 2 and words in outcome.err


def wait_for(what: Path, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 300
    while not what.exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.1)


def test_watch_processes_new_scenes_once_they_are_complete(flight: Path, untrained: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", flight / "later" / "ç.tif"
    (flight / "a b.tif").touch()  # not yet complete when the watch starts
    command = [sys.executable, "-m", "lcageo", "batch", str(flight), "--out", str(out), "--model", str(untrained)]
    process = subprocess.Popen([*command, "--watch"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(out / "survey.gpkg", process)
    content = whole.read_bytes()
    with (flight / "new.tif").open("wb") as growing:  # as a copy over a slow line
        for part in range(0, len(content), len(content) // 8):
            growing.write(content[part : part + len(content) // 8])
            growing.flush()
            time.sleep(0.4)
    wait_for(out / "scenes" / "new.gpkg", process)
    process.send_signal(signal.SIGINT)
    printed, messages = process.communicate(timeout=180)
    assert process.returncode == 0, messages
    assert "survey.gpkg" in printed and "failed" not in messages and "all 2" in messages
    states = json.loads((out / "summary.json").read_text())["scenes"]
    assert states == {"done": 2, "holes": 0, "failed": 0, "waiting": 0}


def test_watch_waits_for_a_program_that_shows_the_joint_layer(flight: Path, untrained: Path, tmp_path: Path) -> None:
    """As QGIS does, which keeps a GeoPackage open in WAL mode."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lcageo", "batch", str(flight), "--out", str(out), "--model", str(untrained)]
    subprocess.run(command, check=True, capture_output=True)
    with closing(sqlite3.connect(out / "survey.gpkg")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM gpkg_contents").fetchall()
        write_scene(flight / "new.tif", noise(60, 60, seed=9), crs=None)
        process = subprocess.Popen([*command, "--watch"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for(out / "scenes" / "new.gpkg", process)
        time.sleep(BUSY_S + 2)
        process.send_signal(signal.SIGINT)
        printed, messages = process.communicate(timeout=180)
    assert process.returncode == 2, messages
    assert messages.count("the joint layer is not up to date: ") == 1 and "open in another program" in messages
    assert "summary.json" in printed and "all 2" in messages
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "has no CRS and is not part of the joint layer" in outcome.stderr


def test_a_table_is_printed_while_the_disk_of_a_class_is_away() -> None:
    """The joint layer has objects of it then, of which the scenes' records know nothing."""
    joined = Joined("", {"ship": 3}, {"ship": Expected(3, 2.0, 1.0, 3.0)})
    text = _table([SceneRecord("a.tif", State.FAILED, error="away")], joined)
    assert "failed" in text and "ship" not in text


def test_killed_at_any_moment_it_resumes(flight: Path, untrained: Path, tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        options = [
            "--recursive",
            "--format",
            "geojson",
            "--model",
            str(untrained),
            "--score",
            "0.02",
            "--overlap",
            "75%",
        ]
        where = ["--model", str(untrained), "--out", str(out)]
        return [sys.executable, "-m", "lcageo", "batch", str(flight), *where, *options]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "out"), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(tmp_path / "out" / "scenes" / ".a b.geojson.lcageo-journal", process)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command(tmp_path / "out"), check=True, capture_output=True)
    for name in ("scenes/a b.geojson", "scenes/later/ç.geojson", "survey.geojson"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "out").rglob("*journal*"))
    shutil.rmtree(tmp_path / "whole")


def test_why_few_objects_were_found_is_told_of_some_scenes_and_stored_of_all(
    run: Run, untrained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "coarse"
    folder.mkdir()
    for number in range(MAX_HINTS + 2):
        place = Affine(5, 0, 5e5 + 1000 * number, 0, -5, 5.8e6)
        write_scene(folder / f"{number}.tif", noise(40, 40, seed=number), transform=place)
    options = ("--model", untrained, "--score", "0.99", "--gsd", "native", "--backend", "torch", "--device", "cpu")
    first, again = (run("batch", folder, "--out", "out", *options, "--json") for _ in range(2))
    outside = "100% of the scene is outside the model's range of 0.1 to 2 m per pixel, with up to 5 m there"
    for outcome in (first, again):
        assert outcome.code == 0, outcome.err
        told = [line for line in outcome.err.splitlines() if line.startswith("hint: ")]
        assert told[:-1] == [f"hint: {number}.tif: {outside}" for number in range(MAX_HINTS)]
        assert told[-1] == "hint: 2 more scenes with few objects; summary.csv has all hints"
        scenes = json.loads(outcome.out)
        assert [scene["hints"] for scene in scenes] == [[outside]] * (MAX_HINTS + 2)
        assert {scene["distance_from_training"] for scene in scenes} == {None}, "the card does not know how they looked"
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        assert [row["hints"] for row in csv.DictReader(file)] == [outside] * (MAX_HINTS + 2)


def test_nothing_is_promised_of_a_scene_unlike_the_training_images(run: Run, untrained: Path, tmp_path: Path) -> None:
    folder, model = tmp_path / "flight", tmp_path / "model"
    shutil.copytree(untrained, model)
    card, rng = find_card(str(model)), np.random.default_rng(0)
    seen = [look(noise(64, 64, seed=seed) // 2 + int(rng.integers(80)), (0, 0, 0)) for seed in range(200)]
    even = dict.fromkeys(card.classes, Calibration(1.0, 1.0, 0.0, 0.0))
    write_card(replace(card, appearance=appearance_of(np.stack(seen)), calibration=even), model / FOLDER_CARD)
    folder.mkdir()
    pixels = noise(128, 128, seed=7) // 2 + 40
    write_scene(folder / "alike.tif", pixels)
    write_scene(folder / "grey.tif", pixels[[0, 0, 0]], transform=UTM @ UTM.translation(5000, 0))
    options = ("--model", model, "--score", "0.02", "--backend", "torch", "--device", "cpu")
    outcome = run("batch", folder, "--out", "out", *options, "--json")
    assert outcome.code == 0, outcome.err
    alike, grey = json.loads(outcome.out)
    assert alike["distance_from_training"] < 1 < grey["distance_from_training"]
    assert re.search(r"^warning: unlike the images .* are 1 of 2 scenes: grey\.tif\. How many", outcome.err, re.M)
    counts = json.loads((tmp_path / "out" / "summary.json").read_text())["counts"]["per_class"]
    for name, count in alike["per_class"].items():
        right = counts[name]["probably_right"]
        assert right["found"] == count and counts[name]["unique"] == count + grey["per_class"].get(name, 0)
        if name in grey["per_class"]:
            assert re.search(rf"^{name} .* of {count:,}$", outcome.err, re.MULTILINE)
    assert set(alike["per_class"]) & set(grey["per_class"])
