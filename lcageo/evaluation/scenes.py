"""Evaluation through tiling and merging: scenes among labelled images, and other images cut as if they were scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lcageo.config import NATIVE_GSD, DetectConfig
from lcageo.data.annotations import Annotation
from lcageo.data.images import wrong_size
from lcageo.detections import Detections
from lcageo.errors import ConfigError, DataError, SceneError
from lcageo.inference.plan import ScenePlan, choose_overlap, plan_scene
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run, detect_in_memory
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.stretch import IDENTITY, estimate_stretch
from lcageo.scene.tiles import plan_tiles

TILE_STEP = 32
"""Tile sizes are multiples of it: the coarsest usual stride of the network."""
TILE_RANGE = (64, 4096)


def default_tile(card: ModelCard) -> int:
    """Half of the model's tile: an image then has about nine tiles, most with seams on two or more sides."""
    return max(TILE_RANGE[0], card.tile_size // 2 // TILE_STEP * TILE_STEP)


def find_in_tiles(
    annotation: Annotation, predictor: Predictor, config: DetectConfig, batch: int, tile: int | None
) -> Detections:
    """Detections of a model in one labelled image that is cut into tiles, in its pixels, best first.

    Args:
        annotation: the image.
        predictor: the model; its own thresholds apply.
        config: how to cut and merge.
        batch: maximum number of tiles run at a time.
        tile: side of the tiles of an image that is not a scene, pixels; None: it is cut like a scene.

    Raises:
        SceneError: if the image cannot be read.
        DataError: if its size differs from its record's.
        ConfigError: if the tile or the overlap is not allowed.
    """
    with open_scene(annotation.image) as scene:
        size = scene.info.width, scene.info.height
        if size != (annotation.width, annotation.height):
            raise DataError(wrong_size(annotation, size))
        if annotation.is_scene or tile is None:
            plan = plan_scene(scene, predictor.card, replace(config, gsd=NATIVE_GSD))
        else:
            plan = plan_image(scene, predictor.card, config.overlap, tile)
        # Labelled images are seldom georeferenced, and unreadable parts raise an error: no warning is needed.
        result = detect_in_memory(plan, Run(LocalRunner(predictor, batch), config, warn=lambda line: None))
        if result.summary.holes:
            raise SceneError(result.summary.holes[0].reason)
        return result.detections


def plan_image(scene: Scene, card: ModelCard, overlap: str | None, tile: int) -> ScenePlan:
    """Tiles of an image at the scale at which it would be processed whole: its longer side is the model's tile.

    Args:
        scene: the image.
        card: the model's card.
        overlap: as the user gives it, of the smaller tiles; None: from the card, as for scenes.
        tile: side of the tiles, pixels.

    Raises:
        ConfigError: if the tile or the overlap is not allowed.
    """
    if not TILE_RANGE[0] <= tile <= TILE_RANGE[1] or tile % TILE_STEP:
        raise ConfigError(f"tile {tile} is not a multiple of {TILE_STEP} from {TILE_RANGE[0]} to {TILE_RANGE[1]}")
    info = scene.info
    shared = choose_overlap(replace(card, tile_size=tile), overlap)
    grid = plan_tiles(info.width, info.height, tile, shared, max(info.width, info.height) / card.tile_size)
    stretch = IDENTITY if info.dtype == "uint8" else estimate_stretch(sample_scene(scene))
    reader = TileReader(scene, stretch, None, tile, card.fill)
    return ScenePlan(reader, grid, np.ones(len(grid), np.bool_), None, ())
