"""The `lcageo` command itself: help, version, completion, and errors as one line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Run
from support.scenes import noise, write_scene

from lcageo.errors import InterruptedRunError


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(300, 400))


def test_version_and_help(run: Run) -> None:
    from lcageo import __version__

    assert run("--version").out == f"lcageo {__version__}\n"
    for command in (["detect"], ["info"], ["models"], ["models", "list"], ["data", "check"], ["train"]):
        for option in ("-h", "--help"):
            outcome = run(*command, option)
            assert outcome.code == 0 and "Usage: lcageo" in outcome.out


def test_options_are_in_groups_with_their_defaults(run: Run) -> None:
    lines = [line.strip(" │╰╯") for line in run("detect", "-h").out.splitlines()]
    groups = [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]
    assert groups == [
        "Arguments", "Options", "Result", "Model", "Speed and memory", "Objects", "Reading the scene", "Area",
        "Interruption and failure", "Messages",
    ]  # fmt: skip
    text = " ".join(" ".join(lines).split())
    assert "[default: (the model's, else 0.6)]" in text and "[default: (lca-s)]" in text and "--bbox,--bounds" in text


def test_help_does_not_import_what_is_slow() -> None:
    code = "import sys, lcageo.cli.app; print(*{'torch', 'rasterio', 'geopandas', 'numpy', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_shell_completion_completes_commands_and_options() -> None:
    environment = {"_LCAGEO_COMPLETE": "complete_bash", "COMP_WORDS": "lcageo detect --max", "COMP_CWORD": "2"}
    done = subprocess.run(
        [Path(sys.executable).parent / "lcageo"], env=environment, capture_output=True, text=True, check=True
    )
    assert "--max-per-tile" in done.stdout


def test_debug_shows_the_traceback(run: Run) -> None:
    outcome = run("detect", "missing.tif", "--model", "nonsense", "--debug")
    assert outcome.code == 1 and "Traceback" in outcome.err


def test_an_unexpected_error_is_still_one_line(
    run: Run, scene: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lcageo.inference import run as files

    monkeypatch.setattr(files, "detect_planned", lambda *arguments: 1 / 0)
    outcome = run("detect", scene, "--model", untrained, "-q")
    assert outcome.code == 1 and "unexpected ZeroDivisionError" in outcome.err
    monkeypatch.setattr(files, "detect_planned", lambda *arguments: np.empty(2**50))
    assert "out of memory" in run("detect", scene, "--model", untrained, "-q").err


def test_a_signal_is_postponed_while_python_holds_locks_of_its_imports() -> None:
    from lcageo.cli import app

    space: dict[str, Any] = {}
    source = "import sys\ndef importing(handle):\n    handle(2, sys._getframe())"
    exec(compile(source, "<frozen importlib._bootstrap>", "exec"), space)
    heard = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        space["importing"](app._interrupt)  # raises nothing
        until = time.monotonic() + 60
        while not heard and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    with pytest.raises(InterruptedRunError, match="stopped by SIGINT"):
        app._interrupt(signal.SIGINT, sys._getframe())
