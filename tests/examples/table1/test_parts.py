"""Metrics on parts of a set compared with plain loops, and with the COCO library's on the whole."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import parts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Part, neighbours, parts_of, precisions
from support.reference import Case, random_case

from lcageo.metrics.curves import COCO_RECALLS
from lcageo.metrics.match import IOUS, Matches, match
from lcageo.metrics.summary import evaluate_detections
from lcageo.metrics.truth import Counted, counted

Box = list[float]


def matched(case: Case) -> Matches:
    return match(counted(len(case.classes), case.truths, case.found, 100))


def slow_neighbours(box: Box, image: int, what: Counted) -> int:
    x, y, longer = box[0] + box[2] / 2, box[1] + box[3] / 2, max(box[2:])
    count = 0
    for other, of in zip(what.truth_xywh.tolist(), what.truth_image.tolist(), strict=True):
        dx, dy = other[0] + other[2] / 2 - x, other[1] + other[3] / 2 - y
        is_inside = abs(dx) <= box[2] / 2 and abs(dy) <= box[3] / 2
        count += of == image and not is_inside and math.hypot(dx, dy) <= 2 * longer
    return count


def slow_precision(matches: Matches, iou: int, belongs: Callable[[Box, int], bool], least: int) -> float:
    """Mean over the classes of COCO's average precision: the best precision at each of 101 recalls or beyond."""
    what, found = matches.what, []
    for label in range(what.classes):
        total = sum(
            belongs(box, image)
            for box, image, kind, difficult in zip(
                what.truth_xywh.tolist(), what.truth_image.tolist(), what.truth_label, what.difficult, strict=True
            )
            if kind == label and not difficult
        )
        if total < least:
            continue
        points, right, wrong = [], 0, 0
        for one in sorted(np.flatnonzero(what.found_label == label).tolist(), key=lambda one: -what.score[one]):
            truth = int(matches.truth[iou, one])
            if truth < 0:
                wrong += belongs(what.found_xywh[one].tolist(), int(what.found_image[one]))
            elif not what.difficult[truth]:
                right += belongs(what.truth_xywh[truth].tolist(), int(what.truth_image[truth]))
            if right + wrong:
                points.append((right / total, right / (right + wrong)))
        best = [max((p for r, p in points if r >= recall), default=0.0) for recall in COCO_RECALLS.tolist()]
        found.append(sum(best) / len(best))
    return sum(found) / len(found) if found else float("nan")


@given(st.integers(0, 10_000))
def test_precisions_are_those_of_plain_loops(seed: int) -> None:
    case = random_case(seed, images=8, difficult=0.2, partial=True)
    matches = matched(case)
    what, sets = matches.what, ["a", "b"] * 4

    def crowding(low: float, high: float) -> Callable[[Box, int], bool]:
        return lambda box, image: low <= slow_neighbours(box, image, what) < high

    slow: dict[str, Callable[[Box, int], bool]] = {
        "set: b": lambda box, image: image % 2 == 1,
        "size: small": lambda box, image: box[2] * box[3] < 32**2,
        "size: medium": lambda box, image: 32**2 <= box[2] * box[3] < 96**2,
        "length, px: 64 to 128": lambda box, image: 64 <= max(box[2:]) < 128,
        "crowding: no neighbour": crowding(0, 1),
        "crowding: 1 to 3": crowding(1, 4),
    }
    by_name = {part.name: part for part in parts_of(what, sets)}
    once = np.ones((1, 8), np.int32)
    for name, belongs in slow.items():
        ours = precisions(matches, by_name[name], once)[0]
        for iou in (0, 5):
            expected = slow_precision(matches, iou, belongs, parts.LEAST_OBJECTS)
            assert ours[iou] == pytest.approx(expected, nan_ok=True), (name, iou)


@given(st.integers(0, 10_000))
def test_an_image_that_is_drawn_twice_counts_twice(seed: int) -> None:
    case = random_case(seed, images=6, difficult=0.2)
    drawn = [0, 0, 2, 3, 3, 3]
    several = Case(case.classes, [case.truths[n] for n in drawn], [case.found[n] for n in drawn])
    times = np.bincount(drawn, minlength=6)[None].astype(np.int32)
    for name in ("all objects", "size: medium", "crowding: 1 to 3"):
        one, other = (
            (matches, next(part for part in parts_of(matches.what, ["a"] * 6) if part.name == name))
            for matches in (matched(case), matched(several))
        )
        enough = [
            parts.object_counts(matches.what, part) >= parts.least_objects(part) for matches, part in (one, other)
        ]
        if np.array_equal(*enough):  # else other classes would count
            ours, slow = precisions(*one, times), precisions(*other, np.ones((1, 6), np.int32))
            assert ours[0] == pytest.approx(slow[0], nan_ok=True)


@given(st.integers(0, 10_000))
def test_the_whole_is_what_the_coco_library_measures(seed: int) -> None:
    case = random_case(seed, images=6, difficult=0.2, partial=True)
    evaluation = evaluate_detections(case.classes, case.truths, case.found)
    whole = parts_of(evaluation.matches.what, ["a"] * 6)[0]
    ours = precisions(evaluation.matches, whole, np.ones((1, 6), np.int32))[0]
    assert ours[0] == pytest.approx(evaluation.map50, nan_ok=True)
    assert ours.mean() == pytest.approx(evaluation.map50_95, nan_ok=True)


@given(st.integers(0, 10_000))
def test_every_object_is_in_one_part_of_a_kind(seed: int) -> None:
    what = matched(random_case(seed, images=6)).what
    kinds: dict[str, list[Part]] = {}
    for part in parts_of(what, ["a", "b", "c"] * 2)[1:]:
        kinds.setdefault(part.name.split(":")[0], []).append(part)
    assert {kind: len(some) for kind, some in kinds.items()} == {"set": 3, "size": 3, "length, px": 5, "crowding": 3}
    for some in kinds.values():
        assert (sum(part.objects.astype(int) for part in some) == 1).all()
        assert (sum(part.detections.astype(int) for part in some) == 1).all()
    slow = [
        slow_neighbours(box, image, what) for box, image in zip(what.found_xywh.tolist(), what.found_image, strict=True)
    ]
    assert neighbours(what.found_image, what.found_xywh, what).tolist() == slow


def test_parts_are_measured_on_all_images_and_on_resampled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "RESAMPLES", 5)
    matches = matched(random_case(2, images=8))
    measured = parts.measure_parts(matches, ["a"] * 8)
    assert next(iter(measured)) == "all objects" and not any(name.startswith("set") for name in measured)
    times = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), 5).astype(np.int32)
    for part in parts_of(matches.what, ["a"] * 8):
        one = measured[part.name]
        assert one.precisions.shape == (6, len(IOUS))
        assert np.array_equal(one.precisions[1:], precisions(matches, part, times), equal_nan=True)
        assert one.classes <= 3 and one.objects >= parts.least_objects(part) * one.classes
