"""Runs of jobs that are interrupted, killed, or fail."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.bright import Failing, PowerCutError
from support.interrupted_runs import CONFIG, run

from lcageo.errors import InterruptedRunError, SceneError
from lcageo.inference import results, runner
from lcageo.inference.jobs import Job
from lcageo.inference.journal import journal_path
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run


@pytest.mark.parametrize("in_flight", [1, runner.IN_FLIGHT])
@pytest.mark.parametrize("good", [0, 1, 5, 12])
def test_a_run_that_broke_off_resumes_and_gives_the_same_bytes(
    job: Job, good: int, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IN_FLIGHT", in_flight)
    undisturbed, _ = run(job, Failing())
    assert not journal_path(job.layers[0].path).exists() and not list(job.layers[0].path.parent.glob(".*"))
    job.layers[0].path.unlink()
    with pytest.raises(PowerCutError):
        run(job, Failing(good))
    assert not job.layers[0].path.exists()
    predictor = Failing()
    again, progress = run(job, predictor)
    # A good batch that overtakes the one that breaks off is lost with it; one at a time, none is.
    assert again == undisturbed and progress[0] in {3 * max(0, good - lost) for lost in range(in_flight)}
    assert sum(predictor.batches) == 3 * math.ceil((progress[-1] - progress[0]) / 3)
    assert not journal_path(job.layers[0].path).exists()


def test_a_killed_process_leaves_a_journal_from_which_the_next_one_resumes(job: Job, tmp_path: Path) -> None:
    undisturbed, _ = run(job, Failing())
    job.layers[0].path.unlink()
    code = (
        "import signal; from support import bright, interrupted_runs; from pathlib import Path;"
        "from lcageo.inference.jobs import Job; from lcageo.vector.target import FileTarget;"
        f"layer = FileTarget.of(Path({str(job.layers[0].path)!r}));"
        f"interrupted_runs.run(Job({job.scene!r}, (layer,), None), bright.Failing(6, signal.SIGKILL))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    again, progress = run(job, Failing())
    assert again == undisturbed and progress[0] in (12, 15, 18)  # two batches may be running


def test_a_signal_ends_the_run_after_its_batch(job: Job) -> None:
    with pytest.raises(InterruptedRunError, match=r"after \d+ of \d+ tiles; run the same") as stopped:
        run(job, Failing(2, signal.SIGTERM))
    done = int(str(stopped.value).split()[2])
    assert done in (3, 6, 9)  # the signal came in the third batch, while the second may still have been running
    assert run(job, Failing())[1][0] == done


def test_a_scene_that_is_unreachable_at_the_end_loses_no_tile(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise SceneError("the server is gone")

    pictured = replace(job, quicklook=job.layers[0].path.with_suffix(".png"))
    with monkeypatch.context() as patch:
        patch.setattr(results, "reduced_image", unreachable)
        (outcome,) = run_jobs([pictured], Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
    assert isinstance(outcome.error, SceneError) and not job.layers[0].path.exists()
    predictor = Failing()
    run(pictured, predictor)
    assert predictor.batches == [] and pictured.quicklook is not None and pictured.quicklook.exists()
