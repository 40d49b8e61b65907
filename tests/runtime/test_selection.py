from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.bright import bright_card

from lcageo.config import DetectConfig, Passes
from lcageo.detections import Detections
from lcageo.errors import ConfigError, UsageError
from lcageo.nms import nms
from lcageo.runtime.selection import Selection, hint_scores, level_starts, of_possible_size, written_scores

CARD = replace(bright_card(), size_m={"white square": (2.0, 10.0)})


SIDE = 200.0


def found(lengths: list[float], labels: list[int]) -> Detections:
    boxes = np.array([(3, 5, 3 + length, 5 + length / 4) for length in lengths], np.float32).reshape(-1, 4)
    return Detections(boxes, np.linspace(1, 0.5, len(lengths), dtype=np.float32), np.array(labels, np.int64))


def test_candidates_score_less_than_objects() -> None:
    card = bright_card()
    card = replace(card, thresholds=dict(zip(card.classes, (0.6, 0.4), strict=True)))
    assert written_scores(card, DetectConfig(keep=0.4)).tolist() == pytest.approx([0.4, 0.4])
    with pytest.raises(UsageError, match=r"--keep 0\.5 is above a threshold of .* \(0\.40\)"):
        written_scores(card, DetectConfig(keep=0.5))
    assert written_scores(card, DetectConfig(keep=0.5, classes=card.classes[:1])).tolist() == pytest.approx([0.5, 2])
    with pytest.raises(ConfigError, match=r"keep 0\.5 is above score 0\.3"):
        DetectConfig(keep=0.5, score=0.3)


def test_objects_of_an_impossible_size_are_left_out() -> None:
    kept = of_possible_size(found([3, 5, 19, 21, 3], [1, 1, 1, 1, 0]), CARD, (0.5, 0.5), SIDE, SIDE)
    assert np.ptp(kept.boxes_xyxy[:, [0, 2]], axis=1).tolist() == [5, 19, 3]


def test_an_object_cut_by_the_tile_is_never_too_short_but_may_be_too_long() -> None:
    boxes = np.array(
        [[0, 5, 3, 6], [197, 5, 200, 6], [5, 199, 8, 200], [5, 0, 8, 1], [5, 5, 8, 6], [0, 5, 30, 6]], float
    )
    objects = Detections(boxes, np.ones(6, np.float32), np.ones(6, np.int64))
    kept = of_possible_size(objects, CARD, (0.5, 0.5), SIDE, SIDE)
    assert kept.boxes_xyxy.tolist() == boxes[:4].tolist()


def test_pixels_that_are_not_square_are_measured_along_both_sides() -> None:
    objects = Detections(np.array([[50.0, 50, 70, 70]]), np.ones(1, np.float32), np.ones(1, np.int64))
    assert len(of_possible_size(objects, CARD, (0.05, 0.15), SIDE, SIDE)) == 1  # 1 m by 3 m
    assert len(of_possible_size(objects, CARD, (0.15, 0.05), SIDE, SIDE)) == 1
    assert len(of_possible_size(objects, CARD, (0.05, 0.05), SIDE, SIDE)) == 0


def test_where_the_resolution_or_the_sizes_are_not_known_everything_stays() -> None:
    objects = found([1, 500], [1, 1])
    assert of_possible_size(objects, CARD, None, SIDE, SIDE) is objects
    assert of_possible_size(objects, bright_card(), (0.5, 0.5), SIDE, SIDE) is objects
    assert len(of_possible_size(Detections.empty(), CARD, (0.5, 0.5), SIDE, SIDE)) == 0


@given(arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(0.125, 64, width=32)), st.floats(0.05, 4))
def test_each_object_is_judged_on_its_own(lengths: np.ndarray, gsd_m: float) -> None:
    labels = [index % 2 for index in range(len(lengths))]
    objects = found(lengths.tolist(), labels)
    sides = objects.boxes_xyxy[:, 2:] - objects.boxes_xyxy[:, :2]
    wanted = [label == 0 or 2 <= side.max() * gsd_m <= 10 for side, label in zip(sides, labels, strict=True)]
    kept = of_possible_size(objects, CARD, (gsd_m, gsd_m), SIDE, SIDE)
    assert kept.scores.tolist() == objects.scores[wanted].tolist()


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_detections_are_each_levels_best_after_suppression(seed: int, per_cell: int) -> None:
    rng = np.random.default_rng(seed)
    side, classes = 96, 3
    cells = [12 * 12, 6 * 6, 3 * 3, 2 * 2, 1]
    count = sum(cells) * per_cell
    scores = rng.random((2, count, classes), np.float32) ** 4
    corners = rng.uniform(0, 80, (2, count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(-2, 20, (2, count, 2))], axis=2).astype(np.float32)
    selection = Selection(np.array([0.3, 0.6, 2.0], np.float32), 0.5, 20, side)
    for image, found in enumerate(selection.detections(scores, boxes, side)):
        chosen = []
        for place in range(count):
            x1, y1, x2, y2 = boxes[image, place]
            for label in range(classes):
                if scores[image, place, label] > selection.thresholds[label] and x2 > x1 and y2 > y1:
                    chosen.append((boxes[image, place], scores[image, place, label], label))
        candidates = Detections(
            np.array([box for box, _, _ in chosen], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in chosen], np.float32),
            np.array([label for _, _, label in chosen], np.int64),
        )
        expected = candidates.selected(nms(candidates, 0.5)[:20])
        assert found.scores.tolist() == expected.scores.tolist()
        assert found.boxes_xyxy.tolist() == expected.boxes_xyxy.tolist()
        assert found.labels.tolist() == expected.labels.tolist()


def test_a_level_gives_a_thousand_candidates_at_most() -> None:
    cells = [80 * 80, 40 * 40, 20 * 20, 10 * 10, 5 * 5]
    scores = np.linspace(1, 0.5, sum(cells), dtype=np.float32)[None, :, None]
    places = np.arange(sum(cells), dtype=np.float32)
    boxes = np.stack([places, 0 * places, places + 1, 0 * places + 1], axis=1)[None]  # none overlaps another
    (found,) = Selection(np.array([0.1], np.float32), 0.5, 100_000, 640).detections(scores, boxes, 640)
    starts = level_starts(sum(cells), 640)
    assert starts.tolist() == [0, 6400, 8000, 8400, 8500]
    counts = np.bincount(np.searchsorted(starts, found.boxes_xyxy[:, 0], side="right") - 1)
    assert counts.tolist() == [1000, 1000, 400, 100, 25]
    assert found.boxes_xyxy[:1000, 0].tolist() == list(range(1000))


def test_limits_grow_with_the_area_of_tiles_larger_than_the_models() -> None:
    selection = Selection(np.array([0.1], np.float32), 0.5, 300, 320)
    assert [selection.limit(300, side) for side in (160, 320, 480, 640)] == [300, 300, 675, 1200]
    cells = [80 * 80, 40 * 40, 20 * 20, 10 * 10, 5 * 5]
    places = np.arange(sum(cells), dtype=np.float32)
    boxes = np.stack([places, 0 * places, places + 1, 0 * places + 1], axis=1)[None]  # none overlaps another
    scores = np.linspace(1, 0.5, sum(cells), dtype=np.float32)[None, :, None]
    (all_levels,) = Selection(np.array([0.1], np.float32), 0.5, 100_000, 320).detections(scores, boxes, 640)
    assert len(all_levels) == 4000 + 1600 + 400 + 100 + 25
    (found,) = selection.detections(scores, boxes, 640)
    assert found.boxes_xyxy[:, 0].tolist() == list(range(1200))


def test_hints_of_small_objects_are_half_of_the_cards_thresholds() -> None:
    card = replace(bright_card(), thresholds={"white square": 0.8}, lengths_px=(8.0, 40.0))
    assert hint_scores(card, DetectConfig(score=0.9)) == pytest.approx([0.15, 0.4])
    assert Selection.of(card, DetectConfig(score=0.9)).thresholds == pytest.approx([0.15, 0.4])
    assert Selection.of(card, DetectConfig(score=0.05)).thresholds == pytest.approx([0.05, 0.05])
    assert (Selection.of(card, DetectConfig(classes=("grey square",))).thresholds > 1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("lengths_px", "config"),
    [((8.0, 40.0), {"passes": Passes.THREE}), ((8.0, 40.0), {"agnostic": True}), (None, {})],
)
def test_nothing_is_kept_for_hints_where_passes_do_not_depend_on_them(
    lengths_px: tuple[float, float] | None, config: dict[str, Any]
) -> None:
    card = replace(bright_card(), lengths_px=lengths_px)
    assert hint_scores(card, DetectConfig(**config)) == []
    assert Selection.of(card, DetectConfig(**config)).thresholds == pytest.approx([0.3, 0.3])
