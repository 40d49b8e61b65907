"""The result of a run over a scene, and how it was made: counts, holes, the record of the run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyproj
from numpy.typing import NDArray

from lcageo.calibration import Expected
from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import TileRunner
from lcageo.runtime.catalog import ModelCard
from lcageo.scene.aoi import covered_px
from lcageo.scene.describe import SceneInfo
from lcageo.scene.stretch import Stretch
from lcageo.vector.columns import layer_scores
from lcageo.vector.record import RunRecord, SceneGrid, TileCounts, ValueRange
from lcageo.version import __version__


@dataclass(frozen=True, slots=True)
class Hole:
    """A tile that could not be read completely and was skipped; neighbours may have covered parts of it."""

    bounds_xyxy: tuple[float, float, float, float]
    """Scene pixels."""
    reason: str


@dataclass(frozen=True, slots=True)
class SceneSummary:
    """What was found in a scene, in numbers, and how."""

    info: SceneInfo
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """Number of objects found, of each class."""
    expected: dict[str, Expected]
    """How many of those found are probably right, of each class that the model's scores are calibrated for; empty for
    a scene that is unlike the model's training images."""
    candidates: int
    """Number of others that were kept, which score less than their class's threshold."""
    stretch: Stretch
    record: RunRecord = field(repr=False)
    """Model, parameters and skipped parts."""
    tiles: TileCounts
    """Number of the scene's tiles that were run, skipped and so on."""
    holes: tuple[Hole, ...]
    """Tiles that could not be read."""
    files: tuple[str, ...]
    """Paths of all files of the scene: the raster, masks, overviews, world files, a VRT's sources."""
    seconds: float
    hints: tuple[str, ...] = ()
    """Why few objects may have been found, and which option finds more; empty where enough were."""

    @property
    def objects(self) -> int:
        """Number of objects found, of all classes."""
        return sum(self.counts)

    def per_class(self) -> dict[str, int]:
        """Number of objects of each class that was found."""
        return {name: count for name, count in zip(self.classes, self.counts, strict=True) if count}

    def found_only(self, objects: Detections) -> Detections:
        """Those of some objects that are no candidates."""
        if not self.candidates:
            return objects
        least = self.record.least_scores()
        minimum = np.array([least[name] for name in self.classes])
        return objects.selected(layer_scores(objects.scores) >= minimum[objects.labels])

    def hole_bounds(self) -> NDArray[np.float64]:
        """(N, 4) bounds of the holes, scene pixels, clipped to the scene."""
        bounds = np.array([hole.bounds_xyxy for hole in self.holes], np.float64).reshape(-1, 4)
        return np.minimum(bounds, [self.info.width, self.info.height] * 2)

    def hole_text(self) -> str:
        """One line on how much could not be read, and why."""
        tiles, pixels, size_m = self.tiles, covered_px(self.hole_bounds()), self.info.pixel_size_m
        area = f"{pixels:,.0f} pixels" if size_m is None else f"{pixels * size_m[0] * size_m[1]:,.0f} m2"
        share = pixels / (self.info.width * self.info.height)
        tried = tiles.unreadable + tiles.run + tiles.without_data
        return (
            f"{tiles.unreadable:,} of {tried:,} tiles ({area}, {share:.1%} of the scene) could not be read "
            f"completely; the first: {self.holes[0].reason}"
        )


def model_record(card: ModelCard) -> RunRecord:
    """The part of a record that names the tool and the model, for results of any kind."""
    return RunRecord(
        version=__version__,
        model=card.name,
        model_sha256=card.sha256,
        trained_on=card.trained_on or "nothing: this model is untrained",
        licence=card.licence,
    )


def run_record(
    plan: ScenePlan,
    runner: TileRunner,
    config: DetectConfig,
    run: str,
    tiles: TileCounts,
    impossible: int,
    distance: float | None = None,
) -> RunRecord:
    """Model, parameters and skipped parts of a run.

    Args:
        plan: of the scene.
        runner: the runner that was used.
        config: the settings.
        run: the run's name, see `run_name`.
        tiles: number of tiles that were run, skipped and so on.
        impossible: number of boxes left out for their size.
        distance: of the scene's look from the model's training images; None if unknown.
    """
    info, stretch, edge = plan.reader.scene.info, plan.reader.stretch, plan.reader.edge
    record = replace(
        model_record(runner.card),
        engine=str(runner.engine),
        run=run,
        scene=info.path,
        stac_item=info.item,
        scene_grid=_grid(info, runner.card),
        crs=_named(info.georeference.crs),
        placed_by=info.georeference.kind,
        parameters=config.for_model(runner.card.iou).parameters(),
        thresholds=runner.card.least_scores(config.score),
        calibration=runner.card.calibration or None,
        bands=info.bands,
        stretch=ValueRange(stretch.low, stretch.high),
        scene_gsd_m=info.gsd_m,
        scene_pixels_per_tile_pixel=plan.grid.scale,
        tiles=tiles,
        boxes_of_impossible_size=impossible,
        distance_from_training=None if distance is None else round(distance, 3),
        edge_nodata=None if edge is None else edge.name,
    )
    lacking = (name for name in ("crs", "scene_gsd_m", "edge_nodata") if getattr(record, name) is None)
    return replace(record, nulls=frozenset(lacking))


def _grid(info: SceneInfo, card: ModelCard) -> SceneGrid:
    place = info.georeference
    affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) if place.crs is None else place.affine and tuple(place.affine)[:6]
    return SceneGrid((info.width, info.height), _named(place.crs), affine, card.classes)


def _named(crs: pyproj.CRS | None) -> str | None:
    return None if crs is None else (crs.to_string() if crs.to_authority() else crs.to_wkt())
