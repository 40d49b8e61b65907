"""What decides a result, and so which runs belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.bright import Failing, PowerCutError
from support.interrupted_runs import CONFIG, PLACES, run
from support.scenes import squares, write_scene

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job
from lcageo.inference.journal import Earlier
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run


def test_other_settings_are_refused_by_name_and_restart_starts_over(job: Job) -> None:
    with pytest.raises(PowerCutError):
        run(job, Failing(4))
    other = replace(CONFIG, iou=0.5)
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), other, lambda line: None))
    assert isinstance(outcome.error, UsageError)
    assert "--iou 0.6, now 0.5;" in str(outcome.error) and "--restart" in str(outcome.error)
    assert "--overlap" not in str(outcome.error)
    assert run(job, Failing(), other, Earlier.NONE)[1][0] == 0


def test_another_scene_in_the_same_place_is_refused(job: Job) -> None:
    with pytest.raises(PowerCutError):
        run(job, Failing(4))
    write_scene(Path(job.scene), squares(220, 340, PLACES[::2]))
    (outcome,) = run_jobs([job], Run(LocalRunner(Failing(), 3), CONFIG, lambda line: None))
    assert "scene.tif [" in str(outcome.error)
