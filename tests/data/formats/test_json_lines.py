from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.data.formats.json_lines import record_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(before=VALUES, records=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 0, 1, 4]))
def test_lines_are_those_on_which_records_start(before: object, records: list[object], indent: int | None) -> None:
    text = json.dumps({"[": before, "records": records, "after": records}, indent=indent)
    lines = record_lines(text, "records")
    assert len(lines) == len(records)
    if indent is None:
        assert set(lines) <= {1}
        return
    # A record's first line is that of the record on its own, and the next record starts where it ends.
    for record, line in zip(records, lines, strict=True):
        first = json.dumps(record, indent=indent).split("\n")[0]
        assert text.split("\n")[line - 1].strip(" ,") == first.strip(" ,")
    sizes = [json.dumps(record, indent=indent).count("\n") + 1 for record in records]
    assert lines[1:] == [line + size for line, size in zip(lines, sizes[:-1], strict=False)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"a": []}', []),
        ('\n{\n"a"\n:\n[\n1\n,\n2]}', [6, 8]),
        ('{"a": [1], "a": [\n2,\n3]}', [2, 3]),
        ('{"b": {"a": [1]}, "a": [[\n1],\r\n"\\n"]}', [1, 3]),
    ],
)
def test_odd_layouts(text: str, lines: list[int]) -> None:
    assert record_lines(text, "a") == lines
