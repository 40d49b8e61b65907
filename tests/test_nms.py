"""Non-maximum suppression against a plain loop over all boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.crowds import as_rows, plain_nms, plain_overlap, random_detections

from lcageo import nms as module
from lcageo.config import MergeMetric
from lcageo.detections import Detections
from lcageo.nms import decided, nms, overlap, ranking, touching_pairs

SEEDS = st.integers(0, 2**32 - 1)
THRESHOLDS = st.sampled_from([0.0, 0.1, 0.5, 0.6, 0.9, 1.0])
METRICS = st.sampled_from(list(MergeMetric))


@settings(max_examples=10_000)
@given(seed=SEEDS, threshold=THRESHOLDS, metric=METRICS, agnostic=st.booleans())
def test_nms_is_the_plain_greedy_loop(seed: int, threshold: float, metric: MergeMetric, agnostic: bool) -> None:
    found = random_detections(seed)
    kept = nms(found, threshold, metric, agnostic)
    expected = plain_nms(found, threshold, metric, agnostic)
    assert as_rows(found.selected(kept)) == as_rows(found.selected(np.array(expected, np.intp)))


@settings(max_examples=200)
@given(seed=SEEDS)
def test_nms_applied_twice_changes_nothing(seed: int) -> None:
    once = random_detections(seed)
    once = once.selected(nms(once, 0.5))
    assert nms(once, 0.5).tolist() == list(range(len(once)))


@settings(max_examples=200)
@given(seed=SEEDS)
def test_nms_does_not_depend_on_the_order_given(seed: int) -> None:
    found = random_detections(seed)
    shuffled = found.selected(np.random.default_rng(seed).permutation(len(found)))
    assert as_rows(found.selected(nms(found, 0.5))) == as_rows(shuffled.selected(nms(shuffled, 0.5)))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_small_chunks_of_pairs_give_the_same(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = random_detections(8, most=300)
    whole = nms(found, 0.3).tolist()
    monkeypatch.setattr(module, "PAIR_CHUNK", chunk)
    assert nms(found, 0.3).tolist() == whole


@settings(max_examples=500)
@given(seed=SEEDS, threshold=THRESHOLDS, metric=METRICS)
def test_early_decisions_equal_those_over_all_boxes(seed: int, threshold: float, metric: MergeMetric) -> None:
    found = random_detections(seed)
    assume(len(set(as_rows(found))) == len(found) > 0)  # rows stand for boxes
    height = np.median(found.boxes_xyxy[:, 1])
    early = found.selected(found.boxes_xyxy[:, 1] <= height)
    complete = early.boxes_xyxy[:, 3] <= height  # whatever lies below it cannot overlap these
    whole = set(as_rows(found.selected(nms(found, threshold, metric))))
    kept, dropped = decided(early, complete, threshold, metric, agnostic=False)
    assert complete[kept].all() and set(as_rows(early.selected(kept))) <= whole
    assert not set(as_rows(early.selected(dropped))) & whole
    everything = np.ones(len(found), np.bool_)
    assert sorted(np.concatenate(decided(found, everything, threshold, metric, False))) == list(range(len(found)))


def test_a_long_chain_of_rivals_is_decided_from_the_best_on() -> None:
    # Each box overlaps only its neighbours, so every other one stays: the deepest dependence there is.
    count = 2001
    left = np.arange(count) * 10.0
    boxes = np.stack([left, np.zeros(count), left + 18, np.full(count, 10.0)], axis=1)
    found = Detections(boxes, np.linspace(1, 0, count).astype(np.float32), np.zeros(count, np.int64))
    assert nms(found, 0.2).tolist() == list(range(0, count, 2))


@settings(max_examples=300)
@given(seed=SEEDS)
def test_touching_pairs_are_complete_and_unique(seed: int) -> None:
    found = random_detections(seed)
    boxes = found.boxes_xyxy.astype(np.float64)
    pairs = [
        (min(a, b), max(a, b))
        for first, second in touching_pairs(boxes, found.labels)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs))
    for i in range(len(found)):
        for j in range(i):
            if found.labels[i] == found.labels[j] and plain_overlap(boxes[i], boxes[j], MergeMetric.IOU) > 0:
                assert (j, i) in pairs


def test_ranking_breaks_ties_by_label_then_place() -> None:
    boxes = np.array([[5, 0, 6, 1], [4, 0, 6, 1], [0, 0, 1, 1], [9, 9, 10, 10]], np.float64)
    found = Detections(boxes, np.array([0.5, 0.5, 0.5, 0.9], np.float32), np.array([0, 0, 1, 2]))
    assert ranking(found).tolist() == [3, 1, 0, 2]


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert overlap(point, point, MergeMetric.IOU).tolist() == overlap(point, point, MergeMetric.IOS).tolist() == [0.0]


def test_boxes_that_are_not_finite_are_refused() -> None:
    found = Detections(np.full((2, 4), np.nan), np.ones(2, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="finite"):
        nms(found, 0.5)


def test_boxes_too_far_apart_are_refused_rather_than_mixed_up() -> None:
    for far in (1e12, 1e30):
        boxes = np.array([[0, 0, 1, 1], [far, far, far * 2, far + 1]])
        with pytest.raises(ValueError, match="too far apart"):
            nms(Detections(boxes - 0.5, np.ones(2, np.float32), np.array([0, 10**9])), 0.5)
