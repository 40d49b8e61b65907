"""COCO's figures, compared with pycocotools."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, means, pycocotools_run, random_case, truth
from support.summaries import CLASSES, DEGENERATE, evaluate


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


@pytest.mark.parametrize("name", [name for name in DEGENERATE if name != "no images"])
def test_degenerate_sets_have_the_figures_of_pycocotools(name: str) -> None:
    assert_equal_to_pycocotools(DEGENERATE[name])


def test_a_difficult_object_is_a_crowd() -> None:
    """COCO's own code ignores no other kind: parts of it may be found any number of times."""
    boxes = [[0, 0, 100, 100], [200, 200, 210, 210]]
    parts = [[5, 5, 15, 15], [40, 40, 50, 50], [200, 200, 210, 210]]
    case = Case(CLASSES, [truth(boxes, [0, 0], [True, False])], [found(parts, [0.9, 0.8, 0.7], [0, 0, 0])])
    assert evaluate(case).per_class[0].ap50_95 == 1
    assert_equal_to_pycocotools(case)
