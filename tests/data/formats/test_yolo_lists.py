from __future__ import annotations

from pathlib import Path

import pytest
from support.set_files import images

from lcageo.data.annotations import SplitName
from lcageo.data.formats.yolo_lists import images_of_yaml, listed_classes, names_images, read_yaml
from lcageo.errors import DataError

TRAIN = SplitName.TRAIN


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [car]\n1: x\n")
    assert read_yaml(tmp_path / "data.yaml") == {"names": ["car"], "1": "x"}
    (tmp_path / "data.yaml").write_text("car")
    with pytest.raises(DataError, match="is not a YOLO data set, which is a table with train, val and names"):
        read_yaml(tmp_path / "data.yaml")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_the_images_of_a_split_are_found_and_test_may_be_missing(tmp_path: Path) -> None:
    found = images(tmp_path / "images" / "train")
    content = {"train": "images/train", "test": "images/test"}
    assert names_images(content) and not names_images({"names": ["car"]})
    assert images_of_yaml(content, tmp_path / "data.yaml") == {TRAIN: found}
    with pytest.raises(DataError, match=r"names images that do not exist \(val: images/val, test: "):
        images_of_yaml(content | {"val": "images/val"}, tmp_path / "data.yaml")


def test_the_usual_word_for_a_split_goes_before_others_and_a_table_is_no_path(tmp_path: Path) -> None:
    found = images(tmp_path / "images" / "val")
    content = {"valid": "../valid/images", "val": "images/val", "training": {"epochs": 100}}
    assert images_of_yaml(content, tmp_path / "data.yaml") == {SplitName.VAL: found}
    assert not names_images({"training": {"epochs": 100}})


def test_a_list_of_classes_that_is_a_broken_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "b" / "classes.txt").symlink_to(tmp_path / "nowhere.txt")
    assert listed_classes(tmp_path) is None
