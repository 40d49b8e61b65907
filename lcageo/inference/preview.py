"""What a scene contains and how long a run over it would take, without running it."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import psutil

from lcageo.config import DetectConfig
from lcageo.errors import DeviceMemoryError, SceneError
from lcageo.inference.plan import (
    ScenePlan,
    cheapest_tiles,
    choose_overlap,
    choose_scale,
    plan_scene,
    sure_tiles,
    with_passes,
)
from lcageo.inference.runner import READ_THREADS, LocalRunner
from lcageo.runtime.catalog import ModelCard
from lcageo.scene.edges import edge_note, find_edge, with_data
from lcageo.scene.prefetch import TileReader, read_ahead
from lcageo.scene.raster import Scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.servers.cost import fetching_note
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import Scale

MEGABYTE = 1_000_000
MAX_TRIED = 16
"""Maximum number of tiles of a damaged scene that are tried until one can be read and timed."""
REMOTE_TIMED = 6
"""Number of tiles of a scene on a server that are timed together."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Estimated time and memory of a run over a scene."""

    scene: str
    tiles: int
    """Number of tiles that would be read, in all passes; at most, where a pass depends on what another finds."""
    outside_aoi: int
    """Number of tiles outside the area of interest."""
    passes: tuple[tuple[Scale, int], ...]
    """For each pass, scene pixels per tile pixel along rows and columns, and the number of tiles that would be read."""
    is_upper_bound: bool
    """Whether fewer tiles may be run: the last pass is only around small objects that the first one finds."""
    empty_share: float
    """Share of the scene without data, 0 to 1, estimated from a sample; its tiles are skipped."""
    seconds: float
    """Estimated duration, from one batch that was timed."""
    memory_mb: float
    """Estimated peak of this process, megabytes."""
    warnings: tuple[str, ...]


def preview_scene(scene: Scene, runner: LocalRunner, config: DetectConfig) -> Preview:
    """Plans a scene and times one batch of its tiles.

    Raises:
        UsageError, SceneError, DeviceMemoryError: as detect_scene would.
    """
    predictor, plan = runner.predictor, plan_scene(scene, runner.card, config)
    side = plan.reader.tile_size
    tiles = plan.wanted_tiles
    # In tiles of the first pass's size, which one is timed: the others may have another.
    work = sum(int(one.wanted.sum()) * (one.reader.tile_size / side) ** 2 for one in plan.passes)
    images = np.zeros((max(1, min(runner.batch_of(side), tiles)), 3, side, side), np.uint8)
    while True:
        try:
            predictor.predict(images)  # the first call includes the set-up, so it is not timed
            break
        except DeviceMemoryError:
            if len(images) == 1:
                raise
            images = images[: len(images) // 2]
    sample = sample_scene(scene)
    share = float(with_data(sample, plan.reader.edge).mean())
    reading = _reading_s(plan, runner)
    started = time.monotonic()
    predictor.predict(images)
    inference = (time.monotonic() - started) / len(images)
    waiting = (2 * len(images) + READ_THREADS) * images[0].nbytes  # read ahead and in the batch
    cache = runner.order(plan, np.flatnonzero(plan.wanted)).cache_bytes
    return Preview(
        scene=scene.info.path,
        tiles=tiles,
        outside_aoi=plan.outside_tiles,
        passes=tuple((one.grid.scale, int(one.wanted.sum())) for one in plan.passes),
        is_upper_bound=any(one.near_small for one in plan.passes),
        empty_share=1.0 - share,
        seconds=work * max(inference * share, reading),
        memory_mb=psutil.Process().memory_info().rss / MEGABYTE + (cache + waiting) / MEGABYTE,
        warnings=plan.warnings,
    )


def _reading_s(plan: ScenePlan, runner: LocalRunner) -> float:
    """Seconds that a run reads for each tile, from the first tile that can be read; on a server, from some of them."""
    started = time.monotonic()
    if plan.reader.scene.is_remote:  # which is waited for once for many tiles
        some = np.flatnonzero(plan.wanted)[:REMOTE_TIMED]
        with closing(read_ahead(plan.reader, plan.grid, runner.order(plan, some), len(some))) as tiles:
            for _ in tiles:
                pass
        return (time.monotonic() - started) / max(1, len(some))
    for tile in islice(plan.tiles(), MAX_TRIED):
        try:
            plan.reader.read(tile)
            break
        except SceneError:  # a damaged scene: time a tile that can be read
            started = time.monotonic()
    return (time.monotonic() - started) / READ_THREADS


def describe_scene(scene: Scene, card: ModelCard | None) -> dict[str, Any]:
    """Properties of a scene as the tool sees it, JSON-ready; with a model, also how it would be tiled."""
    info = scene.info
    crs = info.georeference.crs
    sample = sample_scene(scene)
    edge = find_edge(sample, info)
    xs, ys = info.georeference.to_map(np.array([0.0, float(info.width)]), np.array([0.0, float(info.height)]))
    described: dict[str, Any] = {
        "scene": info.path,
        "driver": info.driver,
        "size": [info.width, info.height],
        "bands": {"count": info.count, "used_as_rgb": list(info.bands), "dtype": info.dtype},
        "crs": None if crs is None else (crs.to_string() if crs.to_authority() else crs.name),
        "georeference": info.georeference.kind,
        "corners": [[float(xs[0]), float(ys[0])], [float(xs[1]), float(ys[1])]],
        "gsd_m": info.gsd_m,
        "pixel_size_m": None if info.pixel_size_m is None else list(info.pixel_size_m),
        "mask": info.mask,
        "untagged_edge": None if edge is None else edge.name,
        "valid_share": float(with_data(sample, edge).mean()),
        "blocks": list(info.block_shape),
        "compression": info.compression,
        "overviews": list(info.overviews),
        "missing_files": list(info.missing),
        "warnings": [*info.warnings(), *edge_note(info, edge)],
    }
    if card is not None:
        config = DetectConfig()
        scale, notes = choose_scale(info, card, config.gsd)
        side, grid, wanted = cheapest_tiles(info, card, config, scale, None)
        reader = TileReader(scene, IDENTITY, edge, side, card.fill)  # nothing is read, so no stretch is estimated
        plan = with_passes(ScenePlan(reader, grid, wanted, None, ()), card, config)
        described["tiling"] = {
            "model": card.name,
            "tile_size": side,
            "overlap": choose_overlap(replace(card, tile_size=side), None),
            "scene_pixels_per_tile_pixel": list(scale),
            "tiles": len(grid),
            "further_passes": [
                {
                    "tile_size": one.reader.tile_size,
                    "scene_pixels_per_tile_pixel": list(one.grid.scale),
                    "tiles": len(one.grid),
                    "only_around_small_objects": one.near_small,
                }
                for one in plan.further
            ],
        }
        described["warnings"] += [*notes, *fetching_note(scene, sure_tiles(plan))]
    return described
