"""Merging against a plain loop over all boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lcageo import merge
from lcageo.config import MergeMetric
from lcageo.detections import Detections
from lcageo.merge import Seams, merge_tiles, nms, overlap, ranking, touching_pairs

SEEDS = st.integers(0, 2**32 - 1)
THRESHOLDS = st.sampled_from([0.0, 0.1, 0.5, 0.6, 0.9, 1.0])
METRICS = st.sampled_from(list(MergeMetric))


def plain_overlap(a: NDArray[np.float64], b: NDArray[np.float64], metric: MergeMetric) -> float:
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    of = min(area_a, area_b) if metric is MergeMetric.IOS else area_a + area_b - common
    return common / of if common > 0 else 0.0


def plain_nms(found: Detections, threshold: float, metric: MergeMetric, agnostic: bool) -> list[int]:
    boxes = found.boxes_xyxy.astype(np.float64)
    order = sorted(
        range(len(found)), key=lambda i: (-float(found.scores[i]), int(found.labels[i]), *found.boxes_xyxy[i].tolist())
    )
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if agnostic or found.labels[i] == found.labels[j]]
        if all(plain_overlap(boxes[i], boxes[j], metric) <= threshold for j in rivals):
            kept.append(i)
    return kept


def random_detections(seed: int, most: int = 30) -> Detections:
    """Crowded boxes of very different sizes; every other case on a coarse lattice, where all kinds of ties occur."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, most))
    centres, sides = rng.uniform(-20, 60, (count, 2)), np.exp(rng.uniform(-1, 4.5, (count, 2)))
    if seed % 2:
        centres, sides = np.round(centres / 10) * 10, np.round(sides / 10) * 10
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    scores = np.round(rng.random(count) * 4) / 4 if seed % 3 else rng.random(count)
    return Detections(boxes, scores.astype(np.float32), rng.integers(0, 3, count))


def as_rows(found: Detections) -> list[tuple[float, ...]]:
    return [
        (float(score), int(label), *box)
        for score, label, box in zip(found.scores, found.labels, found.boxes_xyxy.tolist(), strict=True)
    ]


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
    monkeypatch.setattr(merge, "PAIR_CHUNK", chunk)
    assert nms(found, 0.3).tolist() == whole


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


TILES = np.array([[0, 0, 100, 100], [80, 0, 180, 100]], np.float64)


def seen(*rows: tuple[int, float, float, float]) -> tuple[Detections, Seams]:
    """Detections of one class from (tile, x1, x2, score) with y from 10 to 30, in a scene of 180 x 100."""
    boxes = np.array([[x1, 10, x2, 30] for _, x1, x2, _ in rows], np.float64)
    found = Detections(boxes, np.array([row[3] for row in rows], np.float32), np.zeros(len(rows), np.int64))
    return found, Seams(np.array([row[0] for row in rows]), TILES, 180, 100)


def test_a_cut_box_yields_to_the_neighbour_that_saw_the_whole_though_it_scores_less() -> None:
    found, seams = seen((0, 88, 100, 0.9), (1, 88, 118, 0.5))
    assert merge_tiles(found, seams, 0.6).boxes_xyxy.tolist() == [[88, 10, 118, 30]]


def test_a_cut_box_stays_if_no_neighbour_saw_more() -> None:
    found, seams = seen((0, 88, 100, 0.9), (1, 140, 170, 0.5))
    assert len(merge_tiles(found, seams, 0.6)) == 2


def test_a_cut_box_does_not_yield_to_another_object_beside_it() -> None:
    found, seams = seen((0, 82, 100, 0.9), (1, 96, 130, 0.5))
    assert len(merge_tiles(found, seams, 0.6)) == 2


def test_a_cut_part_yields_though_it_was_taken_for_something_else() -> None:
    found, seams = seen((0, 88, 100, 0.9), (1, 88, 118, 0.5))
    mixed = Detections(found.boxes_xyxy, found.scores, np.array([3, 1]))
    assert merge_tiles(mixed, seams, 0.6).labels.tolist() == [1]


def test_of_two_cut_halves_the_larger_stays() -> None:
    found, seams = seen((0, 75, 100, 0.9), (1, 80, 106, 0.5))
    assert merge_tiles(found, seams, 0.6).boxes_xyxy.tolist() == [[80, 10, 106, 30]]


def test_the_scenes_own_border_is_no_seam() -> None:
    # x2 = 180 is the scene's border: the short box is whole there and need not yield to the longer one.
    found, seams = seen((1, 160, 180, 0.9), (0, 150, 180, 0.5))
    assert len(merge_tiles(found, seams, 0.9)) == 2


@settings(max_examples=100)
@given(seed=SEEDS)
def test_merging_does_not_depend_on_tile_order_and_is_idempotent(seed: int) -> None:
    found = random_detections(seed)
    rng = np.random.default_rng(seed)
    tile_of = rng.integers(0, 2, len(found))
    bounds = np.array([[-50, -50, 20, 100], [10, -50, 100, 100]], np.float64)
    order = rng.permutation(len(found))
    merged = merge_tiles(found, Seams(tile_of, bounds, 90, 90), 0.5)
    again = merge_tiles(found.selected(order), Seams(tile_of[order], bounds, 90, 90), 0.5)
    assert as_rows(merged) == as_rows(again)
    assert nms(merged, 0.5).tolist() == list(range(len(merged)))
