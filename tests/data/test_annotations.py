from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity, geometry
from support.makers import annotation, labelled_set

from lcageo.data.annotations import ObjectList, Problem, ProblemKind, clip_to_image, refuse, turned_bounds
from lcageo.errors import DataError

EDGES = st.floats(-100, 200)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": (0, 30)}, "a size of 0 x 30"),
        ({"boxes": [(1, 1, 1, 2)], "labels": [0]}, "empty, inverted or infinite boxes"),
        ({"boxes": [(1, 1, 41, 2)], "labels": [0]}, "boxes outside it"),
        ({"boxes": [(1, 1, float("nan"), 2)], "labels": [0]}, "infinite boxes"),
        ({"boxes": [(1, 1, 2, 2)], "labels": [0, 0]}, r"boxes float32 \(1, 4\)"),
        ({"boxes": [(1, 1, 2, 2)], "labels": [1]}, "labels outside its labelled classes"),
        ({"labelled": (1, 0)}, "do not ascend"),
        ({"labelled": (-1, 0)}, "do not ascend"),
        ({"boxes": [(1, 1, 2, 2)], "labels": [0], "difficult": []}, r"difficult bool \(0,\)"),
    ],
)
def test_an_annotation_that_contradicts_itself_is_refused_by_name(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=f"'a.png' has .*{words}"):
        annotation(**changes)  # type: ignore[arg-type]


def test_an_image_without_objects_is_an_annotation() -> None:
    assert len(annotation()) == 0


def test_a_set_refuses_labels_beyond_its_classes_and_classes_named_twice() -> None:
    with pytest.raises(DataError, match="beyond the 1 classes"):
        labelled_set(annotation(labelled=(0, 1)))
    with pytest.raises(DataError, match="names a class twice"):
        labelled_set(classes=("ship", "ship"))


@given(st.tuples(EDGES, EDGES, EDGES, EDGES))
def test_what_is_left_of_a_box_is_its_overlap_with_the_image(box: tuple[float, float, float, float]) -> None:
    clipped, problem = clip_to_image(box, 100, 80)
    x1, y1, x2, y2 = map(np.float32, box)
    overlap = x1 < x2 and y1 < y2 and max(x1, 0) < min(x2, 100) and max(y1, 0) < min(y2, 80)
    assert (clipped is not None) == overlap
    if clipped is None:
        assert problem is not None and "skipped" in problem[1]
    else:
        assert clipped == (max(box[0], 0), max(box[1], 0), min(box[2], 100), min(box[3], 80))
        far = max(-box[0], -box[1], box[2] - 100, box[3] - 80) > 0.05
        assert (problem is not None and problem[0] == ProblemKind.BOX_OUTSIDE) == far


def test_collected_objects_become_an_annotation() -> None:
    objects = ObjectList(10, 20)
    assert objects.add((1, 2, 3, 4), 2, True) is None
    assert objects.add((3, 2, 1, 4), 2, True) is not None
    made = objects.annotation(Path("x.jpg"), [2, 0])
    assert made.boxes_xyxy.tolist() == [[1, 2, 3, 4]] and made.labels.tolist() == [2] and made.difficult.tolist() == [1]
    assert made.labelled_classes == (0, 2) and (made.width, made.height) == (10, 20)


@pytest.mark.parametrize(("box", "used"), [((0, 0, 1, 1), 0), ((0.2, 0.2, 0.9, 1), 0), ((5, 5, 6.5, 6), 1)])
def test_boxes_of_a_pixel_or_less_are_left_out(box: tuple[float, float, float, float], used: int) -> None:
    objects = ObjectList(10, 20)
    problem = objects.add(box, 0, False)
    assert (len(objects.boxes), objects.skipped) == (used, 1 - used)
    assert problem is None or (problem[0] is ProblemKind.TINY_BOX and "not in shares of the image" in problem[1])
    assert (objects.unusable is None) is bool(used)


def test_refusing_names_the_first_problem_and_counts_the_others() -> None:
    refuse([])
    problem = Problem(ProblemKind.EMPTY_BOX, Path("a.xml"), "line 4, object 1", "box is empty")
    with pytest.raises(DataError, match=r"a\.xml: line 4, object 1: box is empty \(and 1 more problems\); .*--strict"):
        refuse([problem, problem])


@pytest.mark.parametrize("degrees", [0, 90, 180, 30, -45, 400])
def test_turned_boxes_have_the_bounds_that_shapely_gives(degrees: float) -> None:
    expected = affinity.rotate(geometry.box(50, 45, 150, 55), degrees, "centroid").bounds
    assert turned_bounds((50, 45, 150, 55), math.radians(degrees)) == pytest.approx(expected)
