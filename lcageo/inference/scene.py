"""One scene from file to detections: the main path, from top to bottom."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcageo.calibration import Expected, expected
from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import InterruptedRunError, SceneError
from lcageo.inference.identity import run_identity, run_name
from lcageo.inference.merge import (
    SEAM_TOLERANCE_PX,
    Cell,
    MergedPass,
    Merger,
    MergeRule,
    Merging,
    lengths,
    merged_cell,
)
from lcageo.inference.plan import ScenePlan, plan_scene
from lcageo.inference.record import Hole, SceneSummary, run_record
from lcageo.inference.runner import LocalRunner, Map, TileRunner, Warn, map_here
from lcageo.journal.journal import Earlier, Journal
from lcageo.journal.tile_outcomes import TileOutcomes
from lcageo.remote import XYZ
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import hint_scores, written_scores
from lcageo.scene.raster import Scene
from lcageo.stop import StopRequest
from lcageo.vector.record import TileCounts


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a scene."""

    done: int
    """Number of finished tiles."""
    total: int
    """Number of tiles."""
    found: int
    """Number of detections of this run so far, before merging."""
    resumed: int = 0
    """Number of tiles that an earlier, interrupted run had finished."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all scenes of a run share."""

    runner: TileRunner
    config: DetectConfig
    """What to find and how."""
    warn: Warn = warnings.warn
    """Receives messages that the user should read; called from several threads if several scenes run at a time."""
    on_progress: Callable[[str, Progress], None] = lambda scene, progress: None
    """Called with the scene's path at its start and after every batch; from several threads, as `warn`."""
    earlier: Earlier = Earlier.SAME
    """What to do with the journals of interrupted runs."""
    stop: StopRequest | None = None
    """Checked after every batch."""


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What was found in a scene, and how."""

    summary: SceneSummary
    detections: Detections
    """Objects in scene pixels, best first."""


def detect_scene(
    scene: Scene,
    predictor: Predictor,
    config: DetectConfig,
    batch: int | None = None,
    warn: Warn = warnings.warn,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> SceneResult:
    """Runs a model over a scene.

    Args:
        scene: an open scene.
        predictor: the model; its own thresholds apply.
        config: what to find and how.
        batch: maximum number of tiles run at a time; halved when the device's memory does not hold them. None: the
            default for the device.
        warn: receives messages that the user should read.
        on_progress: called at the start and after every batch.

    Raises:
        SceneError: if no part of the scene can be read.
        DeviceMemoryError: if the device's memory does not hold a single tile.
    """
    plan = plan_scene(scene, predictor.card, config)
    for line in plan.warnings:
        warn(line)
    runner = LocalRunner(predictor, batch)
    return detect_in_memory(plan, Run(runner, config, warn, lambda scene, progress: on_progress(progress)))


def detect_in_memory(plan: ScenePlan, run: Run) -> SceneResult:
    """Runs a model over the wanted tiles of a scene, without a journal on disk; errors as in `detect_planned`."""
    with Journal.in_memory() as journal:
        summary = detect_planned(plan, run, run_name(run_identity(plan, run.runner, run.config)), journal)
        return SceneResult(summary, Detections.joined(list(journal.objects())))


def detect_planned(plan: ScenePlan, run: Run, name: str, journal: Journal) -> SceneSummary:
    """Runs a model over the wanted tiles of a scene that the journal lacks, and merges the detections of all tiles.

    Afterwards, the journal holds the scene's objects.

    Args:
        plan: what to read, and how; the caller shows its warnings.
        run: its runner must take tiles of the size that the plan reads.
        name: of the run, from the identity that the journal is bound to.
        journal: of this scene, model and config; records every finished batch.

    Raises:
        InterruptedRunError: when asked to stop; the journal holds the finished tiles.
        OutputError: if the journal cannot be written.
        SceneError, DeviceMemoryError: as in `detect_scene`.
    """
    started = time.monotonic()
    plan = run_tiles(plan, run, journal)
    info, card, config = plan.reader.scene.info, run.runner.card, run.config
    empty, impossible = journal.totals()
    holes = tuple(Hole(plan.tile(tile).bounds, reason) for tile, reason in journal.unread())
    wanted = plan.wanted_tiles
    if holes and len(holes) == wanted:
        raise SceneError(holes[0].reason)
    if empty and empty == wanted:
        absent = "; its server has no tile there: check the URL and the area, or take a coarser --gsd"
        why = absent if info.path.startswith(XYZ) else ""
        run.warn(f"scene '{info.path}' has no pixel with data, so it was not searched{why}")
    # Candidates that are only for the review or for the choice of tiles are left out before merging: at a seam, they
    # could make an object yield.
    merge(plan, config.for_model(card.iou), journal, written_scores(card, config), run.runner.map)
    outside = plan.outside_tiles
    tiles = TileCounts(wanted + outside, outside, empty, len(holes), wanted - empty - len(holes))
    distance = journal.distance(plan.first, plan.first + len(plan.grid))
    record = run_record(plan, run.runner, config, name, tiles, impossible, distance)
    least = record.least_scores()
    counts = journal.counts([least[name] for name in card.classes])
    return SceneSummary(
        info=info,
        classes=card.classes,
        counts=counts,
        expected={} if record.is_unfamiliar else _expected(card, journal, counts, least),
        candidates=sum(journal.counts([0.0] * len(card.classes))) - sum(counts),
        stretch=plan.reader.stretch,
        record=record,
        tiles=tiles,
        holes=holes,
        files=plan.reader.scene.files(),
        seconds=time.monotonic() - started,
    )


def _expected(
    card: ModelCard, journal: Journal, counts: Sequence[int], least: Mapping[str, float]
) -> dict[str, Expected]:
    """How many of the objects found are probably right, of each class whose scores are calibrated."""
    return {
        name: expected(card.calibration[name], journal.score_counts(label, least[name]))
        for label, (name, count) in enumerate(zip(card.classes, counts, strict=True))
        if count and name in card.calibration
    }


def run_tiles(plan: ScenePlan, run: Run, journal: Journal) -> ScenePlan:
    """Runs the tiles that the journal lacks; arguments and errors as in `detect_planned`.

    Returns:
        The plan, with the tiles that turned out to be needed.
    """
    path, done = plan.reader.scene.info.path, journal.done()
    progress = Progress(len(done), 0, 0, resumed=len(done))
    run_passes: list[ScenePlan] = []
    for one in plan.passes:
        if one.near_small:
            one = _near_small(one, plan, hint_scores(run.runner.card, run.config), journal)
        run_passes.append(one)
        todo = one.wanted.copy()
        todo[done[(done >= one.first) & (done < one.first + len(todo))] - one.first] = False
        ahead = sum(int(later.wanted.sum()) for later in plan.passes[len(run_passes) :] if not later.near_small)
        progress = replace(progress, total=sum(int(each.wanted.sum()) for each in run_passes) + ahead)
        run.on_progress(path, progress)
        with closing(run.runner.run(one, np.flatnonzero(todo), run.warn)) as batches:  # stops the reading threads
            for outcomes in batches:
                journal.add([part.numbered_from(one.first) for part in outcomes])
                ended, found = sum(map(len, outcomes)), sum(len(part.found) for part in outcomes)
                progress = replace(progress, done=progress.done + ended, found=progress.found + found)
                run.on_progress(path, progress)
                if run.stop is not None and run.stop.asked and progress.done < progress.total:
                    raise InterruptedRunError(
                        f"stopped after {progress.done:,} of {progress.total:,} tiles; run the same command again to "
                        "resume"
                    )
    return replace(plan, further=tuple(run_passes[1:]))


def _near_small(one: ScenePlan, first: ScenePlan, hints: Sequence[float], journal: Journal) -> ScenePlan:
    """A pass with the tiles nearest to the objects that the first pass, which is complete, has a hint of.

    Args:
        one: the pass.
        first: the first pass.
        hints: score per class from which an object of the first pass counts.
        journal: of the run.
    """
    minimum = np.array(hints)
    centres = [np.zeros((0, 2))]
    for outcome in journal.outcomes(first.first, first.first + len(first.grid)):
        boxes = outcome.found.boxes_xyxy.astype(np.float64)
        small = lengths(boxes, first.grid.scale) < one.lengths_px[1]
        small &= outcome.found.scores > minimum[outcome.found.labels]
        centres.append((boxes[small, :2] + boxes[small, 2:]) / 2)
    return replace(one, wanted=one.wanted & one.grid.nearest(*np.concatenate(centres).T))


def merge(
    plan: ScenePlan,
    config: DetectConfig,
    journal: Journal,
    min_scores: NDArray[np.float32] | None = None,
    each: Map = map_here,
) -> None:
    """Merges the detections of all tiles and records the scene's objects in the journal; arguments as in `merged`."""
    journal.forget_objects()
    for part in merged(plan, config, journal, min_scores, each):
        journal.keep(part)


def merged(
    plan: ScenePlan,
    config: DetectConfig,
    journal: Journal,
    min_scores: NDArray[np.float32] | None = None,
    each: Map = map_here,
) -> Iterator[Detections]:
    """The scene's objects inside the area of interest, merged from those of its tiles, part by part.

    Args:
        plan: of the scene.
        config: how to merge.
        journal: with the tiles.
        min_scores: (K,) scores that they must exceed, per class; None: all count.
        each: what merges the cells of the scene, see `TileRunner.map`.
    """
    passes = tuple(MergedPass(one.grid, one.first, one.lengths_px) for one in plan.passes)
    merging = Merging(_merge_rule(plan, config), passes, min_scores)
    seams, row = Merger(merging.rule), 0
    with closing(each(merged_cell, merging, _cells(merging, journal))) as cells:
        for cell in cells:
            if cell.row != row:
                row = cell.row
                yield _inside(plan, seams.final(merging.above(row)))
            seams.add(cell.open)
            yield _inside(plan, cell.final)
    yield _inside(plan, seams.final())


def _cells(merging: Merging, journal: Journal) -> Iterator[Cell]:
    """The cells of a scene with their tiles' outcomes, row by row; those without boxes are left out."""
    rows = [merging.cells_of(1, one) for one in merging.passes]
    columns = [merging.cells_of(0, one) for one in merging.passes]
    for row in np.unique(np.concatenate(rows)).tolist():
        parts, cells = [], []
        for one, of_row, of_column in zip(merging.passes, rows, columns, strict=True):
            across = len(of_column)
            first, last = np.searchsorted(of_row, [row, row + 1]).tolist()
            for outcomes in journal.outcomes(one.first + first * across, one.first + last * across):
                outcomes = outcomes.selected(outcomes.counts > 0)
                parts.append(outcomes)
                cells.append(of_column[(outcomes.tiles - one.first) % across])
        yield from _divided(row, TileOutcomes.joined(parts), np.concatenate([np.zeros(0, np.int64), *cells]))


def _divided(row: int, outcomes: TileOutcomes, cells: NDArray[np.int64]) -> Iterator[Cell]:
    """Cells from a row's tiles (T) and the column of cells (T,) of each."""
    for column in np.unique(cells).tolist():
        yield Cell(row, column, outcomes.selected(cells == column))


def _merge_rule(plan: ScenePlan, config: DetectConfig) -> MergeRule:
    grid, coarsest = plan.grid, max(one.grid.scale for one in plan.passes)
    return MergeRule(
        grid.scene_width,
        grid.scene_height,
        config.merging_iou(),
        config.merge_metric,
        config.agnostic,
        (SEAM_TOLERANCE_PX * coarsest[0], SEAM_TOLERANCE_PX * coarsest[1]),
        grid.scale,
    )


def _inside(plan: ScenePlan, found: Detections) -> Detections:
    """The objects whose centre is in the area of interest."""
    return found if plan.aoi is None else found.selected(plan.aoi.holds_centre(found.boxes_xyxy.astype(np.float64)))
