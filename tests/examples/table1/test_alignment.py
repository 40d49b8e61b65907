"""Alignment compared with plain loops, and once on a real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import alignment
import numpy as np
import pytest
from agreement_text import markdown
from dense import Dense
from hypothesis import given
from hypothesis import strategies as st
from peaks import find_peaks, pearson, score_and_iou, spearman, summary
from support.reference import random_case
from support.shapes import write_shapes

from lcageo.metrics.coco import SIZES
from lcageo.metrics.truth import counted
from lcageo.network_config import STRIDES

Box = list[float]


def slow_iou(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def random_boxes(rng: np.random.Generator, count: int, minimum: float = 1.0) -> np.ndarray:
    corner = rng.uniform(0, 80, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(minimum, 40, (count, 2))], axis=1)


def points_of(side: int) -> np.ndarray:
    """The centres of a square image's cells, level by level."""
    return np.array(
        [
            ((column + 0.5) * stride, (row + 0.5) * stride)
            for stride in STRIDES
            for row in range(-(-side // stride))
            for column in range(-(-side // stride))
        ]
    )


def dense_of(
    scores: np.ndarray, boxes: np.ndarray, points: np.ndarray, objects: np.ndarray, labels: np.ndarray
) -> Dense:
    """An image with (N, K) scores; fields that peaks do not use are empty."""
    iou = [[slow_iou(box, own) for box in boxes.tolist()] for own in objects.tolist()]
    inside = [[own[0] < x < own[2] and own[1] < y < own[3] for x, y in points.tolist()] for own in objects.tolist()]
    shape = (len(labels), len(boxes))
    return Dense(
        index=0,
        pixels=np.zeros((128, 128, 3), np.uint8),
        objects_xyxy=objects,
        labels=labels,
        boxes_xyxy=boxes,
        points_xy=points,
        level_sizes=(len(boxes),),
        class_scores=np.zeros(shape),
        scores=scores[:, labels].T,
        iou=np.array(iou, np.float64).reshape(shape),
        inside=np.array(inside, np.bool_).reshape(shape),
        positives=np.zeros(len(labels), np.int64),
    )


@given(st.integers(0, 10_000))
def test_peaks_are_those_of_a_plain_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = points_of(128)
    scores, boxes = rng.random((341, 3)), random_boxes(rng, 341)
    objects, labels = random_boxes(rng, 6), rng.integers(0, 3, 6)
    found = find_peaks(dense_of(scores, boxes, points, objects, labels))
    for number, (box, label) in enumerate(zip(objects.tolist(), labels.tolist(), strict=True)):
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        away = [((x - middle[0]) ** 2 + (y - middle[1]) ** 2) ** 0.5 for x, y in points.tolist()]
        inside = [
            n
            for n, (x, y) in enumerate(points.tolist())
            if box[0] < x < box[2]
            and box[1] < y < box[3]
            and all(
                slow_iou(boxes[n].tolist(), box) >= slow_iou(boxes[n].tolist(), other)
                for other, kind in zip(objects.tolist(), labels.tolist(), strict=True)
                if kind == label
            )
        ]
        candidates = inside or [n for n, length in enumerate(away) if length == min(away)]
        iou = {n: slow_iou(boxes[n].tolist(), box) for n in candidates}
        scored, located = max(candidates, key=lambda n: scores[n, label]), max(candidates, key=lambda n: iou[n])
        assert (found.scored[number], found.located[number]) == (scored, located)
        assert (found.scored_iou[number], found.located_iou[number]) == pytest.approx((iou[scored], iou[located]))
        dx, dy = (points[scored] - points[located]).tolist()
        apart = ((dx / (box[2] - box[0])) ** 2 + (dy / (box[3] - box[1])) ** 2) ** 0.5
        assert found.distance[number] == pytest.approx(apart)


def test_a_location_with_the_neighbours_box_is_not_the_objects_own() -> None:
    points = points_of(128)
    objects = np.array([[10.0, 10.0, 60.0, 60.0], [40.0, 40.0, 90.0, 90.0]])
    scores, boxes = np.full((341, 1), 0.1), np.repeat(objects[:1], 341, axis=0)
    middle = 6 * 16 + 6  # the point (52, 52), which is inside both
    scores[middle], boxes[middle] = 0.9, objects[1]
    found = find_peaks(dense_of(scores, boxes, points, objects, np.zeros(2, np.int64)))
    assert found.scored[0] != middle and found.scored[1] == found.located[1] == middle
    assert found.scored_iou.tolist() == [1, 1]
    apart = find_peaks(dense_of(np.repeat(scores, 2, axis=1), boxes, points, objects, np.arange(2)))
    assert apart.scored[0] == middle  # another class is no rival


@given(st.integers(0, 10_000))
def test_ious_are_those_of_a_plain_search(seed: int) -> None:
    case = random_case(seed, images=4, difficult=0.3, partial=True)
    scores, ious = score_and_iou(counted(3, case.truths, case.found, 100))
    slow = []
    for truth, found in zip(case.truths, case.found, strict=True):
        for box, score, label in zip(found.boxes_xyxy.tolist(), found.scores, found.labels, strict=True):
            if label not in truth.labelled_classes:
                continue
            best, forgiven = 0.0, 0.0
            for other, kind, difficult in zip(truth.boxes_xyxy.tolist(), truth.labels, truth.difficult, strict=True):
                if kind == label and not difficult:
                    best = max(best, slow_iou(box, other))
                elif kind == label:
                    width = min(box[2], other[2]) - max(box[0], other[0])
                    height = min(box[3], other[3]) - max(box[1], other[1])
                    share = max(width, 0) * max(height, 0) / ((box[2] - box[0]) * (box[3] - box[1]))
                    forgiven = max(forgiven, share)
            if forgiven < 0.5 or best >= 0.5:
                slow.append((float(score), best))
    ours = sorted(zip(scores.tolist(), ious.tolist(), strict=True))
    assert [pair[0] for pair in ours] == pytest.approx([pair[0] for pair in sorted(slow)])
    assert sum(ious) == pytest.approx(sum(pair[1] for pair in slow), abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_correlations_are_those_of_the_formula(pairs: list[tuple[int, int]]) -> None:
    def slow(first: list[float], second: list[float]) -> float:
        one, other = ([value - sum(values) / len(values) for value in values] for values in (first, second))
        below = (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5
        return sum(a * b for a, b in zip(one, other, strict=True)) / below if below > 1e-9 else float("nan")

    def ranks(values: list[float]) -> list[float]:
        return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]

    first, second = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    arrays = np.array(first), np.array(second)
    assert pearson(*arrays) == pytest.approx(slow(first, second), nan_ok=True)
    assert spearman(*arrays) == pytest.approx(slow(ranks(first), ranks(second)), nan_ok=True)


def test_an_object_between_all_points_gets_the_nearest() -> None:
    points = points_of(128)
    scores, boxes = np.zeros((341, 1)), np.tile([7.0, 7.0, 9.0, 9.0], (341, 1))
    scores[16 + 1] = 0.9  # the point (12, 12)
    objects = np.array([[11.0, 11.0, 11.5, 11.5]])
    found = find_peaks(dense_of(scores, boxes, points, objects, np.zeros(1, np.int64)))
    assert found.scored_xy.tolist() == [[12.0, 12.0]] and found.located_xy.tolist() == [[12.0, 12.0]]


def test_without_objects_there_are_no_figures() -> None:
    scores, boxes = np.zeros((341, 1)), np.zeros((341, 4))
    nothing = find_peaks(dense_of(scores, boxes, points_of(128), np.zeros((0, 4)), np.zeros(0, np.int64)))
    figures = summary(np.zeros(0), np.zeros(0), nothing)
    assert figures["objects"] == 0 and figures["distance_mean"] is None
    assert figures["kept_boxes"] == {"boxes": 0, "pearson": None, "spearman": None}


def test_a_models_figures_are_measured_and_drawn(
    untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = write_shapes(tmp_path / "val.json", 4), tmp_path / "out"
    alignment.main([str(untrained), "--val", str(labels), "--out", str(out), "--device", "cpu"])
    content = json.loads(labels.read_text())
    one = json.loads((out / "alignment.json").read_text())["untrained"]
    assert one["objects"] == sum(box["category_id"] == 0 for box in content["annotations"])  # the model has only ships
    assert sum(size["objects"] for size in one["positives"].values()) == one["objects"]
    assert 0 <= one["best_scored_iou"] <= one["best_located_iou"] <= 1 and one["distance_mean"] >= 0
    assert (out / "alignment.md").read_text().count("| `untrained` |") == 3
    assert (out / "alignment.png").stat().st_size > 10_000 < (out / "maps.png").stat().st_size
    with pytest.raises(SystemExit):
        alignment.main([str(untrained), str(untrained), "--val", str(labels), "--out", str(tmp_path / "again")])
    assert "is the second model called untrained" in capsys.readouterr().err


@pytest.mark.parametrize("hidden", [False, True])
def test_pixels_are_hidden_when_asked(
    hidden: bool, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(alignment, "draw", lambda columns, picture: seen.extend(x.image for x in columns[0].shown))
    monkeypatch.setattr(alignment, "draw_maps", lambda names, maps, picture: seen.extend(x.pixels for x, _ in maps[0]))
    labels = write_shapes(tmp_path / "val.json", 4)
    command = [str(untrained), "--val", str(labels), "--out", str(tmp_path / "out"), "--device", "cpu"]
    alignment.main([*command, *["--hide-pixels"] * hidden])
    assert len(seen) > 1
    assert all((image == alignment.GREY).all() == hidden for image in seen)


def test_table_cells_are_means_over_the_seeds() -> None:
    def of_seed(value: float) -> dict[str, Any]:
        both = {"pearson": value, "spearman": value}
        gain = {"mean": value, "interval": [value - 0.5, value + 0.5]}
        places = {size: {"objects": 3, "mean": value, "median": value, "least": 1} for size in SIZES}
        names = ("distance_mean", "distance_median", "same_place_share", "best_scored_iou", "best_located_iou",
                 "rank_of_S", "rank_of_S*", "iou_chosen_by_S", "iou_chosen_by_S*", "iou_best")  # fmt: skip
        return dict.fromkeys(names, value) | {
            "kept_boxes": both, "kept_boxes_on_objects": both, "objects_ranked": 3, "rank_gain": gain,
            "iou_gain": gain, "positives": places,
        }  # fmt: skip

    two, one = markdown({"lca": [of_seed(1.0), of_seed(2.0)]}), markdown({"lca": [of_seed(1.0)]})
    assert two.count("1.500 ± 0.707") == 9 + 7 and "| `lca` | 3 |" in two
    assert two.count("+1.500 ± 0.707 (+0.500 to +2.500)") == 2 and two.count("1.5 ± 0.7 (3 objects)") == 3
    assert one.count("1.000") == 9 + 5 + 2 and one.count("+1.000 (+0.500 to +1.500)") == 2
    assert one.count("1.0 (3 objects)") == 3
    assert "| 0.000 |" in one and "| 0.000 ± 0.000 |" in two  # no loss between equal locations
    assert one.count("| - |") == 0
    ungated = of_seed(1.0) | {key: {"mean": 0.0, "interval": [0.0, 0.0]} for key in ("rank_gain", "iou_gain")}
    assert markdown({"fcos": [ungated]}).count("| - |") == 2
