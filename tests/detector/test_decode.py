from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.detections import Detections
from lcageo.detector.decode import Selected, select
from lcageo.detector.outputs import Predictions
from lcageo.nms import nms


def predictions_of(scores: torch.Tensor, level_sizes: tuple[int, ...]) -> Predictions:
    """Boxes that overlap nothing; x1 is the index of the place."""
    places = torch.arange(scores.shape[1], dtype=torch.float32)
    boxes = torch.stack((places, 0 * places, places + 1, 0 * places + 1), dim=1)
    return Predictions(scores, boxes.expand(len(scores), -1, -1), level_sizes)


def slow_select(scores: np.ndarray, level_sizes, threshold, per_level) -> list[tuple[float, int, int]]:
    chosen, start = [], 0
    for size in level_sizes:
        places = range(start, start + size)
        pairs = [(-scores[n, k], n, k) for n in places for k in range(scores.shape[1]) if scores[n, k] > threshold[k]]
        chosen += sorted(pairs)[:per_level]
        start += size
    return sorted(chosen)


def valid(found: Selected, image: int = 0) -> list[tuple[float, int, int]]:
    """Score, place and class of an image's candidates."""
    real = found.scores[image] > 0
    parts = found.scores[image][real], found.boxes_xyxy[image][real][:, 0], found.labels[image][real]
    return [(-float(s), int(n), int(k)) for s, n, k in zip(*parts, strict=True)]


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 8))
def test_selection_equals_the_slow_one_even_with_equal_scores(seed, level_sizes, per_level):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (2, sum(level_sizes), 3)).astype(np.float32) / 4
    thresholds = rng.choice([0.0, 0.25, 0.5, 2.0], 3).astype(np.float32)
    predictions = predictions_of(torch.from_numpy(scores), tuple(level_sizes))
    found = select(predictions, torch.from_numpy(thresholds), 0.5, per_level=per_level)
    for image in range(2):
        assert valid(found, image) == slow_select(scores[image], level_sizes, thresholds, per_level)


def test_the_limit_holds_for_each_level_separately():
    found = select(predictions_of(torch.full((1, 12, 2), 0.5), (8, 4)), torch.full((2,), 0.05), 0.5, per_level=3)
    assert [place for _, place, _ in valid(found)] == [0, 0, 1, 8, 8, 9]


def test_a_score_at_the_threshold_is_not_above_it():
    scores = torch.tensor([0.5, 0.5 + 2**-20]).reshape(1, 2, 1)
    assert [place for _, place, _ in valid(select(predictions_of(scores, (2,)), torch.tensor([0.5]), 0.5))] == [1]


def test_boxes_without_area_and_nan_scores_are_left_out():
    predictions = predictions_of(torch.tensor([0.9, 0.8, torch.nan]).reshape(1, 3, 1), (3,))
    boxes = predictions.boxes_xyxy.clone()
    boxes[0, 0, 2] = boxes[0, 0, 0]
    found = select(predictions._replace(boxes_xyxy=boxes), torch.tensor([0.05]), 0.5)
    assert [place for _, place, _ in valid(found)] == [1]


def test_nothing_above_the_threshold_keeps_nothing():
    found = select(predictions_of(torch.zeros(1, 5, 2), (3, 2)), torch.full((2,), 0.05), 0.5)
    assert not found.kept.any() and bool(found.whole.all()) and found.labels.dtype == torch.int64


def crowd(seed: int, count: int) -> Predictions:
    """Overlapping boxes, each with a score for one of two classes."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 40, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 25, (count, 2))]).astype(np.float32)
    scores = np.zeros((count, 2), np.float32)
    scores[np.arange(count), rng.integers(0, 2, count)] = rng.permutation(np.linspace(0.1, 0.9, count))
    return Predictions(torch.from_numpy(scores)[None], torch.from_numpy(boxes)[None], (count,))


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 60), st.sampled_from([0.2, 0.5, 0.7]))
def test_what_is_kept_is_what_greedy_suppression_keeps(seed, count, iou):
    predictions = crowd(seed, count)
    found = select(predictions, torch.full((2,), 0.05), iou, rounds=70)
    assert bool(found.whole.all())
    scores, labels = predictions.scores[0].max(dim=1)
    everything = Detections(predictions.boxes_xyxy[0].numpy(), scores.numpy(), labels.numpy())
    expected = everything.selected(nms(everything, iou))
    assert found.scores[0][found.kept[0]].tolist() == expected.scores.tolist()
    assert found.labels[0][found.kept[0]].tolist() == expected.labels.tolist()


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 6), st.integers(4, 60))
def test_what_is_reported_as_exact_is_exact_however_few_the_rounds_and_candidates(seed, count, rounds, capacity):
    predictions = crowd(seed, count)
    exact = select(predictions, torch.full((2,), 0.05), 0.3, rounds=70)
    found = select(predictions, torch.full((2,), 0.05), 0.3, rounds=rounds, capacity=capacity)
    if bool(found.whole[0]):
        assert found.scores[0][found.kept[0]].tolist() == exact.scores[0][exact.kept[0]].tolist()
    else:
        assert count > capacity or rounds < 60


def test_a_chain_longer_than_the_rounds_is_reported():
    left = torch.arange(40, dtype=torch.float32)
    boxes = torch.stack((left, 0 * left, left + 2, 0 * left + 1), dim=1)[None]  # each overlaps the next by a third
    scores = torch.linspace(0.9, 0.1, 40)[None, :, None]
    predictions = Predictions(scores, boxes, (40,))
    assert not bool(select(predictions, torch.tensor([0.05]), 0.3, rounds=8).whole[0])
    found = select(predictions, torch.tensor([0.05]), 0.3, rounds=45)
    assert bool(found.whole[0]) and found.kept[0].tolist() == [True, False] * 20
