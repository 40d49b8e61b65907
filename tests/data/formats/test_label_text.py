from __future__ import annotations

from pathlib import Path

import pytest

from lcageo.data.formats.label_text import first_words, label_file, labels_by_stem, numbers, read_lines
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


def test_the_first_words_are_those_of_labels(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("car\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("")
    (tmp_path / "labels" / "b.txt").write_text("imagesource:x\n1 2 3\n")
    assert first_words(tmp_path) == ("1", "2", "3") and first_words(tmp_path / "nowhere") == ()
    assert labels_by_stem(tmp_path) == {name: tmp_path / "labels" / f"{name}.txt" for name in "ab"}


def test_labels_are_beside_images_or_in_the_folder_that_replaces_images(tmp_path: Path) -> None:
    image = tmp_path / "images" / "images" / "train" / "a.png"
    assert label_file(image) is None
    for place in (image.with_suffix(".txt"), tmp_path / "images" / "labels" / "train" / "a.txt"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        assert label_file(image) == place  # the latter, if there are both
