"""lcageo qgis: puts lcageo into QGIS's Processing toolbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.errors import UsageError

qgis = typer.Typer(
    no_args_is_help=True, help="Puts lcageo into QGIS's Processing toolbox.", rich_markup_mode="markdown"
)


@qgis.command("install")
def install(
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of a QGIS profile (Settings, User Profiles, Open Active Profile Folder). Default: the profile "
            "that QGIS opens.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Copies the plugin into a QGIS profile, where it runs the lcageo of this environment.

    Examples:

    - `lcageo qgis install --profile profile`
    """
    from lcageo.qgis.installation import FOLDER, default_profiles, install_plugin, this_command

    profiles = default_profiles() if profile is None else [profile]
    if not profiles:
        raise UsageError("no profile of QGIS was found; start QGIS once, or name a profile's folder with --profile")
    command = this_command()
    installed = install_plugin(profiles, command)
    say = console.Console()
    if command is None:
        say.warn("this environment has no lcageo command; name one in QGIS's options (Processing, Providers, lcageo)")
    say.note(
        "Switch it on in QGIS: Plugins, Manage and Install Plugins, Installed, lcageo. Without a window: "
        f"qgis_process plugins enable {FOLDER}"
    )
    for folder in installed:
        console.data(str(folder))


@qgis.command("package")
def package(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="ZIP", help="File to write.")] = Path(
        "lcageo_qgis.zip"
    ),
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Writes the plugin as a zip file for QGIS's plugin manager (Install from ZIP).

    Examples:

    - `lcageo qgis package -o lcageo_qgis.zip`
    """
    from lcageo.qgis.installation import package_plugin

    package_plugin(output, overwrite)
    console.data(str(output))
