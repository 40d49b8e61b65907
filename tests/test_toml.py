"""What is written as TOML is what Python's own reader reads."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.toml import toml_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
values = st.recursive(plain, lambda some: st.lists(some, max_size=3), max_leaves=6)
documents = st.recursive(
    st.dictionaries(texts, values, max_size=4),
    lambda table: st.dictionaries(texts, st.one_of(values, table), max_size=4),
    max_leaves=8,
)


@given(documents)
def test_python_reads_it_back_equal(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(document)) == document


def test_tables_stand_after_values() -> None:
    text = toml_text({"table": {"storage tank": 0.5}, "name": "lca", "sides": (1, 2)})
    assert text == 'name = "lca"\nsides = [1, 2]\n\n[table]\n"storage tank" = 0.5\n'


def test_what_subclasses_a_plain_type_is_written_as_it() -> None:
    class Kind(StrEnum):
        ONE = "one"

    class Metres(float):
        def __repr__(self) -> str:
            return f"{float(self)} m"

    assert toml_text({"kind": Kind.ONE, "gsd": Metres(0.5)}) == 'kind = "one"\ngsd = 0.5\n'


@pytest.mark.parametrize("value", [None, object(), b"bytes", [None]])
def test_what_toml_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="TOML cannot hold"):
        toml_text({"entry": value})
