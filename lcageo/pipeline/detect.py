"""One scene from file to detections: the main path, top to bottom."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lcageo
from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError
from lcageo.merge import SEAM_TOLERANCE_PX, Merger, MergeRule
from lcageo.nms import ranking
from lcageo.pipeline.plan import ScenePlan, plan_scene
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import of_possible_size
from lcageo.scene.describe import SceneInfo
from lcageo.scene.prefetch import read_ahead
from lcageo.scene.raster import Scene
from lcageo.scene.stretch import Stretch
from lcageo.scene.tiles import Tile

READ_THREADS = 2
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scene is."""

    done: int
    """Tiles."""
    total: int
    found: int
    """Detections so far, before merging."""


@dataclass(frozen=True, slots=True)
class SceneResult:
    """What was found in a scene, and how."""

    info: SceneInfo
    detections: Detections
    """Scene pixels, best first."""
    classes: tuple[str, ...]
    stretch: Stretch
    provenance: dict[str, Any] = field(repr=False)
    """Model, parameters and skipped parts; JSON-ready."""
    seconds: float

    def per_class(self) -> dict[str, int]:
        """Objects of each class that was found."""
        counts = np.bincount(self.detections.labels, minlength=len(self.classes)).tolist()
        return {name: count for name, count in zip(self.classes, counts, strict=True) if count}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a plan gave."""

    detections: Detections
    """Scene pixels, best first."""
    empty_tiles: int
    """Tiles without a valid pixel."""
    impossible: int
    """Boxes, before merging, that were left out because nothing of their class has such a size."""


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
        on_progress: called at the start and after every tile.

    Raises:
        SceneError: if a part of the scene cannot be read.
        DeviceMemoryError: if the device cannot hold a single tile.
    """
    started = time.monotonic()
    plan = plan_scene(scene, predictor.card, config)
    for line in plan.warnings:
        warn(line)
    outcome = run_plan(plan, predictor, config, batch, warn, on_progress)
    return SceneResult(
        info=scene.info,
        detections=outcome.detections,
        classes=predictor.card.classes,
        stretch=plan.reader.stretch,
        provenance=_provenance(plan, predictor, config, outcome),
        seconds=time.monotonic() - started,
    )


def run_plan(
    plan: ScenePlan,
    predictor: Predictor,
    config: DetectConfig,
    batch: int = 2,
    warn: Warn = warnings.warn,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Runs a model over the wanted tiles of a scene and merges what it finds.

    Args:
        plan: what to read, and how; its own warnings are left to the caller.
        predictor: the model; it must take tiles of the size that the plan reads.
        config: how to merge: its iou, merge_metric and agnostic count.
        batch: as in detect_scene, likewise warn and on_progress.
        warn: receives lines that the user should read.
        on_progress: called at the start and after every tile.

    Raises:
        SceneError, DeviceMemoryError: as detect_scene.
    """
    total = int(plan.wanted.sum())
    merger, final = Merger(_merge_rule(plan, config)), [Detections.empty()]
    count = empty = impossible = 0
    frontier = 0.0
    on_progress(Progress(0, total, 0))
    with closing(_run(plan, predictor, batch, warn)) as tiles:  # whatever happens, no thread reads on
        for done, (tile, detections) in enumerate(tiles, start=1):
            if tile.bounds[1] > frontier:  # tiles come row by row: what lies above this one is complete
                frontier = tile.bounds[1]
                final.append(_inside(plan, merger.final(frontier)))
            if detections is None:
                empty += 1
            else:
                possible = of_possible_size(detections, predictor.card, plan.tile_gsd_m)
                merger.add(tile.to_scene(possible), tile.index, tile.bounds)
                count += len(possible)
                impossible += len(detections) - len(possible)
            on_progress(Progress(done, total, count))
    if total and empty == total:
        warn(f"scene '{plan.reader.scene.info.path}' has no pixel with data, so nothing was looked at")
    merged = Detections.joined([*final, _inside(plan, merger.final())])
    return Outcome(merged.selected(ranking(merged)), empty, impossible)


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
    plan: ScenePlan, predictor: Predictor, batch: int, warn: Warn
) -> Generator[tuple[Tile, Detections | None], None, None]:
    """Every wanted tile with its detections (tile pixels); None for a tile without a valid pixel."""
    waiting: deque[tuple[Tile, NDArray[np.uint8]]] = deque()
    size = batch
    with closing(read_ahead(plan.reader, plan.tiles(), READ_THREADS, ahead=max(batch, READ_THREADS))) as images:
        for tile, image in images:
            if image is None:
                yield tile, None
                continue
            waiting.append((tile, image))
            while len(waiting) >= size:
                size = yield from _run_batch(waiting, predictor, size, warn)
        while waiting:
            size = yield from _run_batch(waiting, predictor, size, warn)


def _run_batch(
    waiting: deque[tuple[Tile, NDArray[np.uint8]]], predictor: Predictor, size: int, warn: Warn
) -> Generator[tuple[Tile, Detections | None], None, int]:
    """Runs up to `size` waiting tiles; returns the size for the next batch, half of it if memory ran out."""
    some = [waiting[index] for index in range(min(size, len(waiting)))]
    try:
        found = predictor.predict(np.stack([image for _, image in some]))
    except DeviceMemoryError as error:
        if len(some) == 1:
            raise
        warn(f"{error}; going on with {len(some) // 2}")
        return len(some) // 2
    for (tile, _), detections in zip(some, found, strict=True):
        waiting.popleft()
        yield tile, detections
    return size


def _provenance(plan: ScenePlan, predictor: Predictor, config: DetectConfig, outcome: Outcome) -> dict[str, Any]:
    info, card, wanted = plan.reader.scene.info, predictor.card, int(plan.wanted.sum())
    crs = info.georeference.crs
    parameters = {name: str(value) if hasattr(value, "parts") else value for name, value in asdict(config).items()}
    return {
        "version": lcageo.__version__,
        "model": card.name,
        "model_sha256": card.sha256,
        "trained_on": card.trained_on or "nothing: this model is untrained",
        "licence": card.licence,
        "scene": info.path,
        "crs": None if crs is None else (crs.to_string() if crs.to_authority() else crs.to_wkt()),
        "placed_by": info.georeference.kind,
        "parameters": parameters,
        "bands": list(info.bands),
        "stretch": {"low": list(plan.reader.stretch.low), "high": list(plan.reader.stretch.high)},
        "scene_gsd_m": info.gsd_m,
        "scene_pixels_per_tile_pixel": plan.grid.scale,
        "tiles": {
            "planned": len(plan.grid),
            "outside_area_of_interest": len(plan.grid) - wanted,
            "without_data": outcome.empty_tiles,
            "run": wanted - outcome.empty_tiles,
        },
        "boxes_of_impossible_size": outcome.impossible,
        "edge_nodata": None if plan.reader.edge is None else ("black" if plan.reader.edge.black else "white"),
    }
