"""Runs the pipeline on any file, as `lcageo detect FILE -o OUT` does, and returns how it ended."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.bright import BRIGHT, bright_card

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.detections import Detections
from lcageo.errors import InterruptedRunError, LcageoError
from lcageo.inference.jobs import plan_jobs
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Progress, Run
from lcageo.journal.journal import Earlier


class BrightPart:
    """A predictor with at most one object per tile, around all bright pixels: fast for any content."""

    engine = Engine(Backend.TORCH, Precision.FP32, "cpu")
    batch = 2
    tile_by_tile = False

    def __init__(self) -> None:
        self.card = bright_card(128)

    def prepare(self, side: int) -> None:
        """Is always ready."""

    def forward(self, images: NDArray[np.uint8]) -> None:
        self.predict(images)

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        return [_bright_part(image.min(axis=0) >= BRIGHT) for image in images]


def _bright_part(bright: NDArray[np.bool_]) -> Detections:
    rows, columns = np.nonzero(bright)
    if len(rows) == 0:
        return Detections.empty()
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64))


def attempt(scene: Path, folder: Path, seconds: float = math.inf) -> tuple[str, str]:
    """Runs a scene; returns 'ok', 'holes', 'refused' or, after `seconds`, 'stopped', each with a message.

    Any other error is raised, also for a result that is not strict JSON.
    """
    end = time.monotonic() + seconds

    def stop_in_time(scene: str, at: Progress) -> None:
        if time.monotonic() > end:
            raise InterruptedRunError(f"stopped after {at.done:,} of {at.total:,} tiles")

    try:
        (job,) = plan_jobs([str(scene)], [folder / f"{scene.stem}.geojson"], None, overwrite=True)
        (outcome,) = run_jobs(
            [job], Run(LocalRunner(BrightPart()), DetectConfig(), lambda line: None, stop_in_time, Earlier.NONE)
        )
    except InterruptedRunError as error:
        return "stopped", str(error)
    except LcageoError as error:
        return "refused", str(error)
    if outcome.result is None:
        assert not str(outcome.error).startswith("unexpected"), outcome.error
        return "refused", str(outcome.error)
    features = json.loads(job.layers[0].path.read_text(), parse_constant=_no_number)["features"]
    assert len(features) == outcome.result.objects, "the layer has the counted objects"
    return ("holes", outcome.result.hole_text()) if outcome.result.holes else ("ok", f"{len(features)} objects")


def _no_number(text: str) -> None:
    raise ValueError(f"the layer contains {text}, which is not JSON")
