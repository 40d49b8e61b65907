"""Messages on standard error, as verbose as the user asked for, and data on standard output."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcageo.errors import OutputError, PartialResultError, SceneError
from lcageo.plural import plural

if TYPE_CHECKING:
    from lcageo.runtime.catalog import ModelCard


class ProgressFormat(StrEnum):
    """How a command shows its progress and its messages on standard error."""

    BAR = "bar"
    JSON = "json"


_format = ProgressFormat.BAR
"""Of the whole process, since there is one standard error, and errors are shown where no command is known."""


def show_progress_as(chosen: ProgressFormat) -> ProgressFormat:
    """From now on, shows progress and messages in this format."""
    global _format
    _format = chosen
    return chosen


def shows_json() -> bool:
    """Whether progress and messages are JSON objects, a line each."""
    return _format is ProgressFormat.JSON


def event(kind: str, **fields: str | float | None) -> None:
    """Shows one JSON object on a line of its own."""
    print(json.dumps({"event": kind, **fields}), file=sys.stderr, flush=True)  # noqa: T201


def _message(kind: str, line: str, prefix: str = "") -> None:
    if shows_json():
        event(kind, text=line)
    else:
        print(f"{prefix}{line}", file=sys.stderr)  # noqa: T201  # the only module that prints


def open_streams() -> None:
    """Connects standard streams that are closed, as under pythonw or in a service, to the null device.

    Otherwise, the next file to be opened would get the number of a closed stream, and what libraries print in it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # as long as we run
    if os.name == "nt" and isinstance(sys.stdout, io.TextIOWrapper):  # a file or pipe may not take all letters of names
        sys.stdout.reconfigure(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Console:
    """Messages on standard error; standard output carries only data."""

    quiet: bool = False
    verbose: bool = False

    def note(self, line: str) -> None:
        """Shows an ordinary message."""
        if not self.quiet:
            _message("message", line)

    def detail(self, line: str) -> None:
        """Shows a message only with -v."""
        if self.verbose:
            self.note(line)

    def restriction(self, card: ModelCard) -> None:
        """Shows what a model's weights may be used for: the first time on this machine, and always with -v."""
        from lcageo.runtime.restriction import restriction_notice

        if not self.quiet and (line := restriction_notice(card, always=self.verbose)):
            self.note(line)

    def warn(self, line: str) -> None:
        """Shows a warning, even with -q."""
        _message("warning", _without_password(line), "warning: ")


def error(line: str) -> None:
    """Shows the error of a command that failed."""
    _message("error", _without_password(line), "error: ")


def trace(text: str) -> None:
    """Shows the traceback of an error, for --debug."""
    print(_without_password(text), file=sys.stderr)  # noqa: T201


def stopped(line: str) -> None:
    """Shows the last message of a command that the user stopped."""
    _message("stopped", line)


def data(text: str) -> None:
    """Prints to standard output: a path, a table that was asked for, JSON.

    Raises:
        OutputError: if it cannot be written, as on a full disk.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError as error:
        # Otherwise Python tries again at its end, and complains.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # until the process ends
        raise OutputError(f"standard output cannot be written: {error.strerror}; free space there") from error


SCHEMA_VERSION = 1
"""Version of all schemas of JSON output, in examples/schemas: raised when an entry goes or changes its meaning."""


def json_data(name: str, content: Any) -> None:
    """Prints JSON to standard output, with the name and version of its schema in each object.

    Args:
        name: of the schema, a file of examples/schemas without its suffix.
        content: an object, or a list of objects, JSON-ready.
    """
    schema = {"schema": f"lcageo/{name}/{SCHEMA_VERSION}"}
    stamped = [schema | entry for entry in content] if isinstance(content, list) else schema | content
    data(json.dumps(stamped, indent=1))


def _without_password(text: str) -> str:
    """The text without a database's password, which an argument quoted in a message may contain."""
    from lcageo.vector.database_table import without_password

    return without_password(text)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned text; the first column left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def raise_incomplete(scenes: int, failed: Sequence[str], partly: Sequence[str]) -> None:
    """Raises the error that a run over scenes ends with, if some failed or have parts that could not be read.

    Args:
        scenes: number of all scenes.
        failed: a line for each scene that failed.
        partly: a line for each scene with missing parts.

    Raises:
        SceneError: if all failed.
        PartialResultError: if some failed, or parts are missing.
    """
    if failed and len(failed) == scenes:
        raise SceneError("\n  ".join(["no scene succeeded:", *failed]))
    what = [f"{len(failed):,} of {plural(scenes, 'scene')} failed"] if failed else []
    if partly:
        some = f"of {plural(len(partly), 'scene')} " if scenes > 1 else ""
        what.append(f"parts {some}are missing from the result")
    if what:
        raise PartialResultError("\n  ".join([" and ".join(what) + ":", *failed, *partly]))
