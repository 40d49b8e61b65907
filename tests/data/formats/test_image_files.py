from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.set_files import images

from lcageo.data.formats.image_files import ImageFinder, images_below, is_image


def test_all_images_are_given_with_the_folder_where_they_were_found(tmp_path: Path) -> None:
    (one,), (other,) = images(tmp_path / "x", ["a"]), images(tmp_path / "y", ["a"])
    assert list(ImageFinder([tmp_path]).all().items()) == [(one, tmp_path), (other, tmp_path)]
    assert ImageFinder([tmp_path / "y", tmp_path]).all() == {one: tmp_path, other: tmp_path / "y"}


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
    assert ImageFinder([tmp_path / "y", tmp_path / "x"]).find(["a.png"]) == {"a.png": other}
    finder = ImageFinder([tmp_path / "x", tmp_path / "y"])
    assert finder.find(["D:\\photos\\a.png"]) == {"D:\\photos\\a.png": one} and finder.renamed == 1


NAMES: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "one as it lies there, one by a part": (["A/1.png", "B/1.png"], {"B/1.png": "B/1.png"}),
    "the longer part": (["x/A/1.png", "x/B/1.png"], {"x/B/1.png": "B/1.png"}),
    "parts of one length": (["x/1.png", "y/1.png"], {}),
    "one name in two spellings": (["x/B/1.png", "x\\B\\1.png"], {"x/B/1.png": "B/1.png", "x\\B\\1.png": "B/1.png"}),
    "and one of them as it lies there": (["B/1.png", "B\\1.png"], {"B/1.png": "B/1.png", "B\\1.png": "B/1.png"}),
    "a way round": (["B/1.png", "B/../B/1.png"], {"B/1.png": "B/1.png", "B/../B/1.png": "B/1.png"}),
}


@pytest.mark.parametrize(("names", "found"), NAMES.values(), ids=NAMES)
def test_a_file_is_not_given_to_two_names(tmp_path: Path, names: Sequence[str], found: Mapping[str, str]) -> None:
    (image,) = images(tmp_path / "B", ["1"])
    for order in (names, names[::-1]):
        finder = ImageFinder([tmp_path])
        expected = {name: tmp_path / file for name, file in found.items()}
        assert {name: file.resolve() for name, file in finder.find(order).items()} == expected
        for name in set(names) - found.keys():
            assert finder.missing(name) == f"no file {name!r}; '{image}' may be meant, but another record fits it, too"
    assert not ImageFinder([tmp_path]).find(["x/1.png"], [image])


def test_a_longer_end_of_the_name_counts_before_the_folder(tmp_path: Path) -> None:
    images(tmp_path, ["a"])
    (deep,) = images(tmp_path / "x" / "y", ["a"])
    assert ImageFinder([tmp_path]).find(["z/y/a.png"]) == {"z/y/a.png": deep}


@pytest.mark.parametrize("name", ["", "/", "..", "a\0b", "x" * 5000, "?d=", "%00", "C:"])
def test_names_that_no_image_has_are_not_found(tmp_path: Path, name: str) -> None:
    images(tmp_path)
    assert ImageFinder([tmp_path]).find([name]) == {}


@given(st.text(max_size=20))
def test_no_name_raises(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    ImageFinder([tmp_path_factory.getbasetemp() / "nowhere"]).find([name])
