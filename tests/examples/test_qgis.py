"""The guide to QGIS: its commands and pictures exist."""

from __future__ import annotations

import re
import shlex

import typer.main
from conftest import REPOSITORY

from lcageo.cli.app import app

GUIDE = REPOSITORY / "examples" / "qgis.md"


def test_its_commands_and_options_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [line[len("$ lcageo ") :] for line in GUIDE.read_text().splitlines() if line.startswith("$ lcageo ")]
    assert len(lines) == 2
    for line in lines:
        name, *words = shlex.split(line)
        command = commands[name]
        command = command.commands[words[0]] if hasattr(command, "commands") else command
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_its_pictures_and_pages_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text())
    assert len([link for link in links if "qgis_" in link]) == 3
    for link in links:
        assert (GUIDE.parent / link).is_file(), link


def test_it_names_the_commands_that_report_progress_as_json() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    having = {
        name
        for name, command in commands.items()
        if any("--progress" in parameter.opts for parameter in command.params)
    }
    (sentence,) = re.findall(r"^(`detect`, .*?) take `--progress json`", GUIDE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", sentence)) == having
