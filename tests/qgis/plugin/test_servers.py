"""Detect on what a real server draws: objects are where they are in the file that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
from support.map_server import MapServer, served
from support.qgis_runs import Qgis

GSD_M = 0.3
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MapServer]:
    with served(rendered / "scene.tif", tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize("kind", ["wms", "tiles"])
def test_objects_are_where_those_of_the_file_are(
    kind: str, qgis: Qgis, server: MapServer, rendered: Path, tmp_path: Path
) -> None:
    with rasterio.open(rendered / "scene.tif") as dataset:
        bounds = dataset.bounds
    extent = f"{bounds.left},{bounds.right},{bounds.bottom},{bounds.top} [{server.crs}]"
    ended = qgis.run(
        "detect", INPUT=f"wms://{getattr(server, kind)}", EXTENT=extent, SERVER_GSD=GSD_M,
        OUTPUT=tmp_path / "found.gpkg",
    )  # fmt: skip
    assert ended.code == 0 and "drawing " in ended.text, ended.text
    found = geopandas.read_file(tmp_path / "found.gpkg", layer="found").to_crs(server.crs)
    expected = geopandas.read_file(rendered / "found.gpkg", layer="found")
    clear = expected[expected["score"] >= 0.7]
    assert len(clear) > 5
    overlaps = [max((iou(one, other) for other in found.geometry), default=0.0) for one in clear.geometry]
    assert sum(overlap > 0.6 for overlap in overlaps) >= 0.9 * len(clear), sorted(overlaps)


def iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    """Intersection over union."""
    return float(one.intersection(other).area / one.union(other).area)


def test_a_layer_from_a_server_needs_an_extent(qgis: Qgis, server: MapServer, tmp_path: Path) -> None:
    ended = qgis.run("detect", INPUT=f"wms://{server.wms}", OUTPUT=tmp_path / "found.gpkg")
    assert ended.code != 0 and "choose the extent" in ended.text
