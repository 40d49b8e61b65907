"""lcageo filter: selects objects from a layer, without running the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.errors import UsageError
from lcageo.vector.formats import FORMATS_HELP


def filter_(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help=f"Layer of objects, in any format, of any program. {options.LAYER_HELP}"),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help=f"File to write, format by suffix ({FORMATS_HELP}), or table: {options.TABLE_HELP}",
        ),
    ],
    score: Annotated[
        float | None,
        typer.Option(
            "--score",
            help="Minimum score, 0 to 1.",
            show_default="the thresholds that the layer was made with",
            rich_help_panel=options.OBJECTS,
        ),
    ] = None,
    per_class: Annotated[
        str,
        typer.Option(
            "--per-class",
            metavar="NAME=SCORE,...",
            help="Minimum score of single classes.",
            rich_help_panel=options.OBJECTS,
        ),
    ] = "",
    classes: Annotated[
        str,
        typer.Option(
            "--classes",
            metavar="NAME,...",
            help="Classes to keep.",
            show_default="all",
            rich_help_panel=options.OBJECTS,
        ),
    ] = "",
    class_field: options.ClassField = None,
    min_area: Annotated[
        float | None,
        typer.Option(
            "--min-area", metavar="M2", help="Minimum area in square metres.", rich_help_panel=options.OBJECTS
        ),
    ] = None,
    aoi: Annotated[
        Path | None,
        typer.Option(
            "--aoi",
            metavar=options.LAYER,
            help="Polygon layer, in any CRS; keep objects whose centre is inside it.",
            rich_help_panel=options.AREA,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            help="Keep the N objects with the highest scores.",
            rich_help_panel=options.OBJECTS,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="CRS",
            help="CRS to reproject to, such as EPSG:4326.",
            show_default="the layer's own",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    append: options.Append = False,
    overwrite: options.Overwrite = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Selects objects from the layer IN and writes them to OUT, in any format and CRS. Does not run the model.

    With `detect --keep 0.05` first, you can try thresholds in seconds.

    Examples:

    - `lcageo filter found.gpkg ships.geojson --classes ship --score 0.4 --min-area 20`
    - `lcageo filter found.gpkg best.csv --top 100 --to EPSG:4326`
    """
    say = console.Console(quiet)
    limits = _limits(per_class)
    from lcageo.selection.criteria import Criteria  # slow to import: after the options have been checked
    from lcageo.selection.filter import filter_layer
    from lcageo.vector.target import FileTarget, parse_output

    output = parse_output(target)
    criteria = Criteria(score, limits, options.split_names(classes), min_area, aoi, top)
    counts = filter_layer(source, output, criteria, to, overwrite, append, class_field)
    for line in counts.warnings:
        say.warn(line)
    rows = [("class", "read", "kept")]
    rows += [(name, f"{count:,}", f"{counts.kept.get(name, 0):,}") for name, count in sorted(counts.read.items())]
    rows.append(("all", f"{sum(counts.read.values()):,}", f"{sum(counts.kept.values()):,}"))
    say.note(console.table(rows))
    console.data(str(FileTarget.of(output) if isinstance(output, Path) else output))  # its suffix in small letters


def _limits(text: str) -> dict[str, float]:
    """'airplane=0.5,ship=0.3' -> {'airplane': 0.5, 'ship': 0.3}."""
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, score = part.rpartition("=")
        try:
            limits[name.strip()] = float(score)
        except ValueError:
            limits[""] = 0.0
        if "" in limits:
            raise UsageError(f"--per-class '{part}' is not a class and a score such as ship=0.3")
    return limits
