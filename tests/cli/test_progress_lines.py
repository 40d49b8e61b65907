"""`--progress json`: every line of standard error is a JSON object that programs can rely on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import Run
from support.scenes import noise, write_scene

from lcageo.cli import console
from lcageo.cli.console import Console, ProgressFormat
from lcageo.cli.progress import Bar, ProgressLines, SceneBars
from lcageo.inference.scene import Progress

FIELDS = {
    "progress": {"event", "phase", "done", "total", "found", "seconds_left", "text"},
    **{event: {"event", "text"} for event in ("message", "warning", "error", "stopped")},
}
"""What the guide promises of each event."""


@pytest.fixture(autouse=True)
def _bars_again() -> Iterator[None]:
    yield
    console.show_progress_as(ProgressFormat.BAR)


@pytest.fixture
def as_json() -> None:
    console.show_progress_as(ProgressFormat.JSON)


def events(shown: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [json.loads(line) for line in shown.splitlines()]
    for one in found:
        assert one.keys() == FIELDS[one["event"]]
    return found


def progress(shown: str) -> list[dict[str, Any]]:
    return [one for one in events(shown) if one["event"] == "progress"]


@pytest.mark.usefixtures("as_json")
def test_the_first_and_the_last_state_are_shown_and_few_between(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines("tiles")
    for done in range(1001):
        lines.at(done, 1000, found=done)
    shown = progress(capsys.readouterr().err)
    assert (shown[0]["done"], shown[-1]["done"], shown[-1]["seconds_left"]) == (0, 1000, 0)
    assert shown[0]["seconds_left"] is None and len(shown) < 20


@pytest.mark.usefixtures("as_json")
def test_the_time_left_is_that_of_the_mean_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ProgressLines("training")
    for second, done in ((0, 40), (10, 60), (20, 80)):
        monkeypatch.setattr(time, "monotonic", lambda second=second: float(second))
        lines.at(done, 100)
    assert [one["seconds_left"] for one in progress(capsys.readouterr().err)] == [None, 20, 10]


@pytest.mark.usefixtures("as_json")
def test_bars_become_lines_with_messages_between(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(Console(), "chips", "tile") as bar:
        bar.at(1, 2, "first")
        bar.warn("postgresql://me:secret@host/db is slow")
        bar.at(2, 2)
    shown = events(capsys.readouterr().err)
    assert [one["event"] for one in shown] == ["progress", "warning", "progress"]
    assert shown[0] | {"seconds_left": 0} == {
        "event": "progress", "phase": "chips", "done": 1, "total": 2, "found": None, "seconds_left": 0, "text": "first",
    }  # fmt: skip
    assert "slow" in shown[1]["text"] and "secret" not in shown[1]["text"]


@pytest.mark.usefixtures("as_json")
def test_scenes_that_wait_count_like_those_that_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcageo.cli.progress.INTERVAL_S", 0.0)
    with SceneBars(Console(), 3) as bars:
        for scene, total in (("a.tif", 4), ("b.tif", 8)):
            bars.update(scene, Progress(total, total, found=total))
            with bars.ended():
                pass
        with bars.ended():  # it could not be opened
            pass
        bars.update("b.tif", Progress(8, 8, found=8))
    shown = progress(capsys.readouterr().err)
    assert [(one["done"], one["total"], one["found"]) for one in shown] == [(4, 12, 4), (12, 18, 12), (12, 12, 12)]


@pytest.mark.usefixtures("as_json")
def test_quiet_leaves_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    say = Console(quiet=True)
    with Bar(say, "chips", "tile") as bar, SceneBars(say, 1) as bars:
        bar.at(1, 2)
        bar.note("a note")
        bars.update("a.tif", Progress(1, 2, 0))
        bars.warn("a warning")
    assert events(capsys.readouterr().err) == [{"event": "warning", "text": "a warning"}]


def test_detect_shows_nothing_else_on_standard_error(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(400, 400))
    outcome = run("detect", "scene.tif", "-o", "a.gpkg", "--model", untrained, "--score", 0.02, "--progress", "json")
    assert outcome.code == 0 and outcome.out == "a.gpkg\n"
    shown = progress(outcome.err)
    assert {one["phase"] for one in shown} == {"tiles"} and shown[-1]["done"] == shown[-1]["total"] == 9
    assert shown[-1]["found"] > 0 and any("9 tiles run" in one["text"] for one in events(outcome.err))


def test_errors_are_objects_too(run: Run, untrained: Path) -> None:
    outcome = run("detect", "missing.tif", "--model", untrained, "--progress=json")
    assert outcome.code == 1
    (error,) = [one for one in events(outcome.err) if one["event"] == "error"]
    assert "'missing.tif'" in error["text"]


def test_an_unknown_format_is_refused(run: Run) -> None:
    outcome = run("detect", "scene.tif", "--progress", "xml")
    assert outcome.code == 2 and "'bar', 'json'" in outcome.err
