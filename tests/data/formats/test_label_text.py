from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.data.formats.label_text import numbers, read_lines
from lcageo.errors import DataError


def test_lines_keep_their_numbers_and_lose_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff1  2\n\n3\t4\n", encoding="utf-8")
    assert [(line.number, line.words) for line in read_lines(tmp_path / "a.txt")] == [(1, ("1", "2")), (3, ("3", "4"))]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        read_lines(tmp_path / "b.txt")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_lines(tmp_path / "c.txt")


@pytest.mark.parametrize("word", ["x", "nan", "inf", "1e99", ""])
def test_what_is_no_finite_number_is_refused(word: str) -> None:
    assert numbers(["1", "-2.5", "1e3"]) == [1, -2.5, 1000]
    with pytest.raises(DataError, match="is not a number"):
        numbers(["1", word])
