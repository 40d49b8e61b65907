"""The plugin in a profile, and as the zip that QGIS's plugin manager takes."""

from __future__ import annotations

import configparser
import zipfile
from pathlib import Path

import pytest

from lcageo.errors import OutputError, UsageError
from lcageo.qgis.installation import FOLDER, NOTE, PLUGIN, default_profiles, install_plugin, package_plugin
from lcageo.version import __version__

REQUIRED = {
    "name", "qgisMinimumVersion", "description", "about", "version", "author", "email", "repository", "tracker",
    "hasProcessingProvider", "icon",
}  # fmt: skip
"""What QGIS's cookbook requires of metadata.txt, and what makes a provider be loaded by qgis_process."""


def test_an_installed_plugin_is_complete_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    old = tmp_path / "python" / "plugins" / FOLDER / "gone.py"
    old.parent.mkdir(parents=True)
    old.write_text("")
    (folder,) = install_plugin([tmp_path], Path("/opt/env/bin/lcageo"))
    assert folder == old.parent and not old.exists()
    assert (folder / NOTE).read_text() == "/opt/env/bin/lcageo\n"
    assert {path.name for path in folder.iterdir()} == {NOTE} | {
        path.name for path in PLUGIN.iterdir() if path.is_file()
    }


def test_a_link_in_place_of_the_plugin_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    link = tmp_path / "python" / "plugins" / FOLDER
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "work")
    with pytest.raises(OutputError, match=rf"{FOLDER}' is a link to '.*work'; remove it to install a copy"):
        install_plugin([tmp_path], None)
    assert link.is_symlink() and not list((tmp_path / "work").iterdir())


def test_the_zip_has_one_folder_with_complete_metadata(tmp_path: Path) -> None:
    package_plugin(tmp_path / "plugin.zip")
    with zipfile.ZipFile(tmp_path / "plugin.zip") as archive:
        names = archive.namelist()
        metadata = configparser.ConfigParser()
        metadata.read_string(archive.read(f"{FOLDER}/metadata.txt").decode())
    assert {name.split("/")[0] for name in names} == {FOLDER} and f"{FOLDER}/{NOTE}" not in names
    general = metadata["general"]
    assert {key for key in REQUIRED if general[key]} == REQUIRED
    assert general["version"] == __version__ and general["qgisMinimumVersion"] == "3.22"
    assert f"{FOLDER}/{general['icon']}" in names and f"{FOLDER}/__init__.py" in names
    with pytest.raises(UsageError, match="--overwrite"):
        package_plugin(tmp_path / "plugin.zip")
    package_plugin(tmp_path / "plugin.zip", overwrite=True)


def test_the_profiles_that_qgis_opens_are_found(tmp_path: Path) -> None:
    assert default_profiles(tmp_path) == []
    for version, name in (("QGIS3", "default"), ("QGIS4", "survey team")):
        (tmp_path / version / "profiles" / name).mkdir(parents=True)
    (tmp_path / "QGIS4" / "profiles" / "profiles.ini").write_text("[core]\ndefaultProfile=survey team\n")
    assert [path.relative_to(tmp_path).as_posix() for path in default_profiles(tmp_path)] == [
        "QGIS3/profiles/default",
        "QGIS4/profiles/survey team",
    ]


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder; QGIS shows it in Settings"):
        install_plugin([tmp_path / "missing"], None)
    (tmp_path / "python").write_text("a file")
    with pytest.raises(OutputError, match="the plugin cannot be written to"):
        install_plugin([tmp_path], None)
