from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, random_case, truth

from lcageo.metrics.summary import evaluate_detections

A, B, C, NONE = range(4)


def table(case: Case) -> np.ndarray:
    return evaluate_detections(case.classes, case.truths, case.found).confusion.counts


def one_image(truths, detections) -> Case:
    return Case(("a", "b", "c"), [truths], [detections])


@settings(max_examples=40)
@given(seed=st.integers(0, 100_000), difficult=st.sampled_from([0.0, 0.3]), partial=st.booleans())
def test_rows_hold_all_objects_and_the_diagonal_agrees_with_precision_and_recall(
    seed: int, difficult: float, partial: bool
) -> None:
    case = random_case(seed, difficult=difficult, partial=partial)
    evaluation = evaluate_detections(case.classes, case.truths, case.found)
    counts = evaluation.confusion.counts
    assert counts[:-1].sum(axis=1).tolist() == [one.objects for one in evaluation.per_class]
    assert counts[-1, -1] == 0 and (counts >= 0).all()
    for label, one in enumerate(evaluation.per_class):
        if not math.isnan(one.best.score):
            assert counts[label, label] / counts[label].sum() == pytest.approx(one.best.recall)
            assert counts[label, label] / counts[:, label].sum() == pytest.approx(one.best.precision)


def test_an_object_found_as_another_class_is_counted_as_that() -> None:
    case = Case(
        ("a", "b", "c"),
        [truth([[0, 0, 10, 10]], [A]), truth([[0, 0, 10, 10]], [B])],
        [found([[0, 0, 10, 9]], [0.9], [B]), found([[0, 0, 10, 9]], [0.9], [B])],
    )
    counts = table(case)
    assert counts[A, B] == 1 and counts[B, B] == 1 and counts.sum() == 2


def test_of_two_wrong_detections_the_one_that_overlaps_more_is_taken() -> None:
    case = one_image(
        truth([[0, 0, 10, 10]], [A]), found([[0, 0, 10, 7], [0, 0, 10, 9]], [0.9, 0.8], [B, C])
    )  # fmt: skip
    counts = table(case)
    assert counts[A, C] == 1 and counts[NONE, B] == 1 and counts.sum() == 2


def test_the_own_class_comes_first_even_where_another_overlaps_more() -> None:
    case = one_image(truth([[0, 0, 10, 10]], [A]), found([[0, 0, 10, 6], [0, 0, 10, 10]], [0.5, 0.9], [A, B]))
    counts = table(case)
    assert counts[A, A] == 1 and counts[NONE, B] == 1


def test_what_scores_less_than_the_best_score_does_not_count() -> None:
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99]]
    case = one_image(truth(boxes[:1], [A]), found(boxes, [0.9, 0.8, 0.7], [A, A, A]))
    assert table(case)[NONE, A] == 0


def test_a_class_without_a_best_score_counts_from_the_default_minimum_score() -> None:
    """Classes that a model confuses have no correct detection, so no best score, but must be visible all the same."""
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60]]
    case = one_image(truth(boxes, [A, B]), found([*boxes, [90, 90, 99, 99]], [0.9, 0.8, 0.2], [B, A, C]))
    counts = table(case)
    assert counts[A, B] == counts[B, A] == 1 and counts.sum() == 2


def test_difficult_objects_and_what_lies_in_them_do_not_count() -> None:
    case = one_image(truth([[0, 0, 90, 90]], [A], [True]), found([[5, 5, 20, 20]], [0.9], [A]))
    assert table(case).sum() == 0
