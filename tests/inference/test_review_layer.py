"""A review in every format, read without what wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest
from support.readers import read_layer

from lcageo.detections import Detections
from lcageo.inference.review import Review, review_features
from lcageo.vector.formats import FORMATS
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

OBJECTS = Detections(
    np.array([[0, 0, 10, 10], [50, 50, 60, 70]], np.float64), np.array([0.3, 0.2], np.float32), np.array([1, 0])
)
TILES = np.array([[0, 0, 64, 64], [40, 40, 100, 100]], np.float64)
REVIEW = Review(OBJECTS, np.array([0.98, 0.6]), TILES, np.array([1.58, 0.6]), np.array([2, 1]))
NOTHING = Review(Detections.empty(), np.zeros(0), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


@pytest.mark.parametrize("suffix", FORMATS)
def test_tiles_and_objects_come_by_their_uncertainty(suffix: str, tmp_path: Path) -> None:
    layer = review_features(REVIEW, ("ship", "car"), lambda x, y: (x, -y), pyproj.CRS("EPSG:32633"), "scene")
    write_layer([layer], RunRecord(), FileTarget.of(tmp_path / f"a{suffix}"))
    read = read_layer(tmp_path / f"a{suffix}")
    assert [(row["kind"], row.get("class") or "") for row in read.rows] == [
        ("tile", ""), ("object", "car"), ("tile", ""), ("object", "ship")
    ]  # fmt: skip
    assert [float(row["uncertain"]) for row in read.rows] == [1.58, 0.98, 0.6, 0.6]
    assert [int(row.get("candidates") or 0) for row in read.rows] == [2, 0, 1, 0]
    scores = [row.get("score") for row in read.rows]
    assert scores[0] in (None, "") and [float(scores[1] or 0), float(scores[3] or 0)] == [0.3, 0.2]
    if suffix != ".geojson":
        assert read.geometry[2].bounds == (40, -100, 100, -40)


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_to_review_is_an_empty_layer(suffix: str, tmp_path: Path) -> None:
    layer = review_features(NOTHING, ("ship",), lambda x, y: (x, y), pyproj.CRS("EPSG:32633"), "scene")
    write_layer([layer], RunRecord(), FileTarget.of(tmp_path / f"a{suffix}"))
    assert read_layer(tmp_path / f"a{suffix}").rows == []
