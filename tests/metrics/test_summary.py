"""Our figures compared with those of pycocotools."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, means, pycocotools_run, random_case, truth

from lcageo.metrics.summary import Evaluation, evaluate_detections

CLASSES = ("a", "b", "c")


def evaluate(case: Case, max_per_image: int = 100) -> Evaluation:
    return evaluate_detections(case.classes, case.truths, case.found, max_per_image)


def assert_equal_to_pycocotools(case: Case, max_per_image: int = 100) -> None:
    ours, run = evaluate(case, max_per_image), pycocotools_run(case, max_per_image)
    theirs = means(run)
    named = {"mAP50": ours.map50, "mAP75": ours.map75, "mAP50_95": ours.map50_95, "AR": ours.ar}
    for name, size in ours.sizes.items():
        named |= {f"mAP50_95 {name}": size.map50_95, f"AR {name}": size.ar}
    assert named == pytest.approx(theirs, abs=1e-12, nan_ok=True)
    precision = run.eval["precision"][:, :, :, 0, -1].mean(axis=1)  # (IoUs, K)
    recall = run.eval["recall"][:, :, 0, -1].mean(axis=0)
    for label, one in enumerate(ours.per_class):
        known = one.objects > 0
        expected = [precision[0, label], precision[5, label], precision[:, label].mean(), recall[label]]
        assert [one.ap50, one.ap75, one.ap50_95, one.ar] == pytest.approx(
            expected if known else [math.nan] * 4, abs=1e-12, nan_ok=True
        )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 100_000),
    difficult=st.sampled_from([0.0, 0.3, 1.0]),
    ties=st.booleans(),
    partial=st.booleans(),
    max_per_image=st.sampled_from([2, 100]),
)
def test_figures_are_those_of_pycocotools(
    seed: int, difficult: float, ties: bool, partial: bool, max_per_image: int
) -> None:
    case = random_case(seed, difficult=difficult, ties=ties, partial=partial)
    assert_equal_to_pycocotools(case, max_per_image)


DEGENERATE = {
    "no images": Case(CLASSES, [], []),
    "nothing found": Case(CLASSES, random_case(1).truths, [found()] * 12),
    "nothing to find": Case(CLASSES, [truth()] * 12, random_case(1).found),
    "neither": Case(CLASSES, [truth()], [found()]),
    "only difficult": Case(CLASSES, [truth([[0, 0, 9, 9]], [1], [True])], [found([[0, 0, 9, 9]], [0.5], [1])]),
    "all one score": Case(
        CLASSES,
        random_case(2).truths,
        [found(one.boxes_xyxy, [0.5] * len(one), one.labels) for one in random_case(2).found],
    ),
    "two objects overlapped alike": Case(
        CLASSES, [truth([[0, 0, 10, 10], [0, 5, 10, 15]], [0, 0])],
        [found([[0, 2.5, 10, 12.5], [0, 0, 10, 10]], [0.9, 0.8], [0, 0])],
    ),
    "an IoU of exactly one half": Case(
        CLASSES, [truth([[0, 0, 10, 10]], [0])], [found([[0, 0, 10, 5]], [0.9], [0])]
    ),
    "annotated for nothing": Case(
        CLASSES, [truth([[0, 0, 9, 9]], [0], labelled=())], [found([[0, 0, 9, 9]], [1], [0])]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in DEGENERATE if name != "no images"])
def test_degenerate_sets_have_the_figures_of_pycocotools(name: str) -> None:
    assert_equal_to_pycocotools(DEGENERATE[name])


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


def test_a_difficult_object_is_a_crowd() -> None:
    """COCO's own code ignores no other kind: parts of it may be found any number of times."""
    boxes = [[0, 0, 100, 100], [200, 200, 210, 210]]
    parts = [[5, 5, 15, 15], [40, 40, 50, 50], [200, 200, 210, 210]]
    case = Case(CLASSES, [truth(boxes, [0, 0], [True, False])], [found(parts, [0.9, 0.8, 0.7], [0, 0, 0])])
    assert evaluate(case).per_class[0].ap50_95 == 1
    assert_equal_to_pycocotools(case)


def test_card_thresholds_keep_all_down_to_the_best_score_and_no_more() -> None:
    case = random_case(4)
    evaluation = evaluate(case)
    thresholds = evaluation.thresholds()
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
    assert list(evaluation.thresholds()) == ["a"]


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
