"""lcageo batch: detects objects in many scenes; writes a layer per scene and one of all."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import DETECT, ONNX, RUNNER, with_options
from lcageo.cli.progress import SceneBars
from lcageo.config import DetectConfig, RunnerConfig
from lcageo.errors import DeviceError, InterruptedRunError, LcageoError, ModelError, OutputError, UsageError
from lcageo.network_config import OnnxConfig
from lcageo.plural import plural
from lcageo.vector import formats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lcageo.calibration import Expected
    from lcageo.inference.jobs import Job
    from lcageo.survey.scenes import SurveyScene
    from lcageo.survey.state import Joined, SceneRecord
    from lcageo.survey.survey import Survey

FORMATS = [suffix.removeprefix(".") for suffix in formats.FORMATS]
MAX_HINTS = 5
"""Number of scenes whose hints are shown; summary.csv has those of all."""
RETRY_S = 10.0
"""Time after which a joint layer that could not be written is tried again."""
MAX_ROWS = 40
"""Number of scenes above which the final table has a row per state; summary.csv lists every scene."""


@with_options(RUNNER, ONNX, DETECT)
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER|GLOB|LIST.txt...",
            help="Folders, quoted glob patterns, scenes, or text files that list them.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Output folder, created if missing.", rich_help_panel=options.RESULT),
    ],
    file_format: Annotated[
        str,
        typer.Option("--format", help=f"Format of the layers: {', '.join(FORMATS)}.", rich_help_panel=options.RESULT),
    ] = "gpkg",
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also search subfolders.", rich_help_panel=options.AREA)
    ] = False,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Names of scene files in folders, such as '*.tif'.",
            show_default=".tif .tiff .jp2 .vrt",
            rich_help_panel=options.AREA,
        ),
    ] = None,
    *,
    runner: RunnerConfig,
    about: OnnxConfig,
    config: DetectConfig,
    quicklooks: Annotated[
        bool,
        typer.Option(
            "--quicklooks", help="Also write a PNG of every scene with its boxes.", rich_help_panel=options.RESULT
        ),
    ] = False,
    holes: Annotated[
        bool,
        typer.Option(
            "--holes", help="Also write layers of the areas that could not be read.", rich_help_panel=options.FAILURE
        ),
    ] = False,
    review: Annotated[
        bool,
        typer.Option(
            "--review", help="Also write layers of uncertain objects, to label next.", rich_help_panel=options.RESULT
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Keep running and process new scenes once they are complete, until Ctrl-C.",
            rich_help_panel=options.AREA,
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Reprocess every scene, not only missing and changed ones.",
            rich_help_panel=options.FAILURE,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace layers in DIR that this survey did not write.",
            rich_help_panel=options.RESULT,
        ),
    ] = False,
    as_json: options.Json = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Finds objects in all scenes of a survey and writes a layer per scene, a joint layer and a summary.

    A second run processes only missing and changed scenes. If a run is interrupted, run the same command again to
    resume.

    Examples:

    - `lcageo batch survey/ --out results/ --recursive`
    - `lcageo batch "survey/*.tif" --out results2/ --format geojson --quicklooks`
    """
    if file_format not in FORMATS:
        raise UsageError(f"--format '{file_format}' is not a known format; choose one of {', '.join(FORMATS)}")
    say = console.Console(quiet, verbose)
    runner, config = replace(runner, about=about), replace(config, review=review)
    from lcageo.inference.factory import open_runner
    from lcageo.survey.scenes import find_scenes, is_list
    from lcageo.survey.survey import SurveyConfig, open_survey

    def find() -> tuple[SurveyScene, ...]:
        return find_scenes(sources, pattern, recursive, out)

    scenes = find()
    if not scenes and not watch:
        lists = [source for source in sources if is_list(Path(source))]
        if lists:
            raise UsageError(f"list '{lists[0]}' names no raster; write the path of one on each line")
        raise UsageError(f"no scenes found in {', '.join(sources)}; choose another --pattern, or use --recursive")
    survey_config = SurveyConfig(out, f".{file_format}", quicklooks, holes, review)
    with open_runner(runner, config, say) as tile_runner, open_survey(survey_config, config, tile_runner) as survey:
        stale = None
        if watch:
            stale = _watch(survey, find, say, force, overwrite)
        else:
            jobs = survey.look(scenes, force, overwrite)
            say.note(f"{plural(len(scenes), 'scene')}, {len(scenes) - len(jobs):,} of them up to date")
            _run(survey, jobs, say, force)
            survey.finish(say.warn)
        _print_summary(survey, say, as_json)
        if stale is not None:
            raise stale


def _run(survey: Survey, jobs: Sequence[Job], say: console.Console, force: bool = False) -> list[SceneRecord]:
    """Runs the jobs; if interrupted, writes a summary of the scenes that are done."""
    done = []
    try:
        with SceneBars(say, len(jobs)) as bars:
            for record in survey.run(jobs, bars.warn, bars.update, force):
                with bars.ended():
                    if record.error is not None:
                        say.note(f"{record.scene}: {record.state.value}: {record.error}")
                done.append(record)
    except (InterruptedRunError, DeviceError, ModelError):
        survey.summarize()
        raise
    return done


def _watch(survey: Survey, find: Any, say: console.Console, force: bool, overwrite: bool) -> LcageoError | None:
    """Runs scenes as they appear; returns why the joint layer is not up to date at the end, if it is not."""
    from lcageo.stop import StopRequest
    from lcageo.survey.state import State
    from lcageo.survey.watch import Attempts, Watch

    attempts, again = Attempts(), 0.0
    told = set[str]()

    def warn_once(line: str) -> None:
        if line not in told:
            told.add(line)
            say.warn(line)

    def finish() -> LcageoError | None:
        """Brings the joint layer up to date; returns why that failed, as QGIS may show it: it is tried again."""
        try:
            survey.finish(warn_once)
        except (UsageError, OutputError) as error:
            return error
        told.clear()
        return None

    say.note("waiting for scenes; press Ctrl-C to stop")
    with StopRequest() as stop:
        for scenes in Watch(find, stop, say.warn).changes():
            if scenes is None:
                if time.monotonic() >= again and (error := finish()) is not None:
                    warn_once(f"the joint layer is not up to date: {error}")
                    again = time.monotonic() + RETRY_S
                continue
            jobs = attempts.worth_trying(survey.look(scenes, force, overwrite, grows=True))
            for record in _run(survey, jobs, say, force) if jobs else ():
                if record.state is State.FAILED:
                    attempts.failed(record.scene)
            force = False
        return finish()


def _print_summary(survey: Survey, say: console.Console, as_json: bool) -> None:
    """Prints the table and the paths of the results; raises an error if scenes failed or have holes."""
    from lcageo.survey.state import State
    from lcageo.survey.summary import SUMMARY
    from lcageo.survey.summary import as_json as record_as_json

    records = list(survey.records.values())
    say.note(_table(records, survey.joined))
    for line in _hints(records):
        say.note(f"hint: {line}")
    if unlike := [record.scene for record in records if record.is_unfamiliar]:
        say.warn(_unfamiliar_text(unlike, len(records)))
    if as_json:
        console.json_data("batch", [record_as_json(record) for record in records])
    else:
        for path in (survey.config.joint_layer.path, survey.config.out / SUMMARY):
            if path.exists():
                console.data(str(path))
    failed = [f"{record.scene}: {record.error}" for record in records if record.state is State.FAILED]
    partly = [f"{record.scene}: {record.error}" for record in records if record.state is State.HOLES]
    console.raise_incomplete(len(records), failed, partly)


def _table(records: Sequence[SceneRecord], joined: Joined) -> str:
    """Scenes with what was found in each; then, per class, all that and how much of it is unique in the joint layer."""
    from lcageo.survey.summary import counts

    rows = [("scene", "state", "tiles", "found", "seconds")]
    if len(records) <= MAX_ROWS:
        names = _short_names([record.scene for record in records])
        rows += [_row(name, record.state.value, [record]) for name, record in zip(names, records, strict=True)]
    else:
        for state in dict.fromkeys(record.state for record in records):
            matching = [record for record in records if record.state is state]
            rows.append(_row(plural(len(matching), "scene"), state.value, matching))
    rows.append(_row(f"all {len(records):,}", "", records))
    total = counts(records, joined)
    numbers = [*total["per_class"].items(), ("all", total)]
    shown = ("in_scenes",) if joined.unique is None else ("in_scenes", "unique")
    classes = [("class", *(column.replace("_", " ") for column in shown))]
    classes += [(name, *(f"{count[column]:,}" for column in shown)) for name, count in numbers]
    if joined.probably_right:
        per_class = total["per_class"]  # without the classes of scenes whose disk is away, which the joint layer has
        expected = joined.probably_right.items()
        right = {name: _right_text(one, per_class[name]) for name, one in expected if name in per_class}
        classes = [(*row, right.get(row[0], "probably right" if row[0] == "class" else "")) for row in classes]
    candidates = f"\nand {plural(total['candidates'], 'candidate')} below the thresholds" if total["candidates"] else ""
    return f"{console.table(rows)}\n\n{console.table(classes)}{candidates}"


def _right_text(right: Expected, count: Mapping[str, Any]) -> str:
    """How many objects of a class are probably right; of how many, where that is not known of all."""
    return f"{right}{f' of {right.found:,}' if right.found < count['unique'] else ''}"


def _hints(records: Sequence[SceneRecord]) -> list[str]:
    """Why few objects may have been found, of the first scenes of which something is said."""
    told = [record for record in records if record.hints]
    shown, more = told[:MAX_HINTS], len(told) - MAX_HINTS
    names = _short_names([record.scene for record in shown])
    lines = [f"{name}: {hint}" for name, record in zip(names, shown, strict=True) for hint in record.hints]
    return [*lines, f"{plural(more, 'more scene')} with few objects; summary.csv has all hints"] if more > 0 else lines


def _unfamiliar_text(unlike: Sequence[str], scenes: int) -> str:
    """Which scenes look unlike the model's training images, and what follows from it."""
    names = ", ".join(_short_names(unlike[:MAX_HINTS]))
    more = f" and {len(unlike) - MAX_HINTS:,} more, see summary.csv" if len(unlike) > MAX_HINTS else ""
    return (
        f"unlike the images that the model was trained on, in brightness, contrast, colour or texture, are "
        f"{len(unlike):,} of {plural(scenes, 'scene')}: {names}{more}. How many of their objects are right is not "
        "known; check some of them"
    )


def _short_names(paths: Sequence[str]) -> list[str]:
    """The ends of paths, each with as many of its folders as tell it from the others."""
    parts = [Path(path).parts for path in paths]
    length = dict.fromkeys(range(len(paths)), 1)
    while True:
        names = [str(Path(*part[-length[index] :])) for index, part in enumerate(parts)]
        equal = [
            index for index, name in enumerate(names) if names.count(name) > 1 and length[index] < len(parts[index])
        ]
        if not equal:
            return names
        length |= {index: length[index] + 1 for index in equal}


def _row(name: str, state: str, records: Sequence[SceneRecord]) -> tuple[str, str, str, str, str]:
    tiles = sum(record.tiles.get("run", 0) for record in records)
    objects, seconds = sum(record.objects for record in records), sum(record.seconds for record in records)
    return name, state, f"{tiles:,}", f"{objects:,}", f"{seconds:,.1f}"
