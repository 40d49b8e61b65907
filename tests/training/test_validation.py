"""Validation: what it says is what the published model gives, and only the best is published as the result."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.bright import WHITE, BrightSquares
from support.bright_sets import bright_image
from support.shapes import write_shapes

from lcageo.config import BENCHMARK, Backend, DetectConfig, Precision
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset
from lcageo.data.formats.coco import read_coco
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.training.log import METRICS_FILE, TrainingLog, read_metrics
from lcageo.training.model_folder import CURVES_FILE, LAST, SHEET_FILE, update_card
from lcageo.training.validation import Validator


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    return read_coco(write_shapes(tmp_path_factory.mktemp("shapes") / "val.json", count=3))


@pytest.fixture
def card(untrained: Path) -> ModelCard:
    """A card with the classes of the shapes; the network has outputs for others that no image shows."""
    return find_card(str(untrained))


@pytest.fixture
def weights(card: ModelCard) -> dict[str, torch.Tensor]:
    return load_file(card.weights)


@pytest.fixture
def labelled(val: LabelledSet, card: ModelCard) -> LabelledSet:
    """The shapes, labelled with the first two of the card's classes."""
    return LabelledSet(val.name, card.classes, val.annotations)


def test_figures_are_those_of_the_published_folder(
    card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    validator = Validator(card, labelled, tmp_path, "cpu", 2, cache=True)
    made = validator.validate(weights, 7, 3, -1.0, None)
    published = find_card(str(tmp_path / LAST))
    predictor = load_predictor(published, kept_of_tiles(BENCHMARK), "cpu", Backend.TORCH)
    again = evaluate_found(labelled, find_objects(predictor, labelled, batch=2))
    assert (made.step, made.epoch, made.is_best) == (7, 3, True)
    assert made.evaluation.map50_95 == again.map50_95 and made.evaluation.map50 == again.map50
    assert published.metrics["step"] == 7 and published.metrics["images"] == 3
    assert published.metrics["mAP50"] == pytest.approx(again.map50, abs=1e-4)
    assert dict(published.thresholds) == pytest.approx(again.thresholds(DetectConfig.DEFAULT_SCORE))


def test_a_crowded_image_is_measured_with_all_its_objects(
    card: ModelCard, weights: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COCO's limit of 100 boxes would set the threshold at the score of the hundredth."""
    side = card.tile_size
    places = [(x, y, 4, 205 + (x + 7 * y) % 50) for x in range(2, side - 6, 8) for y in range(2, side - 6, 8)]
    annotation = bright_image(tmp_path / "a.png", side, side, places)
    assert len(annotation) > 2 * BENCHMARK.max_per_tile
    monkeypatch.setattr(Validator, "_predictor", lambda self, card: BrightSquares(card))
    validator = Validator(card, LabelledSet("squares", card.classes, (annotation,)), tmp_path, "cpu", 2, cache=True)
    made = validator.validate(weights, 1, 1, -1.0, None)
    assert made.evaluation.map50 == 1
    lowest = min(brightness for *_, brightness in places if brightness < WHITE) / 255
    assert find_card(str(tmp_path / LAST)).threshold(card.classes[0]) <= lowest


@pytest.mark.parametrize("native", [True, False])
def test_small_images_are_enlarged_as_the_card_says(
    native: bool, card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    card = replace(card, recipe={"native": native})
    validator = Validator(card, labelled, tmp_path, "cpu", 2, cache=True)
    validator.validate(weights, 1, 0, -1.0, None)
    published = find_card(str(tmp_path / LAST))
    predictor = load_predictor(published, kept_of_tiles(BENCHMARK), "cpu", Backend.TORCH)
    images = EvalDataset(labelled, card.tile_size, enlarge=not native, fill=card.fill)
    expected = find_objects(predictor, labelled, batch=2, images=images)
    for one, other in zip(validator._find(validator._predictor(published)), expected, strict=True):
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy) and np.array_equal(one.scores, other.scores)


def test_a_result_that_is_no_better_replaces_only_the_newest_model(
    card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    validator = Validator(card, labelled, tmp_path, "cpu", 2, cache=False)
    best = validator.validate(weights, 1, 0, -1.0, None).evaluation.map50_95
    changed = {name: tensor + 1e-3 if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for value in (best, 1.0):
        assert not validator.validate(weights if value == best else changed, 2, 0, value, None).is_best
    assert find_card(str(tmp_path)).metrics["step"] == 1
    assert find_card(str(tmp_path / LAST)).metrics["step"] == 2
    assert find_card(str(tmp_path)).sha256 != find_card(str(tmp_path / LAST)).sha256


def test_the_log_gets_the_figures_and_the_end_a_picture_and_curves(
    card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    validator = Validator(card, labelled, tmp_path, "cpu", 2, cache=False)
    with TrainingLog(tmp_path, tensorboard=False) as log:
        made = validator.validate(weights, 5, 2, -1.0, log)
    (row,) = read_metrics(tmp_path / METRICS_FILE)
    assert (row["step"], row["epoch"]) == ("5", "2")
    assert float(row["mAP50_95"]) == pytest.approx(made.evaluation.map50_95, abs=1e-6)
    assert validator.finish() == find_card(str(tmp_path))
    for name in (SHEET_FILE, CURVES_FILE):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 1, name


@pytest.mark.parametrize("shift", [0.0, 0.003])
def test_the_card_lists_bfloat16_where_the_device_is_fast_in_it_and_the_results_agree(
    shift: float, card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    validator = Validator(card, labelled, tmp_path, "cpu", 2, cache=False)
    made = validator.validate(weights, 1, 0, -1.0, None)
    best = find_card(str(tmp_path))
    assert best.precisions == ()
    lower = load_predictor(best, kept_of_tiles(BENCHMARK), "cpu", Backend.TORCH, Precision.BF16)
    difference = evaluate_found(labelled, find_objects(lower, labelled, batch=2)).map50 - made.evaluation.map50
    assert abs(difference) <= 0.002  # of an untrained model that finds next to nothing
    update_card(replace(best, metrics={**best.metrics, "mAP50": made.evaluation.map50 + shift}), tmp_path)
    finished = validator.finish()
    is_fast = torch.cpu._is_avx512_bf16_supported()
    assert finished.precisions == (("bf16",) if is_fast and shift == 0 else ())
    detecting = load_predictor(finished, kept_of_tiles(BENCHMARK), "cpu", Backend.TORCH)
    assert detecting.engine.precision is (Precision.BF16 if finished.precisions else Precision.FP32)


def test_without_objects_no_figure_is_written(
    card: ModelCard, weights: dict[str, torch.Tensor], labelled: LabelledSet, tmp_path: Path
) -> None:
    bare = [
        replace(one, boxes_xyxy=one.boxes_xyxy[:0], labels=one.labels[:0], difficult=one.difficult[:0])
        for one in labelled.annotations
    ]
    empty = LabelledSet("bare", card.classes, tuple(bare))
    validator = Validator(card, empty, tmp_path, "cpu", 2, cache=False)
    made = validator.validate(weights, 1, 0, -1.0, None)
    assert math.isnan(made.evaluation.map50_95) and made.is_best
    assert set(find_card(str(tmp_path)).metrics) == {"data", "images", "step"}
    assert validator.finish().precisions == ()
