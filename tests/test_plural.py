"""Numbers of things in messages."""

from __future__ import annotations

import pytest

from lcageo.plural import plural


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
