"""lcageo evaluate: measures a model on labelled images, or a layer of found objects against a layer of true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import BackendChoice, Overlap, PassesChoice, PrecisionChoice
from lcageo.cli.evaluate_text import figures_text
from lcageo.cli.progress import Bar
from lcageo.config import BENCHMARK, Backend, DetectConfig, Passes, Precision, RunnerConfig
from lcageo.errors import DataError, UsageError
from lcageo.evaluation.plots import PICTURES
from lcageo.extras import require

if TYPE_CHECKING:
    from lcageo.data.annotations import LabelledSet
    from lcageo.data.classmap import ClassMap
    from lcageo.data.sets import Naming
    from lcageo.detections import Detections
    from lcageo.evaluation.scenes import Tiling
    from lcageo.runtime.predictor import Predictor

# Groups of --help.
LAYERS, FIGURES = "Layers, instead of a model", "Figures"
LAYER_IOU = 0.5
SHOWN = 5
"""Maximum number of problems of the data that are shown; `lcageo data check` shows all."""


class Split(StrEnum):
    """The splits of a DIOR folder."""

    TRAIN = "train"
    VAL = "val"
    TRAINVAL = "trainval"
    TEST = "test"


_OF_LAYERS = "layer truth score iou class_map class_field output overwrite as_json progress quiet verbose debug"
"""Parameters that layers take."""


def evaluate(
    context: typer.Context,
    model: options.Model = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help=f"{options.DATA_HELP} May be repeated.", rich_help_panel=options.DATA),
    ] = None,
    layer: Annotated[
        Path | None,
        typer.Option(
            metavar=options.LAYER,
            help=f"Layer of detected objects to evaluate, instead of a model. {options.LAYER_HELP}",
            rich_help_panel=LAYERS,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar=options.LAYER, help="With --layer: layer of true objects, in any CRS.", rich_help_panel=LAYERS
        ),
    ] = None,
    class_field: options.ClassField = None,
    split: Annotated[
        Split,
        typer.Option(help="Split of data sets with several; others are used completely.", rich_help_panel=options.DATA),
    ] = Split.VAL,
    images: options.Images = None,
    data_format: options.Format = None,
    class_map: options.ClassMap = None,
    strict: options.Strict = False,
    device: options.Device = "auto",
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.AUTO,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of images per batch.",
            show_default="16 on a GPU, otherwise it depends on the backend",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(
            help="Minimum score of a detection.",
            show_default=f"{BENCHMARK.score}; with --layer: no minimum",
            rich_help_panel=options.OBJECTS,
        ),
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(
            help="Overlap above which two detections are merged; with --layer: minimum overlap of a correct object.",
            show_default=f"{BENCHMARK.iou}; with --layer: {LAYER_IOU}",
            rich_help_panel=options.OBJECTS,
        ),
    ] = None,
    max_per_image: Annotated[
        int, typer.Option(min=1, help="Maximum number of detections per image.", rich_help_panel=options.OBJECTS)
    ] = BENCHMARK.max_per_tile,
    as_scene: Annotated[
        bool,
        typer.Option(
            "--as-scene",
            help="Cut every image into tiles at its own resolution and merge, as detect does with a scene.",
            rich_help_panel=options.IMAGE,
        ),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            help="With --as-scene: side of the tiles in pixels.",
            show_default="the model's tile",
            rich_help_panel=options.IMAGE,
        ),
    ] = None,
    enlarge: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR",
            help="With --as-scene: enlarge images by this factor first.",
            show_default="1",
            rich_help_panel=options.IMAGE,
        ),
    ] = None,
    overlap: Overlap = None,
    passes: PassesChoice = Passes.AUTO,
    bootstrap: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Number of bootstrap resamples for 95 % confidence intervals, such as 1000.",
            rich_help_panel=FIGURES,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of --bootstrap.", rich_help_panel=FIGURES)] = 0,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help=f"Folder to write {' and '.join(PICTURES)} to.", rich_help_panel=FIGURES),
    ] = None,
    voc: Annotated[
        bool,
        typer.Option("--voc", help="Also print VOC 2007's 11-point AP, as DIOR papers do.", rich_help_panel=FIGURES),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="With --layer: layer of the differences to write.",
            rich_help_panel=LAYERS,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    progress: options.Progress = console.ProgressFormat.BAR,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Measures a model on labelled images as COCO does: average precision and recall, best thresholds, confusions.

    Images are scaled to the model's tile (only reduced if the model was trained with --native); one longer than 2,000
    pixels is cut into tiles at its own resolution, as all are with --as-scene. Classes that an image is not annotated
    for do not count in it. Several --data are measured one by one and together.

    Examples:

    - `lcageo evaluate --model lca-s --data DIOR --split test --bootstrap 1000`
    - `lcageo evaluate --layer found.gpkg --truth truth.gpkg -o differences.gpkg`
    """
    say = console.Console(quiet, verbose)
    if layer is not None or truth is not None:
        if model is not None or data:
            raise UsageError("--layer and --truth compare layers, --model and --data run a model; use one pair")
        if layer is None or truth is None:
            raise UsageError("--layer and --truth require each other; give both")
        options.refuse_given(context, context.params.keys() - set(_OF_LAYERS.split()), "has no effect on layers")
        _layers(layer, truth, score, iou, _class_map(class_map), class_field, output, overwrite, as_json, say)
        return
    _check(data, output, tile, enlarge, as_scene)
    options.refuse_given(context, {"class_field"}, "requires --layer")
    config = replace(
        BENCHMARK,
        score=BENCHMARK.score if score is None else score,
        iou=BENCHMARK.iou if iou is None else iou,
        max_per_tile=max_per_image,
        overlap=overlap,
        passes=passes,
    )
    require("measuring a model", "train", "torch")
    from lcageo.data.sets import Naming
    from lcageo.evaluation.images import kept_of_tiles
    from lcageo.evaluation.plots import draw_plots, prepare_plots
    from lcageo.evaluation.sets import set_figures, together
    from lcageo.inference.factory import open_predictor
    from lcageo.metrics.coco import require_coco

    require_coco()
    if plots is not None:
        prepare_plots(plots, overwrite)
    runner = RunnerConfig(model, device, backend, precision)
    predictor = open_predictor(runner, kept_of_tiles(config), say)
    naming = Naming(images, data_format)
    sets = _read(data or [], split, predictor, _class_map(class_map), strict, naming, say)
    size = batch or predictor.batch
    tiling = None
    if as_scene:
        from lcageo.evaluation.scenes import Tiling  # needs rasterio, which a trainer may lack

        tiling = Tiling(tile, 1.0 if enlarge is None else enlarge)
    measured = _run(predictor, sets, config, size, tiling, say)
    if not any(len(labelled) for labelled, _ in measured):
        raise DataError("none of the images can be read; see the warnings above")
    figures = [set_figures(*one, predictor.card, config.max_per_tile) for one in measured]
    whole = set_figures(*together(measured), predictor.card, config.max_per_tile) if len(sets) > 1 else figures[0]
    resampled = whole.evaluation.resampled(bootstrap, seed) if bootstrap else None
    if plots is not None:
        draw_plots(whole.evaluation, plots)
    if as_json:
        described = {"model": predictor.card.name, "data": whole.name, **whole.as_json()}
        described |= {} if resampled is None else {"bootstrap": resampled.as_json()}
        described |= {"sets": {one.name: one.as_json() for one in figures}} if len(sets) > 1 else {}
        console.json_data("evaluate", described)
    else:
        console.data(figures_text(whole, figures, resampled, voc))
        if plots is not None:
            console.data("\n".join(str(plots / name) for name in PICTURES))


def _check(
    data: list[Path] | None, output: Path | None, tile: int | None, enlarge: float | None, as_scene: bool
) -> None:
    if not data:
        raise UsageError("nothing to evaluate on; give --model and --data, or --layer and --truth")
    if output is not None:
        raise UsageError("--output requires --layer; for a model use --json and --plots")
    for option, value in (("--tile", tile), ("--enlarge", enlarge)):
        if value is not None and not as_scene:
            raise UsageError(f"{option} requires --as-scene; give both")


def _class_map(path: Path | None) -> ClassMap | None:
    from lcageo.data.classmap import load_class_map

    return None if path is None else load_class_map(path)


def _layers(
    layer: Path,
    truth: Path,
    score: float | None,
    iou: float | None,
    class_map: ClassMap | None,
    class_field: str | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    say: console.Console,
) -> None:
    from lcageo.evaluation.layers import evaluate_layer

    evaluation = evaluate_layer(
        layer, truth, score=score, iou=LAYER_IOU if iou is None else iou, class_map=class_map,
        class_field=class_field, output=output, overwrite=overwrite,
    )  # fmt: skip
    for line in evaluation.warnings:
        say.warn(line)
    if as_json:
        console.json_data("evaluate-layer", evaluation.as_json())
        return
    console.data(console.table(evaluation.table()))
    for line in evaluation.best_thresholds():
        say.note(line)
    if output is not None:
        console.data(str(output.with_suffix(output.suffix.lower())))


def _read(
    data: Sequence[Path],
    split: Split,
    predictor: Predictor,
    class_map: ClassMap | None,
    strict: bool,
    naming: Naming,
    say: console.Console,
) -> list[LabelledSet]:
    """The images of each set with the model's classes; shows the problems they have."""
    from lcageo.data.annotations import REMARKS, ProblemKind, SplitName
    from lcageo.data.classmap import without_names_of_one
    from lcageo.data.sets import read_sets

    classes = predictor.card.classes
    sets = without_names_of_one(
        [read_sets([path], SplitName(split), classes, class_map, strict, naming) for path in data]
    )
    faults, left_out = [], dict[str, None]()
    for labelled in sets:
        absent = {(labelled.name, f"class {name!r}") for name in classes}  # the table shows these classes
        for problem in labelled.problems:
            if problem.kind is ProblemKind.CLASS_LEFT_OUT:
                left_out[problem.where.removeprefix("class ") or problem.what] = None
            elif problem.kind in REMARKS:
                say.note(str(problem))
            elif (str(problem.path), problem.where) not in absent:
                faults.append(problem)
    if left_out:
        say.note(f"not among the model's classes, and left out: {', '.join(left_out)}")
    for problem in faults[:SHOWN]:
        say.warn(str(problem))
    if len(faults) > SHOWN:
        say.warn(f"and {len(faults) - SHOWN:,} more problems; 'lcageo data check' shows all")
    return sets


def _run(
    predictor: Predictor,
    sets: Sequence[LabelledSet],
    config: DetectConfig,
    batch: int,
    tiling: Tiling | None,
    say: console.Console,
) -> list[tuple[LabelledSet, list[Detections]]]:
    """The images of each set that can be read, and what is found in them."""
    from lcageo.evaluation.images import find_readable

    done, total = 0, sum(map(len, sets))
    with Bar(say, "evaluating", "image") as bar:

        def advance(images: int) -> None:
            nonlocal done
            done += images
            bar.at(done, total)

        return [
            find_readable(predictor, one, config=config, batch=batch, tiling=tiling, warn=bar.warn, on_progress=advance)
            for one in sets
        ]
