"""Fixtures of the tests of cli."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import shapely
from support.chip_runs import PLACES
from support.scenes import UTM, squares, write_scene


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
