"""lcageo report: what was found, as a page to look at in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.cli.progress import Bar
from lcageo.config import PAGE_SIDE
from lcageo.errors import PartialResultError, UsageError


def report(
    source: Annotated[
        str, typer.Argument(metavar="SCENE|DIR", help="A scene, or the folder of a survey (batch --out DIR).")
    ],
    layer: Annotated[
        Path | None,
        typer.Argument(metavar="LAYER", help="With a scene: what was found in it, any format, any CRS."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PAGE.html|DIR", help="The page of a scene, or the folder of a survey's pages."
        ),
    ] = None,
    holes: Annotated[
        Path | None, typer.Option("--holes", metavar="FILE", help="Layer that detect --holes wrote; to be shown, too.")
    ] = None,
    side: Annotated[
        int, typer.Option("--side", metavar="PIXELS", help="Longer side of a picture; more shows more and takes more.")
    ] = PAGE_SIDE,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Writes a page to look through what was found: picture and boxes to zoom into, classes, scores, a list to click.

    A page is one file that works without a network. For a survey it is a folder: index.html with a map of the scenes,
    and a page for each.

    Example: lcageo report scene.tif scene.gpkg -o scene.html
    """
    say = console.Console(quiet)
    if output is None:
        raise UsageError("-o is missing; give the page to write, as -o report.html, or a folder for a survey")
    if layer is None and Path(source).is_dir():
        _survey(Path(source), output, holes, side, overwrite, say)
        return
    if layer is None:
        raise UsageError(f"'{source}' is no folder of a survey; for a scene, give the layer that detect wrote as well")
    from lcageo.report.scene import report_scene

    page = report_scene(source, layer, output, holes, side, overwrite)
    for line in page.warnings:
        say.warn(line)
    say.note(f"{page.objects:,} objects, {len(page.counts):,} classes, {output.stat().st_size / 1e6:.1f} MB")
    console.data(str(output))


def _survey(folder: Path, output: Path, holes: Path | None, side: int, overwrite: bool, say: console.Console) -> None:
    if holes is not None:
        raise UsageError("--holes is for a scene; those of a survey are found in its folder")
    from lcageo.report.survey import INDEX, report_survey

    with Bar(say, "pages", "page") as bar:
        result = report_survey(folder, output, side, overwrite, bar.at, bar.warn)
    say.note(f"{result.objects:,} objects, {result.pages:,} pages")
    console.data(str(output / INDEX))
    if result.missing:
        raise PartialResultError("\n  ".join(["some scenes have no page:", *result.missing]))
