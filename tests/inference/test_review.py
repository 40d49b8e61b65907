"""What to label next, against plain loops; that asking for it changes nothing of what is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from support.readers import read_layer
from support.scenes import noise, write_scene

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.plan import plan_scene
from lcageo.inference.review import Review, nearest_tiles, review_features, review_scene, uncertainty
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run, detect_planned, detect_scene
from lcageo.journal.journal import Journal
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import plan_tiles
from lcageo.vector.formats import FORMATS
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

SETTINGS: list[dict[str, Any]] = [
    {"score": 0.03}, {"score": 0.03, "keep": 0.02}, {"score": 0.03, "keep": 0.001}, {"score": 0.03, "agnostic": True},
    {"score": 0.03, "classes": ("ship", "bridge")}, {"score": 0.03, "max_per_tile": 5},
]  # fmt: skip
OBJECTS = Detections(
    np.array([[0, 0, 10, 10], [50, 50, 60, 70]], np.float64), np.array([0.3, 0.2], np.float32), np.array([1, 0])
)
TILES = np.array([[0, 0, 64, 64], [40, 40, 100, 100]], np.float64)
REVIEW = Review(OBJECTS, np.array([0.98, 0.6]), TILES, np.array([1.58, 0.6]), np.array([2, 1]))
NOTHING = Review(Detections.empty(), np.zeros(0), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("review") / "a.tif", noise(500, 400))


def found(path: Path, model: Path, review: bool, **settings: Any) -> Detections:
    config = DetectConfig(review=review, **settings)
    with open_scene(path) as scene:
        return detect_scene(scene, load_predictor(find_card(str(model)), config, "cpu"), config).detections


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_found_stays_the_same_to_the_bit(scene_path: Path, untrained: Path, settings: dict[str, Any]) -> None:
    plain, reviewed = (found(scene_path, untrained, review, **settings) for review in (False, True))
    assert len(plain) > 5
    for one, other in (
        (plain.boxes_xyxy, reviewed.boxes_xyxy), (plain.scores, reviewed.scores), (plain.labels, reviewed.labels)
    ):  # fmt: skip
        assert one.dtype == other.dtype and np.array_equal(one, other)


def review_of(path: Path, model: Path, config: DetectConfig) -> tuple[Review, Any]:
    with open_scene(path) as scene, Journal.in_memory() as journal:
        predictor = load_predictor(find_card(str(model)), config, "cpu")
        plan = plan_scene(scene, predictor.card, config)
        detect_planned(plan, Run(LocalRunner(predictor), config), "", journal)
        return review_scene(plan, config, predictor.card, journal), plan


def test_objects_and_tiles_are_those_of_a_plain_loop(scene_path: Path, untrained: Path) -> None:
    review, plan = review_of(scene_path, untrained, DetectConfig(score=0.04, review=True))
    # All candidates, merged: what a run finds whose threshold is half as high.
    candidates = found(scene_path, untrained, False, score=0.02)
    doubtful, sums, counts = [], np.zeros(len(plan.grid)), np.zeros(len(plan.grid))
    for box, score in zip(candidates.boxes_xyxy.tolist(), candidates.scores.tolist(), strict=True):
        measure = score / 0.04 if score < 0.04 else (1 - score) / 0.96
        doubtful.append(measure)
        centre = shapely.box(*box).centroid
        apart = [shapely.box(*tile.bounds).centroid.distance(centre) for tile in plan.grid]
        sums[int(np.argmin(apart))] += measure
        counts[int(np.argmin(apart))] += 1
    assert min(doubtful) >= 0.5 and any(score < 0.04 for score in review.objects.scores)
    best = np.sort(doubtful)[::-1][:1000]
    assert review.uncertain == pytest.approx(best, abs=1e-6) and len(best) > 50
    order = np.argsort(-sums)[: int((counts > 0).sum())]
    assert review.tiles_uncertain == pytest.approx(sums[order]) and review.candidates.tolist() == counts[order].tolist()
    limits = [plan.grid.scene_width, plan.grid.scene_height] * 2
    assert review.tiles_xyxy.tolist() == [np.minimum(plan.grid[int(one)].bounds, limits).tolist() for one in order]


@given(threshold=st.floats(0.01, 0.99), score=st.floats(0, 1))
def test_uncertainty_is_that_of_a_probability_which_is_a_half_at_the_threshold(threshold: float, score: float) -> None:
    probability = np.interp(score, [0, threshold, 1], [0, 0.5, 1])
    measure = uncertainty(np.array([score]), np.array([threshold]))[0]
    assert measure == pytest.approx(1 - abs(2 * probability - 1), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 499), st.floats(0, 299)), min_size=1, max_size=20))
def test_a_box_belongs_to_the_tile_whose_middle_is_nearest(middles: list[tuple[float, float]]) -> None:
    grid = plan_tiles(500, 300, 64, 16, (1.3, 1.7))
    boxes = np.array([(x - 1, y - 1, x + 1, y + 1) for x, y in middles])
    for (x, y), tile in zip(middles, nearest_tiles(grid, boxes).tolist(), strict=True):
        centres = (grid.bounds()[:, :2] + grid.bounds()[:, 2:]) / 2
        apart = np.hypot(*(centres - [x, y]).T)
        assert apart[tile] == pytest.approx(apart.min(), abs=1e-6)


def test_nothing_uncertain_is_a_review_of_nothing(scene_path: Path, untrained: Path) -> None:
    review, _ = review_of(scene_path, untrained, DetectConfig(score=0.99, review=True))
    assert len(review.objects) == len(review.uncertain) == len(review.tiles_xyxy) == len(review.candidates) == 0


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
