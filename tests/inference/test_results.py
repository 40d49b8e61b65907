"""Results go to their places together, whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bright import Failing, PowerCutError
from support.interrupted_runs import CONFIG

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job, plan_jobs
from lcageo.inference.journal import journal_path
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run


def test_a_run_killed_while_its_files_are_moved_into_place_resumes(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [job.layers[0].path, job.layers[0].path.with_suffix(".csv")]
    moved, replace_file = [], Path.replace

    def until_the_power_fails(path: Path, target: Path) -> None:
        if len(moved) == 2:  # the first layer and its style
            raise PowerCutError
        moved.append(target)
        replace_file(path, target)

    def detect() -> None:
        jobs = plan_jobs([job.scene], layers, None, overwrite=False)
        (outcome,) = run_jobs(jobs, Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
        assert outcome.error is None

    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(Path, "replace", until_the_power_fails)
        detect()
    assert [layer.exists() for layer in layers] == [True, False]
    detect()
    assert all(layer.exists() for layer in layers) and not journal_path(layers[0]).exists()
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        detect()
