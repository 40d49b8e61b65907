"""The raster function, run as ArcGIS would, against our own predictor."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.crowds import plain_nms, random_detections
from support.untrained import CLASSES

from lcageo.config import Backend, DetectConfig, MergeMetric
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor

SIZE, PADDING = 256, 64
SCORE = 0.02


@pytest.fixture(scope="module")
def function(exported: Path) -> ModuleType:
    """The Python raster function as ArcGIS loads it: from the file beside the model."""
    found = importlib.util.spec_from_file_location("LcaObjectDetector", exported / "LcaObjectDetector.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def detector(function: ModuleType, exported: Path, **scalars: Any) -> tuple[Any, dict[str, Any]]:
    made = function.LcaObjectDetector()
    made.initialize(model=str(exported / "model.emd"), device=-1)
    return made, made.getConfiguration(threshold=SCORE, **scalars)


def test_arcgis_gets_the_configuration_it_asks_for(function: ModuleType, exported: Path) -> None:
    made, configuration = detector(function, exported, padding=PADDING)
    names = [parameter["name"] for parameter in made.getParameterInfo()]
    assert names[:3] == ["raster", "model", "device"] and {"padding", "threshold"} <= set(names)
    assert (configuration["tx"], configuration["ty"], configuration["padding"]) == (128, 128, PADDING)
    assert configuration["extractBands"] == (0, 1, 2)
    assert [field["name"] for field in json.loads(made.getFields())["fields"]] == [
        "OID",
        "Class",
        "Confidence",
        "Shape",
    ]


def test_in_arcgis_a_block_gives_what_we_find_in_its_inner_part(
    function: ModuleType, exported: Path, untrained: Path
) -> None:
    made, _ = detector(function, exported, padding=PADDING)
    image = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    blocks = {"raster_pixels": image.copy(), "raster_mask": np.ones((1, SIZE, SIZE), np.uint8)}
    features = json.loads(made.vectorize(**blocks)["output_vectors"])["features"]
    config = DetectConfig(score=SCORE, max_per_tile=10_000)
    (ours,) = load_predictor(find_card(str(untrained)), config, "cpu", Backend.TORCH).predict(image[None])
    centres = (ours.boxes_xyxy[:, :2] + ours.boxes_xyxy[:, 2:]) / 2
    ours = ours.selected(np.flatnonzero(((centres >= PADDING) & (centres < SIZE - PADDING)).all(axis=1)))
    assert len(features) == len(ours) > 10
    rings = np.array([feature["geometry"]["rings"][0] for feature in features])
    boxes = np.hstack([rings.min(axis=1), rings.max(axis=1)]) + PADDING
    assert np.abs(boxes - ours.boxes_xyxy).max() < 0.1
    written = [feature["attributes"] for feature in features]
    assert [one["Class"] for one in written] == [CLASSES[label] for label in ours.labels.tolist()]
    assert np.abs(np.array([one["Confidence"] for one in written]) / 100 - ours.scores).max() < 1e-4


def test_in_arcgis_what_is_masked_or_beyond_the_raster_is_filled(
    function: ModuleType, exported: Path, untrained: Path
) -> None:
    made, _ = detector(function, exported, padding=0)
    whole = np.empty((3, SIZE, SIZE), np.uint8)
    whole[:] = np.array(find_card(str(untrained)).fill, np.uint8)[:, None, None]
    whole[:, :100, :60] = np.random.default_rng(4).integers(0, 256, (3, 100, 60))
    cut, mask = whole[:, :120, :90].copy(), np.zeros((120, 90), np.uint8)
    mask[:100, :60] = 1
    cut[:, mask == 0] = 7
    assert made.vectorize(raster_pixels=cut, raster_mask=mask) == made.vectorize(raster_pixels=whole)


def test_lowering_the_threshold_or_raising_the_iou_never_loses_an_object(function: ModuleType, exported: Path) -> None:
    made, _ = detector(function, exported, padding=0)
    image = np.random.default_rng(5).integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    counts = []
    for threshold, iou in ((0.5, 0.6), (SCORE, 0.6), (SCORE, 1.0)):
        made.getConfiguration(threshold=threshold, iou_threshold=iou, padding=0)
        counts.append(len(json.loads(made.vectorize(raster_pixels=image)["output_vectors"])["features"]))
    assert counts == sorted(counts) and counts[0] < counts[1] < counts[2]


def test_a_definition_may_be_given_as_text(function: ModuleType, exported: Path) -> None:
    made = function.LcaObjectDetector()
    made.initialize(model=(exported / "model.emd").read_text(), device=0)  # finds the graph beside the function
    assert made.size == SIZE and made.session.get_providers()[-1] == "CPUExecutionProvider"
    assert made.getGeometryType() == 4


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_that_of_our_own_nms(function: ModuleType, exported: Path, seed: int) -> None:
    made, _ = detector(function, exported, iou_threshold=0.5)
    found = random_detections(seed).selected(slice(None))
    sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    found = found.selected(np.flatnonzero((sides > 0).all(axis=1)))
    best = found.selected(np.argsort(-found.scores, kind="stable"))
    kept = made._suppressed(best.boxes_xyxy, best.labels)
    assert sorted(kept.tolist()) == sorted(plain_nms(best, 0.5, MergeMetric.IOU, agnostic=False))
