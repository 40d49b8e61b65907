"""What a run over a scene gave, and how it came about: counts, holes, provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.inference.identity import run_identity, run_name
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import TileRunner
from lcageo.runtime.catalog import ModelCard
from lcageo.scene.aoi import covered_px
from lcageo.scene.describe import SceneInfo
from lcageo.scene.stretch import Stretch
from lcageo.version import __version__


@dataclass(frozen=True, slots=True)
class Hole:
    """A tile that holds something unreadable, so that it was not looked at; neighbours may have seen parts of it."""

    bounds_xyxy: tuple[float, float, float, float]
    """Scene pixels."""
    reason: str


@dataclass(frozen=True, slots=True)
class SceneReport:
    """How much was found in a scene, and how."""

    info: SceneInfo
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """Objects of each class."""
    stretch: Stretch
    provenance: dict[str, Any] = field(repr=False)
    """Model, parameters and skipped parts; JSON-ready."""
    holes: tuple[Hole, ...]
    """Tiles that could not be read."""
    files: tuple[str, ...]
    """Paths of what belongs to the scene: its file, masks, overviews, world files, a VRT's sources."""
    seconds: float

    @property
    def objects(self) -> int:
        """All that were found."""
        return sum(self.counts)

    def per_class(self) -> dict[str, int]:
        """Objects of each class that was found."""
        return {name: count for name, count in zip(self.classes, self.counts, strict=True) if count}

    def hole_bounds(self) -> NDArray[np.float64]:
        """(N, 4) what could not be read, scene pixels, cut at the scene's border."""
        bounds = np.array([hole.bounds_xyxy for hole in self.holes], np.float64).reshape(-1, 4)
        return np.minimum(bounds, [self.info.width, self.info.height] * 2)

    def hole_text(self) -> str:
        """How much could not be read, and why, in a line."""
        tiles, pixels, size_m = self.provenance["tiles"], covered_px(self.hole_bounds()), self.info.pixel_size_m
        area = f"{pixels:,.0f} pixels" if size_m is None else f"{pixels * size_m[0] * size_m[1]:,.0f} m2"
        share = pixels / (self.info.width * self.info.height)
        tried = tiles["unreadable"] + tiles["run"] + tiles["without_data"]
        return (
            f"{tiles['unreadable']:,} of {tried:,} tiles ({area}, {share:.1%} of the scene) could not be read whole; "
            f"the first: {self.holes[0].reason}"
        )


def model_provenance(card: ModelCard) -> dict[str, str]:
    """What a result of any kind says of the tool and the model that made it."""
    return {
        "version": __version__,
        "model": card.name,
        "model_sha256": card.sha256,
        "trained_on": card.trained_on or "nothing: this model is untrained",
        "licence": card.licence,
    }


def provenance(
    plan: ScenePlan, runner: TileRunner, config: DetectConfig, empty: int, unread: int, impossible: int
) -> dict[str, Any]:
    """Model, parameters and skipped parts of a run, JSON-ready.

    Args:
        plan: of the scene.
        runner: what ran it.
        config: what was asked for.
        empty: tiles without a valid pixel.
        unread: tiles that could not be read.
        impossible: boxes left out for their size.
    """
    info, wanted = plan.reader.scene.info, int(plan.wanted.sum())
    return {
        **model_provenance(runner.card),
        "engine": str(runner.engine),
        "run": run_name(run_identity(plan, runner, config)),
        "scene": info.path,
        "scene_grid": _grid(info, runner.card),
        "crs": _named(info.georeference.crs),
        "placed_by": info.georeference.kind,
        "parameters": config.parameters(),
        "thresholds": runner.card.least_scores(config.score),
        "bands": list(info.bands),
        "stretch": {"low": list(plan.reader.stretch.low), "high": list(plan.reader.stretch.high)},
        "scene_gsd_m": info.gsd_m,
        "scene_pixels_per_tile_pixel": plan.grid.scale,
        "tiles": {
            "planned": len(plan.grid),
            "outside_area_of_interest": len(plan.grid) - wanted,
            "without_data": empty,
            "unreadable": unread,
            "run": wanted - empty - unread,
        },
        "boxes_of_impossible_size": impossible,
        "edge_nodata": None if plan.reader.edge is None else ("black" if plan.reader.edge.black else "white"),
    }


def _grid(info: SceneInfo, card: ModelCard) -> dict[str, Any]:
    """What brings map features back into boxes in the scene's pixels; transform None: none that is affine."""
    place = info.georeference
    affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) if place.crs is None else place.affine and tuple(place.affine)[:6]
    return {
        "size": [info.width, info.height],
        "crs": _named(place.crs),
        "transform": None if affine is None else list(affine),
        "classes": list(card.classes),
    }


def _named(crs: pyproj.CRS | None) -> str | None:
    return None if crs is None else (crs.to_string() if crs.to_authority() else crs.to_wkt())
