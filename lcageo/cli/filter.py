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
        typer.Option("--score", help="Minimum score, 0 to 1. Default: the thresholds that the layer was made with."),
    ] = None,
    per_class: Annotated[
        str, typer.Option("--per-class", metavar="NAME=SCORE,...", help="Minimum score of single classes.")
    ] = "",
    classes: Annotated[str, typer.Option("--classes", metavar="NAME,...", help="Classes to keep. Default: all.")] = "",
    class_field: options.ClassField = None,
    min_area: Annotated[
        float | None, typer.Option("--min-area", metavar="M2", help="Minimum area in square metres.")
    ] = None,
    aoi: Annotated[
        Path | None,
        typer.Option("--aoi", metavar=options.LAYER, help="Polygon layer; keep objects whose centre is inside it."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", help="Keep the N objects with the highest scores.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="CRS", help="CRS to reproject to, such as EPSG:4326.")
    ] = None,
    append: options.Append = False,
    overwrite: options.Overwrite = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Selects objects from the layer IN and writes them to OUT, in any format and CRS. Does not run the model.

    With `detect --keep 0.05` first, you can try thresholds in seconds.

    Example: lcageo filter found.gpkg ships.geojson --classes ship --score 0.4 --min-area 20
    """
    say = console.Console(quiet)
    limits = _limits(per_class)
    from lcageo.selection.criteria import Criteria  # slow to import: after the options have been checked
    from lcageo.selection.filter import filter_layer
    from lcageo.vector.target import parse_output

    output = parse_output(target)
    criteria = Criteria(score, limits, options.split_names(classes), min_area, aoi, top)
    counts = filter_layer(source, output, criteria, to, overwrite, append, class_field)
    for line in counts.warnings:
        say.warn(line)
    rows = [("class", "read", "kept")]
    rows += [(name, f"{count:,}", f"{counts.kept.get(name, 0):,}") for name, count in sorted(counts.read.items())]
    rows.append(("all", f"{sum(counts.read.values()):,}", f"{sum(counts.kept.values()):,}"))
    say.note(console.table(rows))
    console.data(str(output))


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
