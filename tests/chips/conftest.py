"""Fixtures of the tests of chips."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.labelled_scenes import PIXELS, TYPES, on_map, write_labels
from support.scenes import noise, write_scene


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 400 x 400 pixels with six labels in longitude and latitude."""
    folder = tmp_path_factory.mktemp("place")
    write_scene(folder / "scene.tif", noise(400, 400))
    write_labels(folder / "labels.gpkg", [on_map(box) for box in PIXELS], to="EPSG:4326", type=TYPES)
    return folder
