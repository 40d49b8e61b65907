"""Finding and running the command, without QGIS: the module is plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.scenes import noise, write_scene

from lcageo.qgis.plugin import command
from lcageo.qgis.plugin.command import CommandError, Ended, command_line, find_command, further_options, run


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_command_is_what_was_named_else_what_was_noted_else_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, noted, on_path = (program(tmp_path / name / "bin" / "lcageo") for name in ("named", "noted", "path"))
    monkeypatch.setenv("PATH", str(on_path.parent))
    for name in (named, tmp_path / "named", named.parent):  # the command, its environment, the folder that it is in
        assert find_command(str(name), str(noted)) == str(named)
    assert find_command("", str(noted)) == str(noted)
    assert find_command("", str(tmp_path / "gone")) == str(on_path)


def test_a_command_that_is_not_there_is_told_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"pip install lcageo.*Settings, Options, Processing"):
        find_command("")
    with pytest.raises(CommandError, match="is neither the lcageo command nor the folder of an environment"):
        find_command(str(tmp_path / "missing"))
    with pytest.raises(CommandError, match="cannot be run: No such file"):
        run([str(tmp_path / "missing")])


def script(text: str) -> tuple[Ended, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    return run([sys.executable, "-c", text], events.append), events


def test_events_and_other_lines_arrive_in_order_and_the_output_complete() -> None:
    ended, events = script(
        "import sys\n"
        'for line in (\'{"event": "warning", "text": "ä"}\', \'not JSON\', \'[1]\'): print(line, file=sys.stderr)\n'
        "print('x' * 1_000_000); print('y' * 1_000_000, file=sys.stderr); sys.exit(3)"
    )
    assert (ended.code, ended.out.strip()) == (3, "x" * 1_000_000)  # more than a pipe holds
    assert [event["event"] for event in events] == ["warning", *["message"] * 3]
    assert [event["text"] for event in events[:3]] == ["ä", "not JSON", "[1]"]


def test_variables_of_qgis_do_not_reach_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJ_LIB", "/usr/share/qgis/proj")
    monkeypatch.setenv("LCAGEO_CACHE", "/somewhere")
    ended, _ = script("import os; print(os.environ.get('PROJ_LIB'), os.environ['LCAGEO_CACHE'])")
    assert ended.out == "None /somewhere\n"


def test_a_line_of_the_log_can_be_pasted(tmp_path: Path) -> None:
    line = command_line([sys.executable, "-c", "import sys; print(sys.argv[1:])", "it's a $HOME", "a b"])
    assert subprocess.run(line, shell=True, capture_output=True, text=True).stdout == "[\"it's a $HOME\", 'a b']\n"


def test_a_command_that_ignores_ctrl_c_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_S", 1.0)
    text = "import signal, time; signal.signal(2, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    started = time.monotonic()
    assert run([sys.executable, "-c", text], is_cancelled=lambda: time.monotonic() - started > 1.0).code == -9


def test_a_listener_that_fails_ends_the_command() -> None:
    def fail(event: dict[str, Any]) -> None:
        raise ValueError(event["text"])

    started = time.monotonic()
    with pytest.raises(ValueError, match="first"):
        run(
            [sys.executable, "-c", "import sys, time; print('first', file=sys.stderr, flush=True); time.sleep(60)"],
            fail,
        )
    assert time.monotonic() - started < 30


def test_a_run_that_was_cancelled_can_be_resumed(tmp_path: Path, untrained: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(1500, 1500))
    detect = [
        sys.executable, "-m", "lcageo", "detect", str(tmp_path / "scene.tif"), "-o", str(tmp_path / "found.gpkg"),
        "--model", str(untrained), "--score", "0.03", "--progress", "json", "--batch", "1", "--backend", "torch",
    ]  # fmt: skip
    events: list[dict[str, Any]] = []

    def is_under_way() -> bool:
        return any(event["event"] == "progress" and event["done"] >= 2 for event in events)

    # Not `run`, which takes PYTHONPATH from the command: an editable installation or the tests' own path is needed.
    command_of_tests = ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", *detect]
    ended = run(command_of_tests, events.append, is_under_way)
    assert ended.code == command.INTERRUPTED, events
    assert events[-1]["event"] in ("stopped", "error") and not (tmp_path / "found.gpkg").exists()
    events.clear()
    ended = run(command_of_tests, events.append)
    assert ended.code == 0 and any("resumes after" in event.get("text", "") for event in events)


def test_further_options_are_those_of_a_terminal() -> None:
    assert further_options("--score 0.3 --holes 'my file.gpkg'") == ["--score", "0.3", "--holes", "my file.gpkg"]
    with pytest.raises(CommandError, match=r"have a quote that is not closed; close it"):
        further_options("--holes 'my file.gpkg")
    assert further_options("--out 'a b' # c") == ["--out", "a b", "#", "c"]


def test_backslashes_are_those_of_paths_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    text = r"""--holes '\\nas\my share\h.gpkg' --review "C:\my files\r.gpkg" -o C:\a.gpkg"""
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        options = further_options(text)
    assert options == ["--holes", r"\\nas\my share\h.gpkg", "--review", r"C:\my files\r.gpkg", "-o", r"C:\a.gpkg"]
