"""Fixtures of the tests of chips."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import shapely
from support.chip_runs import PLACES
from support.labelled_scenes import PIXELS, TYPES, on_map, write_labels
from support.scenes import UTM, noise, squares, write_scene


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 400 x 400 pixels with six labels in longitude and latitude."""
    folder = tmp_path_factory.mktemp("place")
    write_scene(folder / "scene.tif", noise(400, 400))
    write_labels(folder / "labels.gpkg", [on_map(box) for box in PIXELS], to="EPSG:4326", type=TYPES)
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Bright squares on a scene of 512 pixels, and a layer of them in degrees."""
    write_scene(tmp_path / "scene.tif", squares(512, 512, PLACES))
    boxes = [
        shapely.box(UTM.c + x / 2, UTM.f - (y + side) / 2, UTM.c + (x + side) / 2, UTM.f - y / 2)
        for x, y, side, _ in PLACES
    ]
    layer = geopandas.GeoDataFrame({"kind": ["square"] * len(boxes)}, geometry=boxes, crs="EPSG:32633")
    layer.to_crs(4326).to_file(tmp_path / "labels.geojson")
    return tmp_path / "labels.geojson"
