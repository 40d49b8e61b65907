"""lcageo batch as a user meets it: what is printed and written, exit codes, --watch."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.commands import Run
from support.readers import read_layer
from support.scenes import UTM, noise, write_scene


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
        (["flight", "--format", "xls"], "--format 'xls' is not a known format"),
        (["flight", "--cluster", "local:0"], "does not give the number of workers"),
        (["flight", "--cluster", "somewhere"], "neither an address"),
        (["flight", "--cluster", "local:1", "--max-memory", "4G"], "--max-memory is for one process"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    run: Run, flight: Path, untrained: Path, arguments: list[str], words: str
) -> None:
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
