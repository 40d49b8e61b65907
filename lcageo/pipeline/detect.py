"""One scene from file to detections: the main path, top to bottom."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError, InterruptedRunError, SceneError
from lcageo.merge import SEAM_TOLERANCE_PX, Merger, MergeRule
from lcageo.pipeline.journal import Journal, TileOutcome
from lcageo.pipeline.plan import ScenePlan, plan_scene
from lcageo.pipeline.scene_report import Hole, SceneReport, provenance
from lcageo.pipeline.stop import StopRequest
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import of_possible_size
from lcageo.scene.order import reading_order
from lcageo.scene.prefetch import read_ahead
from lcageo.scene.raster import Scene
from lcageo.scene.tiles import Tile

READ_THREADS = 2
RECORD_AFTER_S = 1.0
"""Tiles that are not run, for want of data or readability, are recorded after so long if no batch comes first."""
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scene is."""

    done: int
    """Tiles."""
    total: int
    found: int
    """Detections of this run so far, before merging."""
    resumed: int = 0
    """Tiles that an earlier, interrupted run had done."""


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What was found in a scene, and how."""

    report: SceneReport
    detections: Detections
    """Scene pixels, best first."""


def detect_scene(
    scene: Scene,
    predictor: Predictor,
    config: DetectConfig,
    batch: int = 2,
    warn: Warn = warnings.warn,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> SceneResult:
    """Runs a model over a scene.

    Args:
        scene: an open scene.
        predictor: the model; its own thresholds apply.
        config: what to find and how.
        batch: tiles run at a time, at most; halved when the device's memory does not hold them.
        warn: receives lines that the user should read.
        on_progress: called at the start and after every batch.

    Raises:
        SceneError: if no part of the scene can be read.
        DeviceMemoryError: if the device cannot hold a single tile.
    """
    plan = plan_scene(scene, predictor.card, config)
    for line in plan.warnings:
        warn(line)
    with Journal.in_memory() as journal:
        report = detect_planned(plan, predictor, config, journal, batch, warn, on_progress)
        return SceneResult(report, Detections.joined(list(journal.objects())))


def detect_planned(
    plan: ScenePlan,
    predictor: Predictor,
    config: DetectConfig,
    journal: Journal,
    batch: int = 2,
    warn: Warn = warnings.warn,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: StopRequest | None = None,
) -> SceneReport:
    """Runs a model over the wanted tiles of a scene that the journal lacks, and merges what all of them gave.

    The scene's objects are in the journal then.

    Args:
        plan: what to read, and how; its own warnings are left to the caller.
        predictor: the model; it must take tiles of the size that the plan reads.
        config: how to merge: its iou, merge_metric and agnostic count.
        journal: of this scene, model and config; takes every batch that is done.
        batch: as in detect_scene, likewise warn and on_progress.
        warn: receives lines that the user should read.
        on_progress: called at the start and after every batch.
        stop: looked at after every batch.

    Raises:
        InterruptedRunError: when asked to stop; the journal holds what is done.
        OutputError: if the journal cannot be written.
        SceneError, DeviceMemoryError: as detect_scene.
    """
    started = time.monotonic()
    run_tiles(plan, predictor, journal, batch, warn, on_progress, stop)
    empty, impossible = journal.totals()
    holes = tuple(Hole(plan.grid[tile].bounds, reason) for tile, reason in journal.unread())
    if holes and len(holes) == plan.wanted.sum():
        raise SceneError(holes[0].reason)
    if empty and empty == plan.wanted.sum():
        warn(f"scene '{plan.reader.scene.info.path}' has no pixel with data, so nothing was looked at")
    merge(plan, config, journal)
    return SceneReport(
        info=plan.reader.scene.info,
        classes=predictor.card.classes,
        counts=journal.counts(len(predictor.card.classes)),
        stretch=plan.reader.stretch,
        provenance=provenance(plan, predictor, config, empty, len(holes), impossible),
        holes=holes,
        seconds=time.monotonic() - started,
    )


def run_tiles(
    plan: ScenePlan,
    predictor: Predictor,
    journal: Journal,
    batch: int,
    warn: Warn,
    on_progress: Callable[[Progress], None],
    stop: StopRequest | None,
) -> None:
    """Runs the tiles that the journal lacks; arguments and errors as of detect_planned."""
    total, done = int(plan.wanted.sum()), journal.done()
    count, progress = 0, Progress(len(done), total, 0, resumed=len(done))
    todo = plan.wanted.copy()
    todo[done] = False
    on_progress(progress)
    with closing(_run(plan, np.flatnonzero(todo), predictor, batch, warn)) as batches:  # no thread reads on
        for outcomes in batches:
            journal.add(outcomes)
            count += sum(len(one.found) for one in outcomes if one.found is not None)
            progress = Progress(progress.done + len(outcomes), total, count, progress.resumed)
            on_progress(progress)
            if stop is not None and stop.asked and progress.done < total:
                raise InterruptedRunError(
                    f"stopped after {progress.done:,} of {total:,} tiles; the same command goes on from there"
                )


def merge(plan: ScenePlan, config: DetectConfig, journal: Journal) -> None:
    """Puts the scene's objects, from those of its tiles, into the journal: those inside the area of interest."""
    merger = Merger(_merge_rule(plan, config))
    frontier = 0.0
    journal.forget_objects()
    for outcome in journal.outcomes():
        tile = plan.grid[outcome.tile]
        if tile.bounds[1] > frontier:  # tiles come row by row: what lies above this one is complete
            frontier = tile.bounds[1]
            journal.keep(_inside(plan, merger.final(frontier)))
        if outcome.found is not None:
            merger.add(outcome.found, tile.index, tile.bounds)
    journal.keep(_inside(plan, merger.final()))


def _merge_rule(plan: ScenePlan, config: DetectConfig) -> MergeRule:
    grid = plan.grid
    return MergeRule(
        grid.scene_width,
        grid.scene_height,
        config.iou,
        config.merge_metric,
        config.agnostic,
        SEAM_TOLERANCE_PX * grid.scale,
    )


def _inside(plan: ScenePlan, found: Detections) -> Detections:
    """The objects whose centre lies in the area of interest."""
    return found if plan.aoi is None else found.selected(plan.aoi.holds_centre(found.boxes_xyxy.astype(np.float64)))


def _run(
    plan: ScenePlan, todo: NDArray[np.int64], predictor: Predictor, batch: int, warn: Warn
) -> Generator[list[TileOutcome], None, None]:
    """The outcomes of the tiles `todo`, batch by batch, those without a valid pixel with the next batch."""
    waiting: deque[tuple[Tile, NDArray[np.uint8]]] = deque()
    not_run: list[TileOutcome] = []
    size, yielded = batch, time.monotonic()
    info = plan.reader.scene.info
    order = reading_order(info, plan.grid, todo, READ_THREADS)
    if not order.fits:
        warn(
            f"scene '{info.path}' is stored in blocks of {info.block_shape[1]:,} x {info.block_shape[0]:,} pixels, too "
            "large to be kept while it is read, which takes long; gdal_translate -co TILED=YES makes a quick copy"
        )
    with closing(read_ahead(plan.reader, plan.grid, order, ahead=max(batch, READ_THREADS))) as images:
        for tile, image in images:
            if not isinstance(image, np.ndarray):
                not_run.append(TileOutcome(tile.index, None, unread="" if image is None else str(image)))
                if time.monotonic() - yielded > RECORD_AFTER_S:
                    yield not_run
                    not_run, yielded = [], time.monotonic()
                continue
            waiting.append((tile, image))
            while len(waiting) >= size:
                size, outcomes = _run_batch(plan, waiting, predictor, size, warn)
                yield not_run + outcomes
                not_run, yielded = [], time.monotonic()
        while waiting:
            size, outcomes = _run_batch(plan, waiting, predictor, size, warn)
            yield not_run + outcomes
            not_run = []
    if not_run:
        yield not_run


def _run_batch(
    plan: ScenePlan, waiting: deque[tuple[Tile, NDArray[np.uint8]]], predictor: Predictor, size: int, warn: Warn
) -> tuple[int, list[TileOutcome]]:
    """Runs up to `size` waiting tiles; gives the size for the next batch, half of it (and none) if memory ran out."""
    some = [waiting[index] for index in range(min(size, len(waiting)))]
    # Always of one shape, the last one too: a tile's boxes then do not depend on its company, to the last bit.
    images = np.zeros((size, *some[0][1].shape), np.uint8)
    for place, (_, image) in enumerate(some):
        images[place] = image
    try:
        found = predictor.predict(images)[: len(some)]
    except DeviceMemoryError as error:
        if size == 1:
            raise
        warn(f"{error}; going on with {size // 2}")
        return size // 2, []
    outcomes = []
    for (tile, _), detections in zip(some, found, strict=True):
        waiting.popleft()
        possible = of_possible_size(detections, predictor.card, plan.tile_pixel_m, tile.width, tile.height)
        outcomes.append(TileOutcome(tile.index, tile.to_scene(possible), len(detections) - len(possible)))
    return size, outcomes
