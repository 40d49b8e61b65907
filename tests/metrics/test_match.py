"""Matches compared with those of pycocotools."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference import Case, found, pycocotools_run, random_case, truth

from lcageo.metrics import match as module
from lcageo.metrics.match import IOUS, Matches, match
from lcageo.metrics.truth import counted


def matches(case: Case, max_per_image: int = 100) -> Matches:
    return match(counted(len(case.classes), case.truths, case.found, max_per_image))


def assert_same_records(case: Case, max_per_image: int) -> None:
    """Every detection has the same partner, at every IoU, as in pycocotools' `evalImgs` (of objects of all sizes)."""
    ours, run = matches(case, max_per_image), pycocotools_run(case, max_per_image)
    what = ours.what
    images, areas = len(case.truths), len(run.params.areaRng)
    seen = 0
    for label in range(len(case.classes)):
        for image in range(images):
            record = run.evalImgs[label * areas * images + image]
            mine = np.flatnonzero((what.found_image == image) & (what.found_label == label))
            if record is None:
                assert not len(mine)
                continue
            assert what.score[mine].tolist() == record["dtScores"]
            assert (ours.left_out[:, mine] == record["dtIgnore"].astype(bool)).all()
            for iou in range(len(IOUS)):
                partners = [
                    run.cocoGt.anns[int(number)]["bbox"] if number else None for number in record["dtMatches"][iou]
                ]
                found = [what.truth_xywh[number].tolist() if number >= 0 else None for number in ours.truth[iou, mine]]
                assert found == partners
            seen += len(mine)
    assert seen == len(what.score)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 100_000),
    difficult=st.sampled_from([0.0, 0.3]),
    ties=st.booleans(),
    partial=st.booleans(),
    max_per_image=st.sampled_from([1, 100]),
)
def test_every_match_is_that_of_pycocotools(
    seed: int, difficult: float, ties: bool, partial: bool, max_per_image: int
) -> None:
    assert_same_records(
        random_case(seed, images=6, difficult=difficult, ties=ties, partial=partial, objects=15), max_per_image
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 100_000))
def test_crowded_images_are_matched_alike(seed: int) -> None:
    """Objects on a grid of half their size: each overlaps several others, often equally."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 6, (25, 2)) * 5.0
    boxes = np.concatenate([corner, corner + 10], axis=1)
    near = boxes[rng.integers(0, 25, 40)] + rng.integers(-2, 3, (40, 1))
    case = Case(
        ("a",),
        [truth(boxes, [0] * 25, (rng.random(25) < 0.2).tolist(), (0,))],
        [found(near, rng.integers(1, 10, 40) / 10, [0] * 40)],
    )
    assert_same_records(case, 100)


def test_comparing_in_small_blocks_changes_nothing(monkeypatch) -> None:
    case = random_case(3, difficult=0.2, objects=20)
    whole = matches(case).truth
    monkeypatch.setattr(module, "PAIR_CHUNK", 7)
    assert (matches(case).truth == whole).all()


def test_an_object_of_another_class_or_image_is_not_matched() -> None:
    box = [[0, 0, 10, 10]]
    case = Case(("a", "b", "c"), [truth(box, [0]), truth()], [found(box, [0.9], [1]), found(box, [0.8], [0])])
    assert (matches(case).truth == -1).all()


def test_a_difficult_object_takes_any_number_of_detections() -> None:
    case = Case(("a",), [truth([[0, 0, 100, 100]], [0], [True], (0,))], [found([[0, 0, 9, 9]] * 3, [0.9] * 3, [0] * 3)])
    result = matches(case)
    assert result.left_out.all() and not result.right.any()
    assert len(result.curve(0).scores) == 0 and result.curve(0).objects == 0
