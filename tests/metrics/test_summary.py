"""Our figures compared with those of pycocotools."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support.reference import found, random_case, truth
from support.summaries import CLASSES, DEGENERATE, evaluate

from lcageo.metrics.summary import evaluate_detections


@pytest.mark.parametrize("name", DEGENERATE)
def test_every_set_has_strict_json(name: str) -> None:
    described = evaluate(DEGENERATE[name]).as_json()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert set(described["per_class"]) == set(CLASSES)


def test_classes_without_an_object_have_no_figures_and_do_not_enter_the_means() -> None:
    box = [[0, 0, 10, 10]]
    evaluation = evaluate_detections(CLASSES, [truth(box, [0])], [found(box * 2, [0.9, 0.8], [0, 1])])
    first, second, third = evaluation.per_class
    assert evaluation.map50 == evaluation.map50_95 == first.ap50 == 1
    for absent in (second, third):
        figures = (absent.ap50, absent.ap75, absent.ap50_95, absent.voc07_ap50, absent.ar, absent.best.precision)
        assert all(map(math.isnan, figures))
    assert (second.detections, third.detections) == (1, 0)
    assert evaluation.as_json()["per_class"]["b"]["AP50"] is None


def test_card_thresholds_keep_all_down_to_the_best_score_and_no_more() -> None:
    case = random_case(4)
    evaluation = evaluate(case)
    thresholds = evaluation.thresholds(0.3, few=1)
    assert set(thresholds) == set(case.classes)
    for label, one in enumerate(evaluation.per_class):
        scores = np.concatenate([image.scores[image.labels == label] for image in case.found])
        kept = scores[scores > np.float32(thresholds[one.name])]  # as runtime.torch_backend compares
        assert kept.min() == np.float32(one.best.score)
        assert len(kept) == (scores >= np.float32(one.best.score)).sum() < len(scores)


def test_classes_without_anything_right_have_no_threshold() -> None:
    box = [[0, 0, 10, 10]]
    evaluation = evaluate_detections(
        CLASSES, [truth([*box, [50, 50, 60, 60]], [0, 1])], [found([*box, [90, 90, 99, 99]], [0.9, 0.8], [0, 2])]
    )
    assert list(evaluation.thresholds(0.3)) == ["a"]


@pytest.mark.parametrize(("objects", "threshold"), [(1, 0.02 * 0.9 + 0.98 * 0.3), (25, 0.6), (50, 0.9), (60, 0.9)])
def test_thresholds_of_few_objects_are_drawn_towards_the_default(objects: int, threshold: float) -> None:
    box = [[0, 0, 10, 10]]
    images = [truth(box, [0])] * objects
    evaluation = evaluate_detections(CLASSES, images, [found(box, [0.9], [0])] * objects)
    assert evaluation.thresholds(0.3)["a"] == pytest.approx(threshold, abs=1e-6)
    assert evaluation.few_objects() == ({"a": objects} if objects < 50 else {})


def test_the_11_point_figure_of_a_perfect_half_is_six_elevenths() -> None:
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60]]
    evaluation = evaluate_detections(CLASSES, [truth(boxes, [0, 0])], [found(boxes[:1], [0.9], [0])])
    assert evaluation.voc07_map50 == pytest.approx(6 / 11)
    assert evaluation.map50 == pytest.approx(51 / 101)


def test_sizes_count_objects_by_their_area() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 200, 200], [0, 0, 32, 32], [0, 0, 9, 9]]
    evaluation = evaluate_detections(CLASSES, [truth(boxes, [0] * 5, [False] * 4 + [True])], [found()])
    # An object of exactly 32 x 32 pixels is small and medium, as COCO has it.
    assert [size.objects for size in evaluation.sizes.values()] == [2, 2, 1]


def test_json_holds_what_the_evaluation_holds() -> None:
    evaluation = evaluate(random_case(6, partial=True))
    described = evaluation.as_json()
    assert described["mAP50"] == evaluation.map50 and described["mAP50_95"] == evaluation.map50_95
    assert described["sizes"]["small"]["AR"] == evaluation.sizes["small"].ar
    assert described["confusion"]["classes"] == [*evaluation.confusion.classes, "background"]
    assert described["confusion"]["found_as"] == evaluation.confusion.counts.tolist()
    for one in evaluation.per_class:
        entry = described["per_class"][one.name]
        assert (entry["AP50"], entry["score"], entry["F1"]) == (one.ap50, one.best.score, one.best.f1)
        assert entry["images"] == one.images < 12
        assert np.mean(described["curves"][one.name]) == pytest.approx(one.ap50)
