"""Numbers of things in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.plural import plural, rounded


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (1086, "false object", "1,086 false objects"),
        (1, "class", "1 class"),
        (10, "class", "10 classes"),
        (2, "box", "2 boxes"),
        (2, "batch", "2 batches"),
    ],
)
def test_nouns_follow_their_number(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text


@given(st.floats(1e-3, 1e6), st.integers(1, 4))
def test_rounded_numbers_are_near_and_plain(value: float, digits: int) -> None:
    text = rounded(value, digits)
    assert "e" not in text and abs(float(text) - value) <= max(0.5, value * 0.5 * 10 ** (1 - digits)) * 1.0001
    if value < 10 ** (digits - 1):
        assert float(text) == float(f"{value:.{digits}g}")


def test_numbers_of_a_thousand_have_no_exponent() -> None:
    assert [rounded(value) for value in (0.1234, 8.4449, 842.3, 12345.6)] == ["0.123", "8.44", "842", "12346"]
    assert rounded(842, 2) == "842"
