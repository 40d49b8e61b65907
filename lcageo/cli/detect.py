"""lcageo detect: finds objects in scenes and writes them as map features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import DETECT, ONNX, RUNNER, with_options
from lcageo.cli.progress import SceneBars
from lcageo.config import DetectConfig, RunnerConfig
from lcageo.network_config import OnnxConfig
from lcageo.paths import expanded
from lcageo.plural import plural
from lcageo.vector.formats import FORMATS_HELP

if TYPE_CHECKING:
    from lcageo.inference.run import JobOutcome
    from lcageo.inference.runner import LocalRunner


@with_options(RUNNER, ONNX, DETECT)
def detect(
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE", help=options.SCENE_HELP)],
    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|FOLDER|TABLE",
            help=f"Output file, format by suffix ({FORMATS_HELP}), folder, or {options.TABLE_HELP}. May be repeated.",
            show_default="NAME.geojson in the current folder",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    *,
    runner: RunnerConfig,
    about: OnnxConfig,
    config: DetectConfig,
    quicklook: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Also write an overview of the scene with its boxes (file or folder).",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    holes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a layer of the areas that could not be read (file or folder).",
            rich_help_panel=options.FAILURE,
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a layer of uncertain objects to label next, least certain first (file or folder).",
            rich_help_panel=options.RESULT,
        ),
    ] = None,
    restart: options.Restart = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only show the number of tiles and the estimated time and memory.",
            rich_help_panel=options.SPEED,
        ),
    ] = False,
    append: options.Append = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Finds objects in SCENE and writes them as map features.

    If a run is interrupted, run the same command again to resume.

    Examples:

    - `lcageo detect scene.tif`
    - `lcageo detect scene.tif -o ships.gpkg --classes ship --score 0.4`
    - `lcageo detect scene.tif --aoi port.gpkg -o port.geojson --quicklook port.png`
    """
    say = console.Console(quiet, verbose)
    runner, config = replace(runner, about=about), replace(config, review=review is not None)
    from lcageo.inference.factory import (
        local_runner,
        open_runner,
    )  # slow to import: after the options have been checked
    from lcageo.inference.jobs import plan_jobs
    from lcageo.inference.run import run_jobs
    from lcageo.inference.scene import Run
    from lcageo.journal.journal import Earlier
    from lcageo.vector.target import parse_output

    outputs = [parse_output(text) for text in output or []]
    scenes = expanded(scenes)
    jobs = plan_jobs(scenes, outputs, quicklook, overwrite, dry_run, holes, review, append, config.aoi)
    if dry_run:
        _preview(scenes, local_runner(runner, config, say), config, as_json, say)
        return
    outcomes = []
    with open_runner(runner, config, say, deferred=True) as tile_runner, SceneBars(say, len(jobs)) as bars:
        run = Run(tile_runner, config, bars.warn, bars.update, Earlier.NONE if restart else Earlier.SAME)
        for outcome in run_jobs(jobs, run):
            outcomes.append(outcome)
            with bars.ended():
                _print_summary(outcome, say, as_json)
    if as_json:
        console.json_data("detect", [_as_json(outcome) for outcome in outcomes])
    _raise_failures(outcomes)


def _preview(scenes: list[str], runner: LocalRunner, config: DetectConfig, as_json: bool, say: console.Console) -> None:
    from dataclasses import asdict

    from lcageo.inference.asked import open_asked
    from lcageo.inference.preview import preview_scene

    previews = []
    for path in scenes:
        with open_asked(path, runner.predictor.card, config) as scene:
            previews.append(preview_scene(scene, runner, config))
    if as_json:
        console.json_data("detect-dry-run", [asdict(preview) for preview in previews])
        return
    for preview in previews:
        for line in preview.warnings:
            say.warn(line)
        outside = f", {preview.outside_aoi:,} outside the area of interest" if preview.outside_aoi else ""
        several = " + ".join(f"{tiles:,} at scale {1 / scale[0]:.3g}" for scale, tiles in preview.passes)
        passes = f" ({several})" if len(preview.passes) > 1 else ""
        at_most = "at most " if preview.is_upper_bound else ""
        console.data(
            f"{preview.scene}: {at_most}{plural(preview.tiles, 'tile')}{passes}{outside}, about "
            f"{preview.empty_share:.0%} of the scene without data, about {_duration(preview.seconds)}, about "
            f"{preview.memory_mb:,.0f} MB of memory"
        )


def _print_summary(outcome: JobOutcome, say: console.Console, as_json: bool) -> None:
    if outcome.result is None:
        return
    result = outcome.result
    tiles = result.tiles
    rows = [("class", "found", "probably right")]
    rows += [(name, f"{count:,}", str(result.expected.get(name, ""))) for name, count in result.per_class().items()]
    rows.append(("all", f"{result.objects:,}", ""))
    say.note(console.table(rows if result.expected else [row[:2] for row in rows]))
    for line in result.hints:
        say.note(f"hint: {line}")
    if result.record.is_unfamiliar:
        say.warn(
            f"{outcome.job.name} looks unlike the images that model '{result.record.model}' was trained on: in "
            f"brightness, contrast, colour and texture it is {result.record.distance_from_training:.1f} times as far "
            "from their mean as 95 % of them are. How many of these objects are right is not known; check some of them"
        )
    if result.candidates:
        say.note(
            f"and {plural(result.candidates, 'candidate')} below the thresholds, which the layer also holds (--keep); "
            "'lcageo filter' chooses among them"
        )
    skipped = tiles.planned - tiles.run
    unread = f", {tiles.unreadable:,} unreadable" if tiles.unreadable else ""
    say.note(
        f"{outcome.job.name}: {plural(tiles.run, 'tile')} run, {skipped:,} skipped "
        f"({tiles.without_data:,} without data, {tiles.outside_area_of_interest:,} outside the area of "
        f"interest{unread}), {_duration(result.seconds)}"
    )
    if impossible := result.record.boxes_of_impossible_size:
        say.detail(
            f"{plural(impossible, 'box')} left out before merging: no object of the class has such a size on the ground"
        )
    say.detail(f"values {result.stretch.low} to {result.stretch.high} stretched to 0 to 255")
    if (scale := result.record.scene_pixels_per_tile_pixel) is not None:
        say.detail(f"{scale[0]:.6g} x {scale[1]:.6g} scene pixels per tile pixel")
    if not as_json:
        for target in (*outcome.job.outputs, *outcome.job.tables):
            console.data(str(target))


def _as_json(outcome: JobOutcome) -> dict[str, Any]:
    if outcome.result is None:
        return {"scene": outcome.job.name, "error": str(outcome.error)}
    result = outcome.result
    return {
        "scene": outcome.job.name,
        "outputs": [str(target) for target in outcome.job.targets],
        "quicklook": None if outcome.job.quicklook is None else str(outcome.job.quicklook),
        "holes": None if outcome.job.holes is None else str(outcome.job.holes),
        "review": None if outcome.job.review is None else str(outcome.job.review),
        "found": result.objects,
        "candidates": result.candidates,
        "per_class": result.per_class(),
        "probably_right": {name: one.as_json() for name, one in result.expected.items()},
        "hints": list(result.hints),
        "seconds": round(result.seconds, 3),
        "provenance": result.record.as_json(),
    }


def _raise_failures(outcomes: list[JobOutcome]) -> None:
    """Raises the error that the command ends with, if scenes failed or have holes."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if len(outcomes) == 1 and failed and failed[0].error is not None:
        raise failed[0].error
    lines = [f"{outcome.job.name}: {outcome.error}" for outcome in failed]
    partly = [f"{one.job.name}: {one.result.hole_text()}" for one in outcomes if one.result and one.result.holes]
    console.raise_incomplete(len(outcomes), lines, partly)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
