"""COCO's figures, compared with pycocotools."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, means, pycocotools_run, random_case, truth
from support.summaries import CLASSES, DEGENERATE, evaluate

from lcageo.errors import UsageError
from lcageo.metrics.coco import AREAS_PX, CocoFigures, coco_figures, require_coco, size_counts
from lcageo.metrics.match import IOUS
from lcageo.metrics.truth import Counted, counted


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


def counted_of(case: Case, max_per_image: int = 100) -> Counted:
    return counted(len(case.classes), case.truths, case.found, max_per_image)


def figures_of(case: Case, max_per_image: int = 100) -> CocoFigures:
    return coco_figures(counted_of(case, max_per_image), max_per_image)


@settings(max_examples=20)
@given(seed=st.integers(0, 100_000), difficult=st.sampled_from([0.0, 0.3]), max_per_image=st.sampled_from([2, 100]))
def test_every_figure_is_that_of_pycocotools(seed: int, difficult: float, max_per_image: int) -> None:
    case = random_case(seed, difficult=difficult, partial=True)
    ours, run = figures_of(case, max_per_image), pycocotools_run(case, max_per_image)
    precision, recall = run.eval["precision"][..., -1], run.eval["recall"][..., -1]  # -1 where there is no object
    assert ours.ap.shape == (len(IOUS), len(case.classes), len(AREAS_PX))
    np.testing.assert_allclose(ours.ap, np.where(precision < 0, np.nan, precision).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(ours.ar, np.where(recall < 0, np.nan, recall).mean(axis=0), atol=1e-12)


def test_a_box_that_overlaps_by_0_72_is_right_at_five_of_the_ten_ious() -> None:
    case = Case(("a",), [truth([[0, 0, 10, 100]], [0], labelled=(0,))], [found([[0, 0, 10, 72]], [0.9], [0])])
    figures = figures_of(case)
    assert figures.ap[:, 0, 0].tolist() == pytest.approx([1.0] * 5 + [0.0] * 5)
    assert figures.ar[0].tolist() == pytest.approx([0.5, 0.5, np.nan, np.nan], nan_ok=True)  # small: below 32 x 32


@pytest.mark.parametrize("images", [0, 1])
def test_without_objects_there_are_no_figures(images: int) -> None:
    case = Case(("a", "b"), [truth(labelled=(0, 1))] * images, [found([[0, 0, 9, 9]], [0.9], [1])] * images)
    figures = figures_of(case)
    assert figures.ap.shape == (10, 2, 4) and figures.ar.shape == (2, 4)
    assert np.isnan(figures.ap).all() and np.isnan(figures.ar).all()
    assert size_counts(counted_of(case)).tolist() == [[0, 0, 0], [0, 0, 0]]


@given(seed=st.integers(0, 100_000))
def test_objects_of_each_size_are_counted_as_a_plain_loop_does(seed: int) -> None:
    what = counted_of(random_case(seed, difficult=0.3, partial=True))
    expected = np.zeros((what.classes, 3), int)
    for label, (_, _, width, height), difficult in zip(what.truth_label, what.truth_xywh, what.difficult, strict=True):
        for size, (low, high) in enumerate(((0, 32), (32, 96), (96, 1e5))):
            expected[label, size] += not difficult and low**2 <= width * height <= high**2
    assert (size_counts(what) == expected).all()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_coco()  # it is installed
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)  # how Python marks a module that cannot be imported
    with pytest.raises(UsageError, match=r"average precision requires faster_coco_eval.*pip install .lcageo\[train\]"):
        require_coco()
