"""lcageo chips: scenes and labels in, chips and COCO files to train on out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, detect_options, options
from lcageo.cli.progress import Bar
from lcageo.config import ChipConfig
from lcageo.errors import PartialResultError

if TYPE_CHECKING:
    from lcageo.chips.chips import ChipSummary

DEFAULTS = ChipConfig()
IMGSZ_STEP = 32
"""Of what training takes as --imgsz."""


def chips(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help=options.SCENE_HELP)],
    labels: Annotated[
        Path, typer.Option("--labels", metavar="FILE", help="Polygons or points of the objects: any format, any CRS.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the chips; made if it is missing.")
    ],
    class_field: Annotated[
        str | None,
        typer.Option(
            "--class-field", metavar="NAME", help="Attribute with the classes. Default: class, label, name or category."
        ),
    ] = DEFAULTS.class_field,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="The class of all labels, where no attribute has it.")
    ] = DEFAULTS.class_name,
    point_size: Annotated[
        float | None,
        typer.Option("--point-size", metavar="METRES", help="Side of the box around a label that is a point."),
    ] = DEFAULTS.point_size_m,
    aoi: Annotated[
        Path | None,
        typer.Option("--aoi", metavar="FILE", help="Polygons inside which all is labelled. Default: the scenes."),
    ] = DEFAULTS.aoi,
    size: Annotated[
        int, typer.Option("--size", metavar="PX", help="Side of a chip; train with the same --imgsz.")
    ] = DEFAULTS.size,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="PX|%", help="Overlap of chips, as 128 or 25%.")
    ] = DEFAULTS.overlap,
    gsd: Annotated[
        float | None,
        typer.Option("--gsd", metavar="M", help="Metres per pixel to resample to. Default: the scenes' own."),
    ] = DEFAULTS.gsd_m,
    min_visible: Annotated[
        float,
        typer.Option("--min-visible", metavar="SHARE", help="Objects of which a chip shows less are ignored in it."),
    ] = DEFAULTS.min_visible,
    negatives: Annotated[
        float, typer.Option("--negatives", metavar="SHARE", help="About how many of the chips show no object, at most.")
    ] = DEFAULTS.negatives,
    val: Annotated[
        float, typer.Option("--val", metavar="SHARE", help="About how many of the labels validate; 0: none.")
    ] = DEFAULTS.val,
    block: Annotated[
        float | None,
        typer.Option(
            "--block",
            metavar="METRES",
            help="Side of the blocks of ground that train or validate. Default: four chips, less if labels lie closer.",
        ),
    ] = DEFAULTS.block_m,
    seed: Annotated[int, typer.Option("--seed", help="Another one splits otherwise.")] = DEFAULTS.seed,
    bands: detect_options.Bands = "",
    stretch: detect_options.Stretch = DEFAULTS.stretch,
    edge_nodata: detect_options.Edge = DEFAULTS.edge_nodata,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Cuts labelled chips from scenes, split by blocks of ground: what `lcageo train` takes as it is.

    Nothing that train shows is seen in val: a chip on the border of both is cut in two, the other side blanked.

    Example: lcageo chips scene.tif --labels labels.gpkg --class-field type -o chips/
    """
    say = console.Console(quiet)
    config = ChipConfig(
        class_field=class_field,
        class_name=class_name,
        point_size_m=point_size,
        size=size,
        overlap=overlap,
        gsd_m=gsd,
        min_visible=min_visible,
        negatives=negatives,
        val=val,
        block_m=block,
        bands=options.parse_bands(bands),
        stretch=stretch,
        edge_nodata=edge_nodata,
        aoi=aoi,
        seed=seed,
    )
    from lcageo.chips.chips import make_chips  # after the options are known to be good

    with Bar(say, "chips", "tile") as bar:
        report = make_chips(scenes, labels, out, config, overwrite, bar.warn, bar.at)
    _tell(report, say)
    say.note(_next(report, out, size))
    if as_json:
        console.data(json.dumps(_as_json(report), indent=1))
    else:
        for path in report.outputs:
            console.data(str(path))
    if report.unreadable:
        raise PartialResultError(
            f"{len(report.unreadable):,} tiles could not be read; the first: {report.unreadable[0]}"
        )


def _tell(report: ChipSummary, say: console.Console) -> None:
    rows = [("", "train", "val")]
    for title, counts in (("chips", report.chips), ("of them without objects", report.negatives)):
        rows.append((title, f"{counts['train']:,}", f"{counts['val']:,}"))
    for name, count in report.labels["train"].items():
        rows.append((f"labels of {name}", f"{count:,}", f"{report.labels['val'][name]:,}"))
    say.note(console.table(rows))
    say.note(f"split by blocks of {report.block_m:,.4g} m")


def _next(report: ChipSummary, out: Path, size: int) -> str:
    """The training that suits the chips: as large as they are. It takes their resolution from the files."""
    sides = " ".join(f"--{option} {out / f'{side}.json'}" for option, side in (("data", "train"), ("val", "val")))
    sides = sides if report.chips["val"] else sides.partition(" --val")[0]
    side = -(-size // IMGSZ_STEP) * IMGSZ_STEP
    return f"to train on them: lcageo train {sides} --from MODEL --imgsz {side} --out FOLDER"


def _as_json(report: ChipSummary) -> dict[str, Any]:
    return {**asdict(report), "outputs": [str(path) for path in report.outputs]}
