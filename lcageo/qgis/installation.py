"""Puts the plugin into profiles of QGIS, or into the zip that its plugin manager takes."""

from __future__ import annotations

import configparser
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs

from lcageo.errors import OutputError, UsageError
from lcageo.vector.publish import Publication, check_output
from lcageo.version import __version__

PLUGIN = Path(__file__).with_name("plugin")
FOLDER = "lcageo_qgis"
"""Name of the plugin's folder: QGIS imports it by this name, which must not be that of the package `lcageo`."""
NOTE = "command.txt"
"""File in an installed plugin with the path of our command; `plugin/environment.py` reads it."""
VERSIONS = ("QGIS3", "QGIS4")
"""Folders of profiles, one for each major version of QGIS."""


def default_profiles(folder: Path | None = None) -> list[Path]:
    """The profile that each installed major version of QGIS opens, as its `profiles.ini` says.

    Args:
        folder: where QGIS keeps its profiles; None: its place on this system.

    Source:
        QGIS's user manual, "Working with User Profiles".
    """
    base = folder or Path(platformdirs.user_data_dir("QGIS", appauthor=False, roaming=True))
    found = []
    for profiles in (base / version / "profiles" for version in VERSIONS):
        settings = configparser.ConfigParser(strict=False, interpolation=None)
        settings.read(profiles / "profiles.ini", encoding="utf-8")
        profile = profiles / settings.get("core", "defaultProfile", fallback="default")
        if profile.is_dir():
            found.append(profile)
    return found


def install_plugin(profiles: Sequence[Path], command: Path | None) -> list[Path]:
    """Copies the plugin into profiles, in place of an earlier version; returns its folders.

    Args:
        profiles: folders of profiles.
        command: path of the lcageo command that the plugin shall run unless the user names another.

    Raises:
        UsageError: if a folder does not exist.
        OutputError: if the plugin cannot be written, or its folder is a link, as for work on the plugin.
    """
    installed = []
    for profile in profiles:
        if not profile.is_dir():
            raise UsageError(f"profile '{profile}' is not a folder; QGIS shows it in Settings, User Profiles")
        target = profile / "python" / "plugins" / FOLDER
        if target.is_symlink():
            raise OutputError(
                f"'{target}' is a link to '{target.readlink()}'; remove it to install a copy in its place"
            )
        try:
            if target.exists():
                shutil.rmtree(target)
            for name, content in _files():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(content)
            if command is not None:
                (target / NOTE).write_text(f"{command}\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"the plugin cannot be written to '{target}': {error.strerror}") from error
        installed.append(target)
    return installed


def package_plugin(output: Path, overwrite: bool = False) -> None:
    """Writes the zip for QGIS's plugin manager (Install from ZIP) and for plugin repositories.

    Raises:
        UsageError: if it exists and may not be replaced.
        OutputError: if it cannot be written.
    """
    check_output(output, [output], overwrite)
    with Publication() as publication:
        try:
            with zipfile.ZipFile(publication.draft(output), "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in _files():
                    archive.writestr(f"{FOLDER}/{name}", content)
        except OSError as error:
            raise OutputError(f"'{output}' cannot be written: {error.strerror}") from error
        publication.publish()


def this_command() -> Path | None:
    """Path of the lcageo command of the environment that runs this; None if it has none."""
    names = ("lcageo.exe", "lcageo") if sys.platform == "win32" else ("lcageo",)
    places = (Path(sys.executable).parent / name for name in names)  # pip puts it beside Python
    return next((place.absolute() for place in places if place.is_file()), None)


def _files() -> Iterator[tuple[str, bytes]]:
    """The plugin's files by their names in its folder; the metadata has our version."""
    for path in sorted(PLUGIN.iterdir()):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "metadata.txt":
                content = content.replace(b"version=VERSION", f"version={__version__}".encode())
            yield path.name, content
