import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.detector.decode import select_candidates
from lcageo.detector.outputs import Predictions


def predictions_of(scores: torch.Tensor, level_sizes: tuple[int, ...]) -> Predictions:
    """Boxes that say where they come from: x1 is the place."""
    places = torch.arange(scores.shape[1], dtype=torch.float32)
    boxes = torch.stack((places, 0 * places, places + 1, 0 * places + 1), dim=1)
    return Predictions(scores, boxes.expand(len(scores), -1, -1), level_sizes)


def slow_select(scores: np.ndarray, level_sizes, threshold, per_level) -> list[tuple[float, int, int]]:
    chosen, start = [], 0
    for size in level_sizes:
        places = range(start, start + size)
        pairs = [(-scores[n, k], n, k) for n in places for k in range(scores.shape[1]) if scores[n, k] > threshold]
        chosen += sorted(pairs)[:per_level]
        start += size
    return sorted(chosen)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 8))
def test_selection_equals_the_slow_one_also_with_equal_scores(seed, level_sizes, per_level):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (2, sum(level_sizes), 3)).astype(np.float32) / 4
    predictions = predictions_of(torch.from_numpy(scores), tuple(level_sizes))
    for image, found in enumerate(select_candidates(predictions, 0.25, per_level)):
        expected = slow_select(scores[image], level_sizes, 0.25, per_level)
        assert found.scores.tolist() == [-s for s, _, _ in expected]
        assert found.boxes_xyxy[:, 0].tolist() == [n for _, n, _ in expected]
        assert found.labels.tolist() == [k for _, _, k in expected]


def test_the_limit_holds_for_each_level_and_not_for_all():
    predictions = predictions_of(torch.full((1, 12, 2), 0.5), (8, 4))
    (found,) = select_candidates(predictions, 0.05, per_level=3)
    assert found.boxes_xyxy[:, 0].tolist() == [0, 0, 1, 8, 8, 9]


def test_a_score_at_the_threshold_is_not_above_it():
    scores = torch.tensor([0.5, 0.5 + 2**-20]).reshape(1, 2, 1)
    (found,) = select_candidates(predictions_of(scores, (2,)), 0.5)
    assert found.boxes_xyxy[:, 0].tolist() == [1]


def test_boxes_without_area_and_scores_that_are_no_numbers_are_left_out():
    predictions = predictions_of(torch.tensor([0.9, 0.8, torch.nan]).reshape(1, 3, 1), (3,))
    boxes = predictions.boxes_xyxy.clone()
    boxes[0, 0, 2] = boxes[0, 0, 0]
    (found,) = select_candidates(predictions._replace(boxes_xyxy=boxes), 0.05)
    assert found.boxes_xyxy[:, 0].tolist() == [1]


def test_nothing_above_the_threshold_gives_empty_tensors_of_the_right_shape():
    (found,) = select_candidates(predictions_of(torch.zeros(1, 5, 2), (3, 2)), 0.05)
    assert found.boxes_xyxy.shape == (0, 4) and found.scores.shape == (0,) and found.labels.dtype == torch.int64
