"""The demo scene is seeded and georeferenced, and its ground truth matches its objects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import REPOSITORY
from make_scene import render_scene
from pyproj import Transformer

CLASSES = [
    "airplane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court", "ground track field",
    "harbor", "bridge", "vehicle",
]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    script = REPOSITORY / "examples" / "make_scene.py"
    command = [sys.executable, script, folder / "scene.tif", "--truth", folder / "truth.geojson", "--size", "1024"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_scene_is_a_georeferenced_picture(written: Path) -> None:
    with rasterio.open(written / "scene.tif") as scene:
        assert (scene.width, scene.height, scene.count, scene.dtypes[0]) == (1024, 1024, 3, "uint8")
        assert scene.crs.to_epsg() == 32633 and scene.res == (0.5, 0.5) and scene.overviews(1)
        pixels = scene.read()
    assert pixels.std() > 20 and len(np.unique(pixels.reshape(3, -1).T, axis=0)) > 10_000


def test_the_ground_truth_is_on_the_objects(written: Path) -> None:
    features = json.loads((written / "truth.geojson").read_text())["features"]
    assert len(features) > 10
    to_map = Transformer.from_crs(4326, 32633, always_xy=True)
    with rasterio.open(written / "scene.tif") as scene:
        for feature in features:
            assert CLASSES[feature["properties"]["class_id"]] == feature["properties"]["class"]
            ring = np.array(feature["geometry"]["coordinates"][0])
            xs, ys = to_map.transform(*ring.T)
            cols, rows = _pixels(scene, xs, ys)
            assert np.abs(cols - np.round(cols)).max() < 0.01 and np.abs(rows - np.round(rows)).max() < 0.01
            assert 0 <= cols.min() < cols.max() <= 1024 and 0 <= rows.min() < rows.max() <= 1024


def _pixels(scene: rasterio.DatasetReader, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inverse = ~scene.transform
    return inverse.a * xs + inverse.c, inverse.e * ys + inverse.f


def test_a_seed_gives_one_scene() -> None:
    first, objects = render_scene(256, 0.5, seed=3)
    again, same = render_scene(256, 0.5, seed=3)
    other, _ = render_scene(256, 0.5, seed=4)
    assert (first == again).all() and objects == same and (first != other).any()
