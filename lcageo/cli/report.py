"""lcageo report: writes the objects found as a page for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, detect_options, options
from lcageo.cli.progress import Bar
from lcageo.config import PAGE_SIDE
from lcageo.errors import PartialResultError, UsageError
from lcageo.plural import plural


def report(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SCENE|DIR", help="Scene, or folder of a survey (batch --out DIR).")],
    layer: Annotated[
        Path | None,
        typer.Argument(
            metavar="LAYER",
            help="With a scene: layer of the objects in it, in any format and CRS, of any program. "
            f"{options.LAYER_HELP}",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PAGE.html|DIR",
            help="Page to write for a scene, or folder for a survey.",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    class_field: options.ClassField = None,
    holes: Annotated[
        Path | None,
        typer.Option(
            "--holes",
            metavar="FILE",
            help="Layer written by detect --holes, to show on the page.",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    side: Annotated[
        int,
        typer.Option(
            "--side",
            metavar="PIXELS",
            help="Longer side of the picture; larger shows more detail, in a larger file.",
            rich_help_panel=options.RESULT,
        ),
    ] = PAGE_SIDE,
    crs: detect_options.Crs = None,
    overwrite: options.Overwrite = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Writes an HTML page to review objects: a picture with boxes to zoom into, classes, scores, a list.

    A page is one file that works offline. For a survey it is a folder: index.html with a map of the scenes, and a page
    for each scene.

    Examples:

    - `lcageo report scene.tif found.gpkg -o report.html`
    - `lcageo report results -o pages`
    """
    say = console.Console(quiet)
    if output is None:
        raise UsageError("-o is missing; give the page to write, such as -o report.html, or a folder for a survey")
    if layer is None and Path(source).is_dir():
        options.refuse_given(context, {"class_field", "crs"}, "is only for a scene")
        _survey(Path(source), output, holes, side, overwrite, say)
        return
    if layer is None:
        raise UsageError(
            f"'{source}' is not the folder of a survey; for a scene, also give the layer that detect wrote"
        )
    from lcageo.report.scene import report_scene

    page = report_scene(source, layer, output, holes, side, overwrite, class_field, crs)
    for line in page.warnings:
        say.warn(line)
    found = f"{plural(page.objects - page.candidates, 'object')} found"
    candidates = f", {plural(page.candidates, 'candidate')}" if page.candidates else ""
    say.note(f"{found}{candidates}, {plural(len(page.counts), 'class')}, {output.stat().st_size / 1e6:.1f} MB")
    console.data(str(output))


def _survey(folder: Path, output: Path, holes: Path | None, side: int, overwrite: bool, say: console.Console) -> None:
    if holes is not None:
        raise UsageError("--holes is only for a scene; leave it out: those of a survey are found in its folder")
    from lcageo.report.survey import INDEX, report_survey

    with Bar(say, "pages", "page") as bar:
        result = report_survey(folder, output, side, overwrite, bar.at, bar.warn)
    unique = "" if result.unique is None else f" ({result.unique:,} unique)"
    say.note(f"{plural(result.objects, 'object')} found in scenes{unique}, {plural(result.pages, 'page')}")
    console.data(str(output / INDEX))
    if result.missing:
        raise PartialResultError("\n  ".join(["some scenes have no page:", *result.missing]))
