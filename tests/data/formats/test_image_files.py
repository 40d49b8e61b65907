from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.set_files import images

from lcageo.data.formats.image_files import ImageFinder, images_below, is_image


def test_images_are_found_by_stem_where_their_labels_say(tmp_path: Path) -> None:
    (one,), (other,) = images(tmp_path / "x", ["a"]), images(tmp_path / "y", ["a"])
    (alone,) = images(tmp_path / "y", ["b"], ".jpg")
    finder = ImageFinder([tmp_path])
    assert finder.of_stem("a", [tmp_path / "y"]) == other and finder.of_stem("a", [tmp_path / "x"]) == one
    assert finder.of_stem("a", [tmp_path]) is None and finder.of_stem("B", []) == alone
    assert finder.all() == [one, other, alone] and finder.renamed == 0


def test_hidden_folders_and_other_files_are_passed_over(tmp_path: Path) -> None:
    images(tmp_path / ".cache")
    (tmp_path / "notes.txt").write_text("")
    (found,) = images(tmp_path, ["a"])
    assert images_below(tmp_path) == [found] and not is_image(".a.png") and is_image("A.TIFF")


def test_images_that_may_not_be_read_count_unless_a_usual_one_has_their_name(tmp_path: Path) -> None:
    for name in ("a.heic", "b.AVIF", "b.jxl"):
        (tmp_path / name).write_bytes(b"")
    (usual,) = images(tmp_path, ["a"], ".jpg")
    assert images_below(tmp_path) == [usual, tmp_path / "b.AVIF", tmp_path / "b.jxl"]


def test_the_first_folder_that_has_the_name_counts(tmp_path: Path) -> None:
    (one,), (other,) = images(tmp_path / "x", ["a"]), images(tmp_path / "y", ["a"])
    assert ImageFinder([tmp_path / "y", tmp_path / "x"]).find("a.png") == other
    assert ImageFinder([tmp_path / "x", tmp_path / "y"]).find("D:\\photos\\a.png") == one


@pytest.mark.parametrize("name", ["", "/", "..", "a\0b", "x" * 5000, "?d=", "%00", "C:"])
def test_names_that_no_image_has_are_not_found(tmp_path: Path, name: str) -> None:
    images(tmp_path)
    assert ImageFinder([tmp_path]).find(name) is None


@given(st.text(max_size=20))
def test_no_name_raises(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    ImageFinder([tmp_path_factory.getbasetemp() / "nowhere"]).find(name)
