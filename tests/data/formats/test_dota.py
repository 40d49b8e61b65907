from __future__ import annotations

from pathlib import Path

import pytest
from support.set_files import BOXES, images, seen

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.dota import dota_splits, is_dota, read_dota
from lcageo.data.formats.layout import Reading
from lcageo.data.formats.yolo import is_yolo
from lcageo.errors import DataError

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL
HEAD = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
# Corners on the sides of the boxes in BOXES, in any order.
LINES = {
    "a": "7 3 12 6 7 9 2 6 ship 0\n20.0 15.0 40.0 15.0 40.0 30.0 20.0 30.0 car 1\n",
    "b": "5 6 15 6 15 16 5 16 ship 0\n",
}


def test_corners_become_bounds_and_the_head_is_read(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "labelTxt").mkdir()
    for name, lines in LINES.items():
        (tmp_path / "labelTxt" / f"{name}.txt").write_text(HEAD + lines if name == "a" else lines)
    assert is_dota(tmp_path) and not is_yolo(tmp_path) and dota_splits(tmp_path) == ()
    read = read_dota(tmp_path, VAL, Reading(strict=True))
    assert seen(read) == BOXES
    first, second = read.annotations
    assert first.difficult.tolist() == [False, True]
    assert first.gsd_m == pytest.approx(0.146343590398) and second.gsd_m is None


@pytest.mark.parametrize("folder", ["labelTxt-v1.0", "annfiles", "labels"])
def test_splits_are_folders_and_share_their_classes(tmp_path: Path, folder: str) -> None:
    for split, name in (("train", "a"), ("val", "b")):
        images(tmp_path / split / "images", [name])
        (tmp_path / split / folder).mkdir()
        (tmp_path / split / folder / f"{name}.txt").write_text(LINES[name])
    assert is_dota(tmp_path) and dota_splits(tmp_path) == (TRAIN, VAL)
    val = read_dota(tmp_path, VAL, Reading(strict=True))
    assert seen(val) == {"b": BOXES["b"]} and val.classes == ("car", "ship")


def test_class_names_may_have_spaces_as_datumaro_writes_them(tmp_path: Path) -> None:
    """Datumaro 1.13 (format dota): train/images, train/labelTxt, two decimals, names as they are."""
    images(tmp_path / "train" / "images")
    (tmp_path / "train" / "labelTxt").mkdir()
    for name, lines in LINES.items():
        text = lines.replace("ship", "Schiff ü 2").replace("car", "storage tank")
        (tmp_path / "train" / "labelTxt" / f"{name}.txt").write_text(text, "utf-8")
    assert is_dota(tmp_path)
    read = read_dota(tmp_path, TRAIN, Reading(strict=True))
    names = {"ship": "Schiff ü 2", "car": "storage tank"}
    assert seen(read) == {image: [(names[label], box) for label, box in boxes] for image, boxes in BOXES.items()}
    assert read.annotations[0].difficult.tolist() == [False, True]


def test_broken_lines_are_named_and_unlabelled_images_left_out(tmp_path: Path) -> None:
    images(tmp_path / "images", ["a", "b", "c"])
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt" / "a.txt").write_text(LINES["a"])
    (tmp_path / "labelTxt" / "b.txt").write_text(HEAD + LINES["b"] + "1 2 3 4 5 6 ship 0\n")
    read = read_dota(tmp_path, TRAIN, Reading())
    assert list(seen(read)) == ["a"]
    broken, lost, without = read.problems
    assert str(broken).startswith(f"{tmp_path}/labelTxt/b.txt: line 4: has 8 values, not four corners")
    assert lost.kind is ProblemKind.OBJECTS_LOST and "images without a file of labels: 1 of 3, such as" in without.what
    with pytest.raises(DataError, match="line 4: has 8 values"):
        read_dota(tmp_path, TRAIN, Reading(strict=True))


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    images(tmp_path / "pictures")
    (tmp_path / "set").mkdir()
    for name, lines in LINES.items():
        (tmp_path / "set" / f"{name}.txt").write_text(lines.replace(" ", ","))  # as some tools separate them
    assert is_dota(tmp_path / "set")
    with pytest.raises(DataError, match="name their folder with --images"):
        read_dota(tmp_path / "set", TRAIN, Reading())
    assert seen(read_dota(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures"))) == BOXES


def test_an_image_does_not_take_the_labels_of_its_namesake_in_another_split(tmp_path: Path) -> None:
    images(tmp_path / "train" / "images", ["a"])
    images(tmp_path / "val" / "images", ["a", "b"])
    for split, name in (("train", "a"), ("val", "b")):
        (tmp_path / split / "labelTxt").mkdir()
        (tmp_path / split / "labelTxt" / f"{name}.txt").write_text(LINES[name])
    val = read_dota(tmp_path, VAL, Reading(strict=True))
    assert seen(val) == {"b": BOXES["b"]}
    (remark,) = val.problems
    assert remark.kind is ProblemKind.NO_RECORD and f"'{tmp_path / 'val' / 'images' / 'a.png'}'" in remark.what


def test_labels_without_an_image_are_a_problem(tmp_path: Path) -> None:
    images(tmp_path / "images", ["a"])
    (tmp_path / "labelTxt").mkdir()
    for name in LINES:
        (tmp_path / "labelTxt" / f"{name}.txt").write_text(HEAD + LINES[name])
    read = read_dota(tmp_path, TRAIN, Reading())
    assert seen(read) == {"a": BOXES["a"]}
    assert str(read.problems[0]) == f"{tmp_path / 'labelTxt' / 'b.txt'}: no image 'b'; its labels skipped"


def test_labels_elsewhere_that_several_images_may_have_are_not_guessed(tmp_path: Path) -> None:
    for folder in "xy":
        images(tmp_path / "pictures" / folder, ["a"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text(LINES["a"])
    read = read_dota(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures"))
    assert not read.annotations and [one.kind for one in read.problems] == [ProblemKind.UNCLEAR] * 2
