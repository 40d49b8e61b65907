"""Which lcageo the plugin runs, and the models that it has."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import QgsSettings

from .command import CommandError, find_command, run

SETTING = "LCAGEO_COMMAND"
"""Name of the setting in QGIS's options."""
NOTE = "command.txt"
"""File beside this one with the path of the command that installed the plugin."""
_KNOWN = "lcageo/models"


def lcageo() -> str:
    """Path of the lcageo command.

    Raises:
        CommandError: if it cannot be found.
    """
    note = Path(__file__).with_name(NOTE)
    named = str(ProcessingConfig.getSetting(SETTING) or "").strip()
    return find_command(named, note.read_text(encoding="utf-8").strip() if note.is_file() else "")


def models() -> list[str]:
    """Names of the models that lcageo ships with; none if it cannot be run.

    QGIS asks whenever it opens the toolbox, so the list is kept until the command's file changes.
    """
    try:
        command = lcageo()
    except CommandError:
        return []
    return list(_models_of(command, Path(command).stat().st_mtime_ns))


@lru_cache(maxsize=8)
def _models_of(command: str, changed_at: int) -> tuple[str, ...]:
    known = json.loads(QgsSettings().value(_KNOWN, "null"))
    if isinstance(known, dict) and (known["command"], known["changed_at"]) == (command, changed_at):
        return tuple(known["names"])
    try:
        ended = run([command, "models", "list", "--json"])
        names = tuple(str(model["name"]) for model in json.loads(ended.out))
    except (CommandError, ValueError):
        return ()
    QgsSettings().setValue(_KNOWN, json.dumps({"command": command, "changed_at": changed_at, "names": names}))
    return names
