"""The columns of a layer: what examples/formats.md says of them, their names and their values."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import REPOSITORY
from support.layers import BOXES, CLASSES, FOUND, layer_at

from lcageo.detections import Detections
from lcageo.vector.columns import COLUMNS, Column, FoundObjects, first_column

PAGE = REPOSITORY / "examples" / "formats.md"
TEXT = "".join(f"{line.strip()}\n" for line in PAGE.read_text("utf-8").splitlines())
"""Without the indentation that a table in a list has."""
TYPES = {"str": "text", "int32": "integer", "int64": "integer", "float64": "number"}
LONGEST_SHAPEFILE_NAME = 10


def markdown_table() -> str:
    """The columns as the page shows them."""
    rows = [f"| `{column.name}` | {TYPES[column.dtype]} | {column.meaning} |" for column in COLUMNS]
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *rows]) + "\n"


def test_the_page_s_table_is_this_one() -> None:
    assert markdown_table() in TEXT, f"{PAGE} should have this table:\n\n{markdown_table()}"


def test_an_exact_name_is_found_before_one_in_another_case() -> None:
    assert first_column(["CLASS", "class", "Name"], ["class", "name"]) == "class"
    assert first_column(["CLASS", "Class", "class"], ["Class"]) == "Class"
    assert first_column(["CLASS", "Class"], ["class"]) == "CLASS"
    assert first_column(["name", "Class"], ["class", "name"]) == "Class" and first_column(["a"], ["class"]) is None


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_names_fit_into_shapefiles(column: Column) -> None:
    assert 1 <= len(column.name.encode()) <= LONGEST_SHAPEFILE_NAME and column.name.isascii()


def test_names_differ_also_without_regard_to_case() -> None:
    assert len({column.name.lower() for column in COLUMNS}) == len(COLUMNS)


@pytest.mark.parametrize("objects", [FOUND, Detections.empty()], ids=["three", "none"])
def test_values_have_the_type_that_the_column_declares(objects: Detections) -> None:
    layer = layer_at("utm", objects)
    assert layer.columns.tolist() == [*(column.name for column in COLUMNS), "geometry"]
    for column in COLUMNS:
        assert str(layer[column.name].dtype) == column.dtype
        assert column.is_whole == np.issubdtype(np.dtype(column.dtype), np.integer)
        assert column.is_number == (column.dtype != "str")


def test_values_are_those_of_the_objects() -> None:
    count = len(FOUND)
    lengths = np.arange(count) + 0.123456
    found = FoundObjects(FOUND, CLASSES, "scene-ü", 41, lengths, lengths + 10, np.full(count, np.nan))
    values = {column.name: column.values(found).tolist() for column in COLUMNS}
    assert values["id"] == [41, 42, 43] and values["scene"] == ["scene-ü"] * count
    assert values["class"] == [CLASSES[label] for label in FOUND.labels]
    assert values["class_id"] == FOUND.labels.tolist()
    assert values["score"] == [0.91, 0.5, 0.3]
    assert values["width_m"] == [0.12, 1.12, 2.12] and values["height_m"] == [10.12, 11.12, 12.12]
    assert np.isnan(values["area_m2"]).all() and len(BOXES) == count
