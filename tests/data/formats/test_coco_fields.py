from __future__ import annotations

from typing import Any

import pytest

from lcageo.data.formats.coco_fields import (
    box_of,
    gsd_m_of,
    is_ignored,
    known_id,
    members,
    plain_id,
    record_id,
    rotation_of,
    short,
    side_of,
    text_of,
    valid_box,
)
from lcageo.errors import DataError


@pytest.mark.parametrize(("written", "number"), [(1, 1), (1.0, 1), ("1", "1"), ("a", "a"), (-0.0, 0)])
def test_ids_are_whole_numbers_or_texts(written: Any, number: Any) -> None:
    assert plain_id(record_id({"id": written}, "id")) == number


@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, float("nan"), float("inf")])
def test_other_ids_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"id is .*, not a whole number or text"):
        record_id({"id": value}, "id")


def test_an_id_is_found_as_a_number_and_as_a_text() -> None:
    assert [known_id(one, {1, "2", "x"}) for one in (1, "1", "1.0", 2, "2", "x", "y", "inf")] == [
        1, 1, 1, "2", "2", "x", "y", "inf",
    ]  # fmt: skip


def test_boxes_become_corners_unless_they_say_nothing() -> None:
    assert box_of({"bbox": [1, 2, 3.5, 4]}) == valid_box({"bbox": [1, 2, 3.5, 4]}) == (1, 2, 4.5, 6)
    for box in (None, [], [0, 0, 0, 0], [1, 2, 3], "no", [1, 2, 3, None]):
        assert valid_box({"bbox": box}) is None
    with pytest.raises(DataError, match="bbox is missing"):
        box_of({})
    with pytest.raises(DataError, match="the record is 3, not an object"):
        box_of(3)


def test_sizes_resolutions_texts_and_groups() -> None:
    assert side_of({"width": 40.0}, "width") == 40 and text_of({"name": "ship"}, "name") == "ship"
    for value in (0, -1, 2.5, "wide", True, 10**400):
        with pytest.raises(DataError, match="not a positive whole number of pixels"):
            side_of({"width": value}, "width")
    assert [gsd_m_of({"gsd_m": value}) for value in (0.5, 0, "x", True, float("inf"))] == [0.5, *[None] * 4]
    categories = [{"name": "vessels"}, {"name": "ship", "supercategory": "vessels"}, None]
    assert members("vessels", categories) == ["'ship'"] and members("ship", categories) == []
    assert len(short("x" * 1000)) == 60


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_objects_are_ignored_where_a_mark_says_so_also_as_text(key: str) -> None:
    marks = {True: [1, True, 1.0, "1", " True "], False: [0, False, None, "0", "", "false"]}
    for expected, values in marks.items():
        assert [is_ignored({key: value}) for value in values] == [expected] * len(values)
    assert not is_ignored({})
    for value in (2, "maybe", [], {}, float("nan")):
        with pytest.raises(DataError, match=f"{key} is .*, neither 0 nor 1"):
            is_ignored({"iscrowd": 1, key: value})


def test_rotations_are_numbers_of_degrees() -> None:
    attributes = [None, "x", {}, {"rotation": None}, {"rotation": 0.0}, {"rotation": "30.5"}]
    assert [rotation_of({"attributes": one}) for one in attributes] == [0, 0, 0, 0, 0, 30.5]
    for value in ("left", [], float("nan"), 10**400):
        with pytest.raises(DataError, match=r"rotation is .*, not a number of degrees"):
            rotation_of({"attributes": {"rotation": value}})
