"""`lcageo qgis` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import Run


def test_install_copies_the_plugin_and_says_how_to_switch_it_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    outcome = run("qgis", "install", "--profile", tmp_path / "profile")
    assert outcome.code == 0 and "Manage and Install Plugins" in outcome.err
    assert (Path(outcome.out.strip()) / "metadata.txt").is_file()


def test_install_without_a_profile_names_the_option(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    outcome = run("qgis", "install")
    assert outcome.code == 2 and "--profile" in outcome.err


def test_package_writes_a_zip(run: Run, tmp_path: Path) -> None:
    outcome = run("qgis", "package")
    assert outcome.code == 0 and outcome.out == "lcageo_qgis.zip\n" and (tmp_path / "lcageo_qgis.zip").is_file()
    outcome = run("qgis", "package")
    assert outcome.code == 2 and "use --overwrite" in outcome.err
