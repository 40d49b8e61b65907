from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.scenes import noise, write_scene

from lcageo.cli import progress
from lcageo.cli.console import Console
from lcageo.cli.progress import Bar, SceneBars
from lcageo.inference.scene import Progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_is_on_terminal", lambda: True)


def last(shown: str) -> str:
    """The last state of a bar that was drawn over itself."""
    return shown.rstrip().rpartition("\r")[2]


@pytest.mark.usefixtures("terminal")
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


@pytest.mark.usefixtures("terminal")
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


@pytest.mark.usefixtures("terminal")
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


@pytest.mark.usefixtures("terminal")
def test_one_scene_has_no_bar_of_scenes(capsys: pytest.CaptureFixture[str]) -> None:
    with SceneBars(Console(), 1) as bars:
        bars.update("a.tif", Progress(1, 1, 0))
        with bars.ended():
            pass
    assert "scenes:" not in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_threads_can_report_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with SceneBars(Console(), 4) as bars, ThreadPoolExecutor(4) as threads:

        def run(scene: str) -> None:
            for done in range(101):
                bars.update(scene, Progress(done, 100, 0))

        list(threads.map(run, ["a.tif", "b.tif", "c.tif", "d.tif"]))
    assert re.search(r"tiles: 100%.* 400/400 ", capsys.readouterr().err)


def test_in_a_log_there_is_a_line_a_minute(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Bar(Console(), "checking images", "image") as bar, SceneBars(Console(), 2) as bars:
        for now in (1.0, 59.0, 61.0, 62.0, 122.0):
            bar.at(int(now), 200, "all is well")
            bars.update("b/a.tif", Progress(int(now), 1000, 7))
        with bars.ended():
            print("a.tif is done")
        now = 200.0
        bars.update("c.tif", Progress(1, 4, 0))
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "checking images: 61 of 200 images, all is well",
        "0 of 2 scenes, 61 of 1,000 tiles, a.tif, 7 found",
        "checking images: 122 of 200 images, all is well",
        "0 of 2 scenes, 122 of 1,000 tiles, a.tif, 7 found",
        "1 of 2 scenes, 123 of 1,004 tiles, c.tif, 0 found",
    ]


def test_a_log_holds_no_control_characters_and_an_error_no_empty_bar(tmp_path: Path, untrained: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(100, 100))
    (tmp_path / "bad.tif").write_text("no raster")
    for name, code in (("a.tif", 0), ("bad.tif", 1)):
        command = [sys.executable, "-m", "lcageo", "detect", name, "--model", untrained, "--score", "0.02"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert done.stderr.replace("\n", "").isprintable() and "it/s" not in done.stderr and "tile/s" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
def test_on_a_terminal_there_are_bars_but_none_before_an_error(tmp_path: Path, untrained: Path) -> None:
    import fcntl
    import struct
    import termios

    write_scene(tmp_path / "a.tif", noise(100, 100))
    (tmp_path / "bad.tif").write_text("no raster")
    for name, shown in (("a.tif", True), ("bad.tif", False)):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # rows, columns
        command = [sys.executable, "-m", "lcageo", "detect", name, "--model", untrained, "--score", "0.02"]
        subprocess.run(command, cwd=tmp_path, stderr=theirs, stdout=subprocess.DEVNULL)
        os.close(theirs)
        text = b""
        while part := _read(ours):
            text += part
        os.close(ours)
        assert (b"tiles:" in text) == shown, text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # all was read, and the other end is closed
        return b""
