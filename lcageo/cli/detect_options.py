"""The options that decide what is found, the same for one scene and for a survey."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.config import Backend, DetectConfig, EdgeNodata, Engine, MergeMetric, Precision
from lcageo.errors import UsageError

if TYPE_CHECKING:
    from lcageo.inference.runner import LocalRunner, TileRunner
    from lcageo.runtime.catalog import ModelCard
    from lcageo.runtime.predictor import Predictor

Batch = Annotated[
    int | None, typer.Option("--batch", min=1, help="Tiles run at a time. Default: by backend; 16 on a GPU.")
]
RunBy = Annotated[
    Backend,
    typer.Option("--backend", help="What runs the model. auto: torch on a GPU, else the fastest that is installed."),
]
Numbers = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Numbers to compute in. auto: int8 if the model is, else bf16 if fast here and known to agree, else fp32.",
    ),
]
Score = Annotated[
    float | None,
    typer.Option("--score", help="Least score of an object, 0 to 1. Default: the model's own per class, else 0.3."),
]
Keep = Annotated[
    float | None,
    typer.Option("--keep", metavar="SCORE", help="Also write candidates down to this score, for 'lcageo filter'."),
]
Classes = Annotated[str, typer.Option("--classes", metavar="NAME,...", help="Classes to look for. Default: all.")]
MaxPerTile = Annotated[int, typer.Option("--max-per-tile", min=1, help="Best objects kept of one tile.")]
Overlap = Annotated[
    str | None,
    typer.Option("--overlap", metavar="PX|%", help="Overlap of tiles, as 200 or 25%. Default: from the model."),
]
Gsd = Annotated[
    str, typer.Option("--gsd", metavar="M|auto|native", help="Metres per pixel to resample to; auto: only if needed.")
]
Iou = Annotated[float, typer.Option("--iou", help="Overlap above which two boxes are one object.")]
Metric = Annotated[
    MergeMetric,
    typer.Option("--merge-metric", help="Overlap as intersection over union or over the smaller box."),
]
Agnostic = Annotated[bool, typer.Option("--agnostic", help="Merge boxes of different classes too.")]
Bands = Annotated[str, typer.Option("--bands", metavar="R,G,B", help="Bands to use as red, green, blue, as 4,3,2.")]
Stretch = Annotated[
    str,
    typer.Option("--stretch", metavar="auto|none|MIN,MAX", help="Values shown as 0 to 255; auto leaves uint8 alone."),
]
Edge = Annotated[
    EdgeNodata, typer.Option("--edge-nodata", help="Whether an untagged black or white edge counts as nodata.")
]
Aoi = Annotated[Path | None, typer.Option("--aoi", metavar="FILE", help="Vector layer: look only inside.")]
Bbox = Annotated[str | None, typer.Option("--bbox", metavar="XMIN,YMIN,XMAX,YMAX", help="Rectangle: look only inside.")]
BboxCrs = Annotated[
    str | None,
    typer.Option("--bbox-crs", metavar="CRS", help="CRS of --bbox, as EPSG:4326. Default: the scene's."),
]


def build_config(*, classes: str, gsd: str, bands: str, bbox: str | None, **others: Any) -> DetectConfig:
    """The settings that these options ask for.

    Raises:
        UsageError: if one of them cannot be understood or is not allowed.
    """
    return DetectConfig(
        classes=options.split_names(classes),
        gsd=options.parse_gsd(gsd),
        bands=options.parse_bands(bands),
        bbox=options.parse_bbox(bbox),
        **others,
    )


def open_model(model: str | None, config: DetectConfig, asked: Engine, say: console.Console) -> Predictor:
    """The predictor that --model, --device, --backend and --precision ask for; says what it is."""
    from lcageo.runtime.predictor import load_engine, must_prepare

    card = _find_card(model, say)
    if must_prepare(card, asked):
        say.note(f"preparing model '{card.name}' for this machine, once: some twenty seconds")
    predictor = load_engine(card, config, asked)
    say.detail(f"runs with {predictor.engine}")
    if not card.agrees_in(predictor.engine.precision):
        say.warn(f"model '{card.name}' was not measured to find in {predictor.engine.precision} what it finds in fp32")
    return predictor


def local_runner(predictor: Predictor, batch: int | None, max_memory: str | None, say: console.Console) -> LocalRunner:
    """The runner that --batch and --max-memory ask for."""
    from lcageo.inference.memory import fit_to_memory
    from lcageo.inference.runner import LocalRunner

    size = batch or predictor.batch
    limit = options.parse_bytes(max_memory, "--max-memory")
    if limit is None:
        return LocalRunner(predictor, size)
    runner = fit_to_memory(predictor, size, limit)
    say.detail(f"{runner.batch} tiles at a time, {runner.max_cache_bytes / 1e6:,.0f} MB of decoded blocks")
    return runner


@contextmanager
def open_runner(
    model: str | None,
    config: DetectConfig,
    asked: Engine,
    batch: int | None,
    max_memory: str | None,
    cluster: str | None,
    say: console.Console,
) -> Generator[TileRunner, None, None]:
    """What runs the model: this process, or a cluster's workers."""
    if cluster is None:
        yield local_runner(open_model(model, config, asked, say), batch, max_memory, say)
        return
    if max_memory is not None:
        raise UsageError("--max-memory is for one process; with --cluster, give --batch, and workers their own limits")
    from lcageo.inference.cluster import cluster_runner

    with cluster_runner(cluster, _find_card(model, say), config, asked, batch) as runner:
        say.note(f"{runner.workers} worker(s) at {cluster}, the first one with {runner.engine}")
        yield runner


def _find_card(model: str | None, say: console.Console) -> ModelCard:
    from lcageo.runtime.catalog import find_card

    card = find_card(model)
    if not card.is_trained:
        say.warn(f"model '{card.name}' is untrained: its boxes mean nothing")
    say.detail(f"model {card.name}; trained on: {card.trained_on or 'nothing'}")
    say.detail(f"licence of the weights: {card.licence}")
    return card
