"""Scenes of bright squares, and a model that finds them."""

from __future__ import annotations

from pathlib import Path

from support.bright import BrightSquares, bright_card

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.scene import SceneResult, detect_scene
from lcageo.scene.raster import open_scene

SQUARES = [
    (5, 5, 20, 210),
    (60, 5, 24, 240),
    (200, 100, 8, 250),
    (301, 37, 17, 205),
    (90, 150, 24, 220),
    (280, 180, 20, 235),
]


def run(path: Path, tile_size: int = 64, batch: int = 4, largest_batch: int = 1000, **config: object) -> SceneResult:
    predictor = BrightSquares(bright_card(tile_size), largest_batch)
    with open_scene(path) as scene:
        return detect_scene(scene, predictor, DetectConfig(**config), batch, warn=lambda line: None)  # type: ignore[arg-type]


def rows(found: Detections) -> list[list[float]]:
    return sorted(
        [*box, float(score), int(label)]
        for box, score, label in zip(found.boxes_xyxy.tolist(), found.scores, found.labels, strict=True)
    )
