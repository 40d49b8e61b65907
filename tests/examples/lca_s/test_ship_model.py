"""The card of a model to ship: thresholds with few enough false objects, raised no further; calibration and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ship_model import NEARLY_BEST, lenient, raised, shipped, without
from support.learned import learned_shapes
from support.shapes import write_shapes

from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.detections import Detections
from lcageo.metrics.summary import evaluate_detections
from lcageo.metrics.truth import ImageTruth

CLASSES = ("ship", "car", "bridge")
SIDE = 1000  # one megapixel


def image(objects: int = 0, labelled: tuple[int, ...] = (0, 1, 2)) -> Annotation:
    boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (objects, 1))
    labels = np.full(objects, labelled[0], np.int64)
    return Annotation(Path("a.png"), SIDE, SIDE, boxes, labels, labelled, np.zeros(objects, np.bool_))


def found(*pairs: tuple[float, int]) -> Detections:
    boxes = np.zeros((len(pairs), 4))
    boxes[:, 2:] = 5
    return Detections(
        boxes, np.array([score for score, _ in pairs], np.float32), np.array([label for _, label in pairs], np.int64)
    )


def false(thresholds: dict[str, float], some: list[Detections]) -> int:
    minimum = np.array([thresholds[name] for name in CLASSES])
    return sum(int((one.scores > minimum[one.labels]).sum()) for one in some)


detections = st.lists(st.tuples(st.floats(0.0625, 1, width=32), st.integers(0, 2)), max_size=8)


@given(st.lists(detections, min_size=1, max_size=25))
def test_one_false_object_in_ten_megapixels_is_left_and_no_more(pairs: list[list[tuple[float, int]]]) -> None:
    some = [found(*one) for one in pairs]
    labelled = LabelledSet("nothing", CLASSES, tuple(image() for _ in some))
    best = {"ship": 0.4, "car": 0.6}
    result = raised(best, labelled, some)
    start = {**best, "bridge": 0.3}
    assert all(result[name] >= start[name] for name in CLASSES)
    assert false(result, some) <= len(some) // 10
    if false(start, some) <= len(some) // 10:
        assert result == start


def test_the_surest_mistake_is_the_one_that_stays() -> None:
    some = [found((0.9, 0), (0.5, 1)), *[found()] * 9]
    labelled = LabelledSet("nothing", CLASSES, tuple(image() for _ in some))
    result = raised(dict.fromkeys(CLASSES, 0.3), labelled, some)
    assert result == {"ship": 0.3, "car": 0.5, "bridge": 0.3}


def test_images_with_objects_or_unknown_classes_raise_nothing() -> None:
    labelled = LabelledSet("some", CLASSES, (image(objects=1), image(labelled=(0, 1))))
    assert raised(dict.fromkeys(CLASSES, 0.3), labelled, [found((0.9, 2))] * 2)["bridge"] == 0.3


@pytest.mark.slow
def test_any_list_of_sets_gives_a_calibration_and_the_figures_of_each(tmp_path: Path) -> None:
    _, card = learned_shapes(tmp_path, validated_on=4)
    many = write_shapes(tmp_path / "many.json", 30, seed=2)
    few = write_shapes(tmp_path / "few.json", 2, seed=3)
    nothing = tmp_path / "nothing.json"
    nothing.write_text(json.dumps(json.loads(few.read_text()) | {"annotations": []}))
    lists = {("many",): {"ship", "car"}, ("many", "nothing", "few"): {"ship", "car"}, ("nothing", "few"): set()}
    paths = {"many": many, "few": few, "nothing": nothing}
    assert card.calibration == {}
    for names, calibrated in lists.items():
        result = shipped(card, {name: paths[name] for name in names}, {}, None, "shapes", rendered=["many"])
        assert set(result.calibration) == calibrated, names
        assert set(result.metrics) == set(names) - {"nothing"} and set(result.thresholds) == {"ship", "car"}
        assert {name: one.get("is_rendered", False) for name, one in result.metrics.items()} == {
            name: name == "many" for name in result.metrics
        }


def test_a_class_that_a_set_labels_in_part_is_left_out_of_it() -> None:
    labelled = LabelledSet("some", CLASSES, (image(objects=2), image(objects=1, labelled=(1, 2))))
    without_ships = without(labelled, "ship")
    assert [len(one) for one in without_ships.annotations] == [0, 1]
    assert [one.labelled_classes for one in without_ships.annotations] == [(1, 2), (1, 2)]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.0625, 1, width=32)), min_size=1, max_size=30))
def test_lenient_thresholds_are_the_lowest_with_nearly_the_best_f1(pairs: list[tuple[int, float]]) -> None:
    """Ten ships in a row; each detection is exactly on one of them, or a second one there, which is false."""
    boxes = np.array([[20 * n, 0, 20 * n + 10, 10] for n in range(10)], np.float64)
    truth = ImageTruth(SIDE, SIDE, boxes, np.zeros(10, np.int64), np.zeros(10, bool), (0, 1, 2))
    scores = np.array([score for _, score in pairs], np.float32)
    ships = Detections(boxes[[place for place, _ in pairs]], scores, np.zeros(len(pairs), np.int64))
    evaluation = evaluate_detections(CLASSES, [truth], [ships])

    def f1(minimum: float) -> float:
        kept = scores > minimum
        right = len({place for (place, _), is_kept in zip(pairs, kept.tolist(), strict=True) if is_kept})
        return 2 * right / (int(kept.sum()) + 10)

    possible = [float(np.nextafter(score, np.float32(0))) for score in scores]
    best = max(map(f1, possible))
    chosen = lenient([evaluation])["ship"]
    assert f1(chosen) >= NEARLY_BEST * best - 1e-9
    assert all(f1(minimum) < NEARLY_BEST * best for minimum in possible if minimum < chosen)
