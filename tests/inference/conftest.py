"""Fixtures of the tests of inference."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.interrupted_runs import PLACES
from support.scenes import squares, write_scene
from support.square_scenes import SQUARES

from lcageo.inference.jobs import Job
from lcageo.vector.target import FileTarget


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "squares.tif", squares(220, 340, SQUARES))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    scene = write_scene(tmp_path / "scene.tif", squares(220, 340, PLACES))
    return Job(str(scene), (FileTarget.of(tmp_path / "found.geojson"),), None)
