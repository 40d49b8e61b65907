"""All that decides what a run finds in a scene, so that parts of different runs are never put together."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lcageo
from lcageo.config import DetectConfig
from lcageo.pipeline.plan import ScenePlan
from lcageo.runtime.predictor import Predictor

HEADER_BYTES = 1 << 16
"""Of a file, that tell it from another of the same size and time."""


def run_identity(plan: ScenePlan, predictor: Predictor, config: DetectConfig) -> dict[str, Any]:
    """Scene, model, parameters and what follows from them, JSON-ready, by names that a user understands."""
    card, grid = predictor.card, plan.grid
    parameters = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
    return {
        **_file(plan.reader.scene.info.path),
        "model": card.name,
        "model's SHA-256": card.sha256,
        "device": predictor.device,
        "version": lcageo.__version__,
        **{f"--{name.replace('_', '-')}": value for name, value in parameters.items()},
        "thresholds": card.thresholds,
        "sizes": card.size_m,
        "tile": [card.tile_size, len(grid.col_starts), len(grid.row_starts), grid.scale],
        "area": hashlib.sha256(plan.wanted.tobytes()).hexdigest()[:16],
        "stretch": [plan.reader.stretch.low, plan.reader.stretch.high],
    }


def _file(path: str) -> dict[str, Any]:
    """What tells a scene's file from its earlier or later self; of one that is not on a disk, its name alone."""
    file = Path(path)
    if not file.is_file():
        return {"scene": path}
    status = file.stat()
    with file.open("rb") as content:
        header = hashlib.sha256(content.read(HEADER_BYTES)).hexdigest()
    return {
        "scene": str(file.absolute()),
        "the scene's bytes": status.st_size,
        "the scene's time": status.st_mtime_ns,
        "the scene's header": header[:16],
    }
