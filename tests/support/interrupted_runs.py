"""A job that takes some batches, and a model that fails, stops or kills in the middle."""

from __future__ import annotations

from support.bright import BrightSquares

from lcageo.config import DetectConfig
from lcageo.inference.jobs import Job
from lcageo.inference.journal import Earlier
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run

PLACES = [(x, y, 8 + (x + y) % 17, 205 + (x * y) % 50) for x in range(5, 330, 37) for y in range(5, 210, 41)]


CONFIG = DetectConfig(overlap="24")


def run(
    job: Job, predictor: BrightSquares, config: DetectConfig = CONFIG, earlier: Earlier = Earlier.SAME
) -> tuple[bytes, list[int]]:
    """The result's bytes, and the number of finished tiles at every progress message."""
    progress: list[int] = []
    outcomes = run_jobs(
        [job],
        Run(LocalRunner(predictor, 3), config, lambda line: None, lambda _, at: progress.append(at.done), earlier),
    )
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
    return job.layers[0].path.read_bytes(), progress
