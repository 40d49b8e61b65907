"""lcageo chips: cuts training chips from scenes and labels, with COCO files."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.chips.config import ChipConfig
from lcageo.cli import console, detect_options, options
from lcageo.cli.progress import Bar
from lcageo.errors import PartialResultError
from lcageo.paths import expanded
from lcageo.plural import plural

if TYPE_CHECKING:
    from lcageo.chips.chips import ChipSummary

# Groups of --help.
LABELS, CHIPS, SPLIT = "Labels", "Chips", "Split into train and val"
DEFAULTS = ChipConfig()
IMGSZ_STEP, LEAST_IMGSZ = 32, 64
"""Training takes multiples of the first as --imgsz, from the second on."""
MINUTES, LONGEST_MINUTES = ((50, 10), (500, 30)), 60
"""Number of chips up to which so many minutes of training are proposed."""


def chips(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help=options.SCENE_HELP)],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar=options.LAYER,
            help=f"Layer of labels, polygons or points, in any vector format and CRS. {options.LAYER_HELP}",
            rich_help_panel=LABELS,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Output folder, created if missing.", rich_help_panel=options.RESULT
        ),
    ],
    class_field: options.ClassField = DEFAULTS.class_field,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="Class of all labels, if no attribute holds it.", rich_help_panel=LABELS
        ),
    ] = DEFAULTS.class_name,
    point_size: Annotated[
        float | None,
        typer.Option(
            "--point-size", metavar="METRES", help="Side of the box drawn around a point label.", rich_help_panel=LABELS
        ),
    ] = DEFAULTS.point_size_m,
    aoi: Annotated[
        Path | None,
        typer.Option(
            "--aoi",
            metavar=options.LAYER,
            help="Polygons of the completely labelled area.",
            show_default="the whole scenes",
            rich_help_panel=LABELS,
        ),
    ] = DEFAULTS.aoi,
    review: Annotated[
        Path | None,
        typer.Option(
            "--review",
            metavar="FILE",
            help="Review layer of detect with verdicts, which correct the objects of the same run in --labels.",
            rich_help_panel=LABELS,
        ),
    ] = DEFAULTS.review,
    size: Annotated[
        int,
        typer.Option(
            "--size", metavar="PX", help="Side of a chip; train with the same --imgsz.", rich_help_panel=CHIPS
        ),
    ] = DEFAULTS.size,
    overlap: Annotated[
        str,
        typer.Option("--overlap", metavar="PX|%", help="Overlap of chips, such as 128 or 25%.", rich_help_panel=CHIPS),
    ] = DEFAULTS.overlap,
    gsd: Annotated[
        float | None,
        typer.Option(
            "--gsd",
            metavar="M",
            help="Metres per pixel to resample to.",
            show_default="the scenes' own",
            rich_help_panel=CHIPS,
        ),
    ] = DEFAULTS.gsd_m,
    min_visible: Annotated[
        float,
        typer.Option(
            "--min-visible",
            metavar="SHARE",
            help="Ignore objects of which a chip shows less than this.",
            rich_help_panel=CHIPS,
        ),
    ] = DEFAULTS.min_visible,
    negatives: Annotated[
        float,
        typer.Option(
            "--negatives",
            metavar="SHARE",
            help="Maximum share of chips without objects, approximately.",
            rich_help_panel=SPLIT,
        ),
    ] = DEFAULTS.negatives,
    val: Annotated[
        float,
        typer.Option(
            "--val",
            metavar="SHARE",
            help="Share of the labels used for validation, approximately; 0: none.",
            rich_help_panel=SPLIT,
        ),
    ] = DEFAULTS.val,
    block: Annotated[
        float | None,
        typer.Option(
            "--block",
            metavar="METRES",
            help="Side of the ground blocks that the split is made of. Default: four chips, less for dense labels.",
            rich_help_panel=SPLIT,
        ),
    ] = DEFAULTS.block_m,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of the split.", rich_help_panel=SPLIT)
    ] = DEFAULTS.seed,
    bands: detect_options.Bands = "",
    stretch: detect_options.Stretch = DEFAULTS.stretch,
    edge_nodata: detect_options.Edge = DEFAULTS.edge_nodata,
    crs: detect_options.Crs = DEFAULTS.crs,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Cuts labelled chips from scenes, split by blocks of ground into train and val, ready for `lcageo train`.

    Train and val share no ground: a chip across their border is written to both, each time with the other side blanked.

    Examples:

    - `lcageo chips scene.tif --labels labels.gpkg --class-field type -o chips`
    - `lcageo chips scene.tif other.tif --labels labels.gpkg --class hut -o huts --size 320`
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
        crs=crs,
        aoi=aoi,
        review=review,
        seed=seed,
    )
    from lcageo.chips.chips import make_chips  # slow to import: after the options have been checked

    with Bar(say, "chips", "tile") as bar:
        summary = make_chips(expanded(scenes), labels, out, config, overwrite, bar.warn, bar.at)
    _print_summary(summary, say)
    if as_json:
        console.json_data("chips", _as_json(summary))
    else:
        for path in summary.outputs:
            console.data(str(path))
    say.note(f"to train on them:\n{_training_command(summary, out, size)}")
    if summary.unreadable:
        raise PartialResultError(
            f"{plural(len(summary.unreadable), 'tile')} could not be read; the first: {summary.unreadable[0]}"
        )


def _print_summary(summary: ChipSummary, say: console.Console) -> None:
    rows = [("", "train", "val")]
    for title, counts in (("chips", summary.chips), ("of them without objects", summary.negatives)):
        rows.append((title, f"{counts['train']:,}", f"{counts['val']:,}"))
    for name, count in summary.labels["train"].items():
        rows.append((f"labels of {name}", f"{count:,}", f"{summary.labels['val'][name]:,}"))
    say.note(console.table(rows))
    say.note(f"split by blocks of {summary.block_m:,.4g} m")


def _training_command(summary: ChipSummary, out: Path, size: int) -> str:
    """The command that trains on the chips: their classes, resolution and size, and about as long as they are worth."""
    from lcageo.config import DEFAULT_MODEL
    from lcageo.training.data import NEAR_GSD

    sides = ["--data", out / "train.json", *(["--val", out / "val.json"] if summary.chips["val"] else [])]
    chips = summary.chips["train"]
    minutes = next((length for most, length in MINUTES if chips <= most), LONGEST_MINUTES)
    imgsz = max(LEAST_IMGSZ, -(-size // IMGSZ_STEP) * IMGSZ_STEP)
    finest, coarsest = (gsd * size / imgsz for gsd in summary.gsd_m)
    names = list(summary.labels["train"])
    classes = [] if any("," in name for name in names) else ["--classes", ",".join(names)]  # by default, all
    gsd = f"{finest * (1 - NEAR_GSD):.3g},{coarsest * (1 + NEAR_GSD):.3g}"
    parts = (
        *("lcageo", "train", *sides, "--from", DEFAULT_MODEL, *classes),
        *("--gsd", gsd, "--imgsz", imgsz, "--minutes", minutes, "--out", f"{out}-model"),
    )
    return shlex.join(map(str, parts))


def _as_json(summary: ChipSummary) -> dict[str, Any]:
    return {**asdict(summary), "outputs": [str(path) for path in summary.outputs]}
