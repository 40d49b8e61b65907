from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcageo.pictures.label_places import ROOMY, place_labels

FRAME = (400, 300)
SIZE = (60.0, 18.0)


def places(*boxes: tuple[float, float, float, float]) -> list[tuple[float, float] | None]:
    return place_labels(np.array(boxes, np.float64), np.array([SIZE] * len(boxes)), FRAME)


def meets(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_label_stands_above_its_box_or_else_below_or_beside_it() -> None:
    assert places((100, 100, 140, 140)) == [(100, 100 - 18)]
    assert places((100, 5, 140, 40)) == [(100, 40)]
    assert places((100, 0, 140, 300)) == [(140, 0)]
    assert places((380, 0, 400, 300)) == [(320, 0)]


def test_a_label_stays_in_the_frame() -> None:
    assert places((390, 100, 400, 110)) == [(340, 82)]


def test_a_label_is_inside_a_box_that_fills_the_frame_and_left_out_where_small_boxes_are_crowded() -> None:
    assert places((0, 0, 400, 300)) == [(0, 0)]
    wall = [(x, y, x + 40.0, y + 40.0) for x in (60.0, 100.0, 140.0) for y in (60.0, 100.0, 140.0)]
    assert places((105, 105, 130, 130), *wall)[0] is None


@given(
    st.lists(
        st.tuples(st.floats(0, 390), st.floats(0, 290), st.floats(1, 200), st.floats(1, 200)).map(
            lambda box: (box[0], box[1], min(400.0, box[0] + box[2]), min(300.0, box[1] + box[3]))
        ),
        max_size=25,
    )
)
def test_no_label_covers_another_or_an_object_that_does_not_contain_it(
    boxes: list[tuple[float, float, float, float]],
) -> None:
    found = place_labels(
        np.array(boxes, np.float64).reshape(-1, 4), np.array([SIZE] * len(boxes)).reshape(-1, 2), FRAME
    )
    labels = [None if place is None else (*place, place[0] + SIZE[0], place[1] + SIZE[1]) for place in found]
    for index, label in enumerate(labels):
        if label is None:
            continue
        assert label[0] >= 0 and label[1] >= 0 and label[2] <= FRAME[0] and label[3] <= FRAME[1]
        assert not any(other is not None and meets(label, other) for other in labels[:index])
        for number, box in enumerate(boxes):
            inside = box[0] <= label[0] and box[1] <= label[1] and box[2] >= label[2] and box[3] >= label[3]
            roomy = (box[2] - box[0]) * (box[3] - box[1]) > ROOMY * SIZE[0] * SIZE[1]
            assert not meets(label, box) or (inside and roomy) or (number == index and roomy)
