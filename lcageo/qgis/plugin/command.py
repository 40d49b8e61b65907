"""Finds and runs the `lcageo` command of another Python environment. Needs no QGIS."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERRUPTED, PARTLY = 130, 3
"""Exit codes of lcageo: stopped by the user, to be resumed; finished with parts missing."""
PATIENCE_S = 60.0
"""Time for a stopped command to finish its batch of tiles and to keep what it has, before it is ended for good."""
_POLL_S = 0.1
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA")
"""Variables by which QGIS points to its own Python, GDAL and PROJ; those of the other environment are others."""


class CommandError(Exception):
    """The command cannot be found or run; the message says how to mend that."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    """Its standard output."""


def find_command(named: str, noted: str = "") -> str:
    """Path of the lcageo command.

    Args:
        named: what the user named, the command or the folder of its environment; empty: nothing.
        noted: the command that installed the plugin; empty: it is not known.

    Raises:
        CommandError: if it is not there.
    """
    if named:
        found = next((path for path in _places(Path(named).expanduser()) if path.is_file()), None)
        if found is None:
            raise CommandError(
                f"'{named}' is neither the lcageo command nor the folder of an environment with it; name one in "
                "Settings, Options, Processing, Providers, lcageo"
            )
        return str(found)
    on_path = noted if noted and Path(noted).is_file() else shutil.which("lcageo")
    if on_path is None:
        raise CommandError(
            "the lcageo command is not on the PATH; install it with 'pip install lcageo', and name it or the folder of "
            "its environment in Settings, Options, Processing, Providers, lcageo"
        )
    return on_path


def _places(named: Path) -> list[Path]:
    """Where the command is if `named` is the command or an environment, on any system."""
    return [named, named / "bin" / "lcageo", named / "Scripts" / "lcageo.exe", named / "lcageo", named / "lcageo.exe"]


def command_line(command: Sequence[str]) -> str:
    """The command as text to paste into a terminal."""
    if os.name == "nt":
        return subprocess.list2cmdline(command)
    import shlex

    return shlex.join(command)


def further_options(text: str) -> list[str]:
    """Options as they are written in a terminal; on Windows a backslash is one, as in paths.

    Raises:
        CommandError: if a quote is not closed.
    """
    import shlex

    words = shlex.shlex(text, posix=True, punctuation_chars=False)
    words.whitespace_split, words.commenters = True, ""
    if os.name == "nt":
        words.escape = ""
    try:
        return list(words)
    except ValueError as error:
        raise CommandError(f"the further options '{text}' have a quote that is not closed; close it") from error


def run(
    command: Sequence[str],
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Ended:
    """Runs an lcageo command to its end, and stops it as Ctrl-C does once it is cancelled.

    Args:
        command: program and arguments, with `--progress json` for events.
        on_event: receives the JSON objects of its standard error; other lines arrive as messages.
        is_cancelled: asked ten times a second.

    Raises:
        CommandError: if it cannot be started.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # of Windows
        )
    except OSError as error:
        raise CommandError(f"'{command[0]}' cannot be run: {error.strerror}") from error
    out: list[str] = []
    lines: queue.Queue[str | None] = queue.Queue()
    readers = [
        threading.Thread(target=_read_lines, args=(process.stderr, lines), daemon=True),
        threading.Thread(target=_read_all, args=(process.stdout, out), daemon=True),
    ]
    with process:
        for reader in readers:
            reader.start()
        try:
            _watch(process, lines, on_event, is_cancelled)
        except BaseException:
            process.kill()  # nobody listens any more
            raise
        finally:
            for reader in readers:
                reader.join()
    return Ended(process.returncode, "".join(out))


def _environment() -> dict[str, str]:
    """The environment of the command, in UTF-8 and without what belongs to QGIS."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**kept, "PYTHONUTF8": "1"}


def _read_all(stream: Any, out: list[str]) -> None:
    out.append(stream.read())


def _read_lines(stream: Any, lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _watch(
    process: subprocess.Popen[str],
    lines: queue.Queue[str | None],
    on_event: Callable[[dict[str, Any]], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Hands on the lines of a process until there are no more, and stops it when asked."""
    stopped_at: float | None = None
    while True:
        if stopped_at is None and is_cancelled():
            stopped_at = time.monotonic()
            _stop(process)
        if stopped_at is not None and time.monotonic() - stopped_at > PATIENCE_S:
            process.kill()
        try:
            line = lines.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if line is None:
            return
        on_event(_event(line))


def _stop(process: subprocess.Popen[str]) -> None:
    """Ctrl-C. Windows has none for a process without a window; what lcageo has finished is on disk there, too."""
    if os.name == "nt":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


def _event(line: str) -> dict[str, Any]:
    """The object in a line; a line of something else, such as of a library, is a message."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) and "event" in event else {"event": "message", "text": line.rstrip()}
