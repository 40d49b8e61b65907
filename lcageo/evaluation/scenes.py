"""Evaluation through tiling and merging: scenes among labelled images, and other images cut as if they were scenes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from lcageo.config import NATIVE_GSD, DetectConfig
from lcageo.data.annotations import Annotation
from lcageo.data.images import is_turned, read_annotated, wrong_size
from lcageo.data.pixels import stretch_of
from lcageo.detections import Detections
from lcageo.errors import ConfigError, DataError, SceneError
from lcageo.inference.plan import ScenePlan, plan_scene, tile_grid, with_passes
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run, detect_in_memory
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor
from lcageo.scene.describe import MAX_ENLARGEMENT
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.stretch import Stretch

TILE_STEP = 32
"""Tile sizes are multiples of it: the coarsest usual stride of the network."""
TILE_RANGE = (64, 4096)


@dataclass(frozen=True, slots=True)
class Tiling:
    """How labelled images are cut into tiles, which `detect` does with scenes."""

    side: int | None = None
    """Side of the tiles, pixels; None: that of the model's tile."""
    enlargement: float = 1.0
    """Tile pixels per image pixel."""

    def __post_init__(self) -> None:
        if self.side is not None and (not TILE_RANGE[0] <= self.side <= TILE_RANGE[1] or self.side % TILE_STEP):
            raise ConfigError(
                f"tile {self.side} is not a multiple of {TILE_STEP} from {TILE_RANGE[0]} to {TILE_RANGE[1]}"
            )
        if not 1 / MAX_ENLARGEMENT <= self.enlargement <= MAX_ENLARGEMENT:
            raise ConfigError(
                f"enlargement {self.enlargement:g} is outside {1 / MAX_ENLARGEMENT:g} to {MAX_ENLARGEMENT:g}"
            )


def find_in_tiles(
    annotation: Annotation, predictor: Predictor, config: DetectConfig, batch: int, tiling: Tiling | None
) -> Detections:
    """Detections of a model in one labelled image that is cut into tiles, in its pixels, best first.

    Args:
        annotation: the image.
        predictor: the model; its own thresholds apply.
        config: how to cut and merge.
        batch: maximum number of tiles run at a time.
        tiling: how to cut; None: as `detect` cuts a scene at its own resolution.

    Raises:
        SceneError: if the image cannot be read.
        DataError: if its size differs from its record's.
        ConfigError: if the overlap is not allowed.
    """
    with _opened(annotation) as scene:
        size = scene.info.width, scene.info.height
        if size != (annotation.width, annotation.height):
            raise DataError(wrong_size(annotation, size))
        if tiling is None:
            of_set = None if scene.info.dtype == "uint8" else annotation.stretch
            stretch = None if of_set is None else stretch_of(scene, of_set)
            plan = plan_scene(scene, predictor.card, replace(config, gsd=NATIVE_GSD), stretch=stretch)
        else:
            plan = plan_image(scene, predictor.card, config, tiling, annotation.stretch)
        # Labelled images are seldom georeferenced, and unreadable parts raise an error: no warning is needed.
        result = detect_in_memory(plan, Run(LocalRunner(predictor, batch), config, warn=lambda line: None))
        if result.summary.holes:
            raise SceneError(result.summary.holes[0].reason)
        return result.detections


@contextmanager
def _opened(annotation: Annotation) -> Iterator[Scene]:
    """The image as a scene; a photograph that is stored turned, as an upright copy: GDAL passes over its tag."""
    if not is_turned(annotation):
        with open_scene(annotation.image) as scene:
            yield scene
        return
    with TemporaryDirectory(prefix="lcageo-") as folder:
        copy = Path(folder) / f"{annotation.image.stem}.tif"
        Image.fromarray(read_annotated(annotation)).save(copy)
        with open_scene(copy) as scene:
            yield scene


def plan_image(
    scene: Scene, card: ModelCard, config: DetectConfig, tiling: Tiling, stretch: Stretch | None = None
) -> ScenePlan:
    """Tiles of an image, all of whose pixels count.

    Args:
        scene: the image.
        card: the model's card.
        config: overlap and passes, as for scenes.
        tiling: side of the tiles, and enlargement.
        stretch: that of the image's set, for values of more than eight bits; None: that of the image.

    Raises:
        ConfigError: if the overlap is not allowed.
    """
    info, tile = scene.info, tiling.side or card.tile_size
    scale = (1 / tiling.enlargement, 1 / tiling.enlargement)
    card = replace(card, tile_size=tile, larger_tile_size=None)
    grid = tile_grid(info, card, config, scale)
    reader = TileReader(scene, stretch_of(scene, stretch), None, tile, card.fill)
    return with_passes(ScenePlan(reader, grid, np.ones(len(grid), np.bool_), None, ()), card, config)
