from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from lcageo.cli.console import Console
from lcageo.cli.progress import Bar, SceneBars
from lcageo.inference.scene import Progress


def last(shown: str) -> str:
    """The last state of a bar that was drawn over itself."""
    return shown.rstrip().rpartition("\r")[2]


def test_a_bar_counts_to_its_total_with_messages_between(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(Console(), "checking images", "image") as bar:
        assert capsys.readouterr().err == ""  # nothing before the first update
        for done in range(1, 5):
            bar.at(done, 4, f"image {done}")
        bar.note("half of them are empty")
        bar.warn("one is damaged")
    captured = capsys.readouterr()
    assert "checking images: 100%" in last(captured.err) and "4/4" in last(captured.err)
    assert "half of them are empty\n" in captured.err and "warning: one is damaged\n" in captured.err
    assert captured.out == ""


def test_a_quiet_bar_shows_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    say = Console(quiet=True)
    with Bar(say, "tiles", "tile") as bar, SceneBars(say, 2) as bars:
        bar.at(1, 2)
        bar.note("a note")
        bar.warn("a warning")
        bars.update("a.tif", Progress(3, 8, 0, resumed=2))
        bars.warn("another one")
        with bars.ended():
            pass
    assert capsys.readouterr().err.splitlines() == ["warning: a warning", "warning: another one"]


def test_tiles_of_all_scenes_are_counted_without_those_of_an_earlier_run(capsys: pytest.CaptureFixture[str]) -> None:
    with SceneBars(Console(), 2) as bars:
        for scene, total, resumed in (("b/a.tif", 8, 2), ("c.tif", 4, 0)):
            for done in range(resumed, total + 1):
                bars.update(scene, Progress(done, total, found=done * 10, resumed=resumed))
            with bars.ended():
                print(f"{scene} is done")
    captured = capsys.readouterr()
    assert captured.err.count("b/a.tif: resumes after 2 of 8 tiles") == 1 and "c.tif: resumes" not in captured.err
    assert re.search(r"tiles: 100%.* 10/10 .*c\.tif, 40 found", captured.err)
    assert re.search(r"scenes: 100%.* 2/2 ", captured.err)
    assert captured.out == "b/a.tif is done\nc.tif is done\n"


def test_one_scene_has_no_bar_of_scenes(capsys: pytest.CaptureFixture[str]) -> None:
    with SceneBars(Console(), 1) as bars:
        bars.update("a.tif", Progress(1, 1, 0))
        with bars.ended():
            pass
    assert "scenes:" not in capsys.readouterr().err


def test_threads_can_report_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with SceneBars(Console(), 4) as bars, ThreadPoolExecutor(4) as threads:

        def run(scene: str) -> None:
            for done in range(101):
                bars.update(scene, Progress(done, 100, 0))

        list(threads.map(run, ["a.tif", "b.tif", "c.tif", "d.tif"]))
    assert re.search(r"tiles: 100%.* 400/400 ", capsys.readouterr().err)
