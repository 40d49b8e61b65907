"""QGIS with the plugin installed, in a home of its own: Debian's `qgis_process` and Python."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from lcageo.qgis.installation import install_plugin

# Debian's wrapper passes an option that qgis_process 3.22 does not know.
PROGRAM = shutil.which("qgis_process.bin") or shutil.which("qgis_process")

ARGUMENTS, RESULT = "LCAGEO_WINDOW_ARGUMENTS", "LCAGEO_WINDOW_RESULT"
"""Variables that `qgis_window.py` reads: a job's arguments, as JSON, and the file that it writes."""


@dataclass(frozen=True)
class Ended:
    """How a run of qgis_process ended."""

    code: int
    text: str
    results: dict[str, str]
    """Outputs by name."""


@dataclass(frozen=True)
class Qgis:
    """An installation of QGIS with a home of its own."""

    home: Path
    command: Path
    """The lcageo command that the plugin runs."""

    @property
    def profile(self) -> Path:
        """The profile in which the plugin is."""
        return self.home / "profiles" / "default"

    def environment(self) -> dict[str, str]:
        """Variables of a process of QGIS, without those of this Python."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GDAL", "PROJ"))}
        home = {name: str(self.home) for name in ("HOME", "QGIS_CUSTOM_CONFIG_PATH", "XDG_RUNTIME_DIR")}
        return kept | home | {"QT_QPA_PLATFORM": "offscreen", "LC_ALL": "C.UTF-8"}

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs qgis_process."""
        assert PROGRAM is not None
        return subprocess.run([PROGRAM, *arguments], env=self.environment(), capture_output=True, text=True)

    def run(self, algorithm: str, **parameters: object) -> Ended:
        """Runs an algorithm of the plugin."""
        done = self.process("run", f"lcageo:{algorithm}", *(f"--{name}={value}" for name, value in parameters.items()))
        return _ended(done.returncode, done.stdout, done.stderr)

    def interrupted(self, after: Path, algorithm: str, **parameters: object) -> Ended:
        """Runs an algorithm as a terminal does and presses Ctrl-C once a file is there."""
        assert PROGRAM is not None
        named = [f"--{name}={value}" for name, value in parameters.items()]
        with subprocess.Popen(
            [PROGRAM, "run", f"lcageo:{algorithm}", *named],
            env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            while not after.exists() and process.poll() is None:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate()
        return _ended(process.returncode, out, err)

    def probe(self, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs a script of this folder in QGIS's Python; the plugin and Processing can be imported there."""
        path = os.pathsep.join([str(self.profile / "python" / "plugins"), "/usr/share/qgis/python/plugins"])
        return subprocess.run(
            ["/usr/bin/python3", str(Path(__file__).with_name(script)), *map(str, arguments)],
            env=self.environment() | {"PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip

    def window(self, job: str, out: Path, *arguments: object) -> dict[str, Any]:
        """Runs a job of this folder in QGIS's window, on a screen of its own; returns what it has seen.

        Args:
            job: file that calls `qgis_window.perform`.
            out: empty folder for its result, and for a picture of the screen if it fails.
            arguments: of the job.
        """
        if shutil.which("Xvfb") is None or shutil.which("qgis") is None:
            pytest.skip("SKIPPED FOR LACK OF A TOOL: Xvfb is not installed (Debian package xvfb)")
        path = os.pathsep.join([str(Path(__file__).parent), "/usr/share/qgis/python/plugins"])
        result = out / "seen.json"
        with _screen() as display:
            done = subprocess.run(
                ["qgis", "--nologo", "--noversioncheck", "--code", str(Path(__file__).with_name(job))],
                env=self.environment()
                | {
                    "DISPLAY": display,
                    "QT_QPA_PLATFORM": "xcb",
                    "PYTHONPATH": path,
                    ARGUMENTS: json.dumps([str(one) for one in arguments]),
                    RESULT: str(result),
                },
                capture_output=True,
                text=True,
            )
        assert result.exists(), f"QGIS ended with {done.returncode}: {done.stderr[-2000:]}"
        seen: dict[str, Any] = json.loads(result.read_text())
        assert "failed" not in seen, f"{seen['failed']}\nsee {result.with_suffix('.png')}"
        return seen


@contextmanager
def _screen() -> Iterator[str]:
    """A screen that nobody looks at; yields its name."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def _ended(code: int, out: str, err: str) -> Ended:
    _, _, results = out.partition("Results\n----------------\n")
    pairs = (line.split(":\t", 1) for line in results.splitlines() if ":\t" in line)
    return Ended(code, f"{out}\n{err}", {pair[0]: pair[1] for pair in pairs})


def installed(home: Path) -> Qgis:
    """A home of QGIS with the plugin, which runs this checkout's lcageo; skips where there is no QGIS."""
    if PROGRAM is None or not Path("/usr/share/qgis/python/plugins/processing").is_dir():
        pytest.skip("SKIPPED FOR LACK OF A TOOL: QGIS is not installed (Debian package qgis)")
    command = home / "lcageo"
    home.chmod(0o700)
    command.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} OMP_NUM_THREADS=1 exec {sys.executable} -m lcageo "$@"\n')
    command.chmod(0o755)
    qgis = Qgis(home, command)
    qgis.profile.mkdir(parents=True)
    install_plugin([qgis.profile], command)
    enabled = qgis.process("plugins", "enable", "lcageo_qgis")
    assert enabled.returncode == 0 and "Enabled lcageo_qgis" in enabled.stdout, enabled.stderr
    return qgis
