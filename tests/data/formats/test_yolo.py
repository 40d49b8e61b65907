"""YOLO sets as Ultralytics, Roboflow, CVAT (darknet), Label Studio and labelImg lay them out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.set_files import BOXES, images, seen, yolo_labels, yolo_line

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.layout import Reading
from lcageo.data.formats.yolo import is_yolo, read_yolo, yolo_splits
from lcageo.errors import DataError

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL


def plain(root: Path) -> Path:
    """images/ and labels/, with the names in classes.txt, as Label Studio exports them."""
    images(root / "images")
    yolo_labels(root / "labels")
    (root / "classes.txt").write_text("car\nship\n")
    return root


def ultralytics(root: Path, yaml: str) -> Path:
    """images/train, images/val, labels/train, labels/val and data.yaml, as Ultralytics' coco8 has them."""
    for split, name in (("train", "a"), ("val", "b")):
        images(root / "images" / split, [name])
        yolo_labels(root / "labels" / split, [name])
    (root / "data.yaml").write_text(yaml)
    return root


def test_images_and_labels_with_a_list_of_classes(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    assert is_yolo(root) and yolo_splits(root) == ()
    read = read_yolo(root, VAL, Reading(strict=True))
    assert seen(read) == BOXES and read.classes == ("car", "ship") and not read.problems


def test_labels_beside_their_images_as_labelimg_and_darknet_write_them(tmp_path: Path) -> None:
    images(tmp_path / "one")
    yolo_labels(tmp_path / "one")
    (tmp_path / "one" / "classes.txt").write_text("car\nship\n")
    images(tmp_path / "cvat" / "obj_train_data")
    yolo_labels(tmp_path / "cvat" / "obj_train_data")
    (tmp_path / "cvat" / "obj.names").write_text("car\nship\n")
    (tmp_path / "cvat" / "obj.data").write_text("classes = 2\nnames = data/obj.names\ntrain = data/train.txt\n")
    (tmp_path / "cvat" / "train.txt").write_text("data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    for name in ("one", "cvat"):
        assert is_yolo(tmp_path / name)
        assert seen(read_yolo(tmp_path / name, TRAIN, Reading())) == BOXES


YAMLS = {
    "paths relative to the file": "train: images/train\nval: images/val\nnames: [car, ship]\n",
    "names as a map": "train: images/train\nval: images/val\nnames:\n  1: ship\n  0: car\n",
    "a path": "path: .\ntrain: images/train\nval: images/val\nnames: [car, ship]\n",
    "a path elsewhere": "path: /content/datasets/x\ntrain: images/train\nval: images/val\nnames: [car, ship]\n",
    "Roboflow's": "train: ../images/train\nval: ../images/val\ntest: ../test/images\nnc: 2\nnames: ['car', 'ship']\n",
    "other machines' paths": "train: C:\\x\\images\\train\nval: /home/me/images/val\nnames: [car, ship]\n",
    "lists": "train: [images/train]\nval: [images/val]\nnames: [car, ship]\n",
    "patterns": "train: images/tr*/*.png\nval: 'images/va?'\nnames: [car, ship]\n",
    "lists of images": "train: train.txt\nval: val.txt\nnames: [car, ship]\n",
}


@pytest.mark.parametrize("yaml", YAMLS.values(), ids=YAMLS)
def test_data_yaml_names_its_images_in_many_ways(tmp_path: Path, yaml: str) -> None:
    root = ultralytics(tmp_path / "set", yaml)
    (root / "train.txt").write_text("./images/train/a.png\n")
    (root / "val.txt").write_text("/elsewhere/set/images/val/b.png\n")
    for path in (root, root / "data.yaml"):
        assert is_yolo(path) and yolo_splits(path) == (TRAIN, VAL)
        assert seen(read_yolo(path, TRAIN, Reading(strict=True))) == {"a": BOXES["a"]}
        assert seen(read_yolo(path, VAL, Reading(strict=True))) == {"b": BOXES["b"]}
        assert seen(read_yolo(path, SplitName.TRAINVAL, Reading())) == BOXES
        with pytest.raises(DataError, match="has no split test, but train, val; choose one of these with --split"):
            read_yolo(path, SplitName.TEST, Reading())


def test_splits_are_found_by_folders_without_data_yaml(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("valid", "b")):
        images(tmp_path / split / "images", [name])
        yolo_labels(tmp_path / split / "labels", [name])
    assert is_yolo(tmp_path) and yolo_splits(tmp_path) == (TRAIN, VAL)
    (tmp_path / "classes.txt").write_text("car\nship\n")
    assert seen(read_yolo(tmp_path, VAL, Reading())) == {"b": BOXES["b"]}


def test_polygons_oriented_boxes_and_scores_become_boxes_and_are_counted(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    polygon = "1 0.05 0.1 0.3 0.2 0.1 0.3"  # x 2 to 12, y 3 to 9
    turned = "0 0.5 0.75 0.75 0.5 1 0.75 0.75 1"  # x 20 to 40, y 15 to 30
    (root / "labels" / "a.txt").write_text(f"{polygon}\n\n{turned}\n")
    (root / "labels" / "b.txt").write_text(yolo_line(1, BOXES["b"][0][1]) + " 0.87\n")
    read = read_yolo(root, TRAIN, Reading(strict=True))
    assert seen(read) == BOXES
    assert [(problem.kind, problem.what) for problem in read.problems] == [
        (ProblemKind.SAVED, "boxes from the bounds of polygons or oriented boxes: 2"),
        (ProblemKind.SAVED, "boxes with a score, which is ignored: 1"),
    ]


def test_a_fifth_value_that_is_a_score_in_some_boxes_only_is_refused(tmp_path: Path) -> None:
    """An angle of 45 degrees in radians would pass for a score, and one of 109 degrees would not."""
    root = plain(tmp_path / "set")
    for name, angle in (("a", 0.785), ("b", 1.9)):
        lines = [f"{yolo_line(int(label == 'ship'), box)} {angle}" for label, box in BOXES[name]]
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"a score from 0 to 1 in some and not in others \(.*b\.txt, line 1\)"):
        read_yolo(root, TRAIN, Reading())


def test_keypoints_are_passed_over(tmp_path: Path) -> None:
    root = ultralytics(
        tmp_path / "set", "train: images/train\nval: images/val\nkpt_shape: [2, 2]\nnames: [car, ship]\n"
    )
    (root / "labels" / "val" / "b.txt").write_text(yolo_line(1, BOXES["b"][0][1]) + " 0.1 0.1 0.9 0.9\n")
    assert seen(read_yolo(root, VAL, Reading(strict=True))) == {"b": BOXES["b"]}


def test_images_without_labels_are_background_and_counted(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    (extra,) = images(root / "images", ["c"])
    (root / "labels" / "b.txt").write_text("")  # says itself that there is nothing
    read = read_yolo(root, TRAIN, Reading(strict=True))
    assert seen(read) == {"a": BOXES["a"], "b": [], "c": []}
    (remark,) = read.problems
    assert remark.kind is ProblemKind.NO_RECORD
    assert remark.what == f"images without a file of labels: 1 of 3, such as '{extra}'; taken as background"


BROKEN = {
    "1 0.5 0.5 0.2": "has 4 values, not a class and a box",
    "1 0.5 0.5 0.2 0.2 0.3 0.3 0.1": "has 8 values, not a class",
    "ship 0.5 0.5 0.2 0.2": "'ship' is not a number",
    "1.5 0.5 0.5 0.2 0.2": "class '1.5' is not a whole number",
    "7 0.5 0.5 0.2 0.2": "class 7 is not one of the 2 that the set names",
    "1 nan 0.5 0.2 0.2": "'nan' is not a number",
    "1 0.5 0.5 0.2 0.1 45": "the fifth value of the box, 45, is no score from 0 to 1: remove it if it numbers a track",
    "1 20 15 10 10": "20 is no share of the image, from 0 to 1",
}


@pytest.mark.parametrize(("line", "words"), BROKEN.items())
def test_an_image_with_a_line_that_nobody_can_read_is_left_out_not_background(
    tmp_path: Path, line: str, words: str
) -> None:
    root = plain(tmp_path / "set")
    with (root / "labels" / "a.txt").open("a") as file:
        file.write(f"\n{line}\n")
    read = read_yolo(root, TRAIN, Reading())
    assert seen(read) == {"b": BOXES["b"]}
    broken, lost = read.problems
    assert str(broken).startswith(f"{root / 'labels' / 'a.txt'}: line 4: {words}")
    assert lost.kind is ProblemKind.OBJECTS_LOST and lost.path == root / "images" / "a.png"
    with pytest.raises(DataError, match="line 4: "):
        read_yolo(root, TRAIN, Reading(strict=True))


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    (root / "images").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="has no images for its labels; name their folder with --images"):
        read_yolo(root, TRAIN, Reading())
    assert seen(read_yolo(root, TRAIN, Reading(tmp_path / "pictures"))) == BOXES


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    (root / "classes.txt").unlink()
    (root / "labels" / "b.txt").write_text(yolo_line(10, (5, 6, 15, 16)))
    read = read_yolo(root, TRAIN, Reading(strict=True))
    assert read.classes == ("0", "1", "10") and read.annotations[1].labels.tolist() == [2]
    assert "the set names no classes" in read.problems[0].what


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: [", "is not YAML"),
        ("- a\n- b\n", "is not a YOLO data set, which is a table"),
        ("train: nowhere\nnames: [car]\n", "names images that do not exist .train: nowhere.; correct its paths"),
        ("train: images/train\nval: images/vall\nnames: [car]\n", "do not exist .val: images/vall."),
        ("train: images/train\nnames: [car, car]\n", "names a class twice: car"),
        ("train: images/train\nnames: 3\n", "has names that are no list"),
        ("train: labels\nnames: [car]\n", "has no images for its labels"),
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_refused(tmp_path: Path, yaml: str, words: str) -> None:
    root = ultralytics(tmp_path / "set", yaml)
    with pytest.raises(DataError, match=words):
        read_yolo(root, TRAIN, Reading())


def test_a_set_whose_labels_are_missing_is_not_all_background(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [car]\n")
    with pytest.raises(DataError, match=r"none of the 2 images of .* has a file of labels, such as .*/labels/a\.txt"):
        read_yolo(tmp_path, TRAIN, Reading())


def test_a_folder_of_other_texts_is_none(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "notes.txt").write_text("1 2 3 go\n")
    assert not is_yolo(tmp_path) and not is_yolo(tmp_path / "nowhere")


def test_images_of_one_name_elsewhere_have_the_labels_of_their_folder(tmp_path: Path) -> None:
    for folder, name in (("A", "a"), ("B", "b")):
        for file in (*images(tmp_path / "pictures" / folder, [name]), tmp_path / "set" / folder / f"{name}.txt"):
            if file.suffix == ".txt":
                yolo_labels(file.parent, [name])
            file.rename(file.with_stem("1"))
    (tmp_path / "set" / "classes.txt").write_text("car\nship\n")
    read = read_yolo(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures", strict=True))
    boxes = {one.image.parent.name: one.boxes_xyxy.round().tolist() for one in read.annotations}
    assert boxes == {folder: [list(box) for _, box in BOXES[name]] for folder, name in (("A", "a"), ("B", "b"))}


def test_labels_that_two_images_may_have_are_not_guessed(tmp_path: Path) -> None:
    for folder in "AB":
        images(tmp_path / "pictures" / folder, ["a"])
    images(tmp_path / "pictures", ["b"])
    yolo_labels(tmp_path / "set")
    (tmp_path / "set" / "classes.txt").write_text("car\nship\n")
    read = read_yolo(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures"))
    assert seen(read) == {"b": BOXES["b"]}
    assert [problem.kind for problem in read.problems] == [ProblemKind.UNCLEAR] * 2
    with pytest.raises(DataError, match=r"a\.txt' may be its labels, or another image's"):
        read_yolo(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures", strict=True))


@pytest.mark.parametrize("yaml", [None, "train: images\nnames: [car, ship]\n"])
def test_labels_without_an_image_are_a_problem(tmp_path: Path, yaml: str | None) -> None:
    root = plain(tmp_path / "set")
    yolo_labels(root / "labels" / "deep", ["a"])
    (root / "labels" / "a.txt").rename(root / "labels" / "lost.txt")
    images(root / "images" / "deep", ["a"])
    if yaml is not None:
        (root / "data.yaml").write_text(yaml)
    read = read_yolo(root, TRAIN, Reading())
    lost, without = read.problems
    assert str(lost) == f"{root / 'labels' / 'lost.txt'}: no image 'lost'; its labels skipped"
    assert lost.kind is ProblemKind.MISSING_IMAGE and without.kind is ProblemKind.NO_RECORD


def test_images_that_data_yaml_does_not_name_leave_no_superfluous_labels(tmp_path: Path) -> None:
    root = ultralytics(tmp_path / "set", "train: images/train\nnames: [car, ship]\n")
    assert not read_yolo(root, TRAIN, Reading(strict=True)).problems


def test_an_image_of_a_kind_that_is_not_read_is_a_problem_not_missing(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    (root / "images" / "a.png").unlink()
    (root / "images" / "a.heic").write_bytes(b"no picture")
    (root / "images" / "b.heic").write_bytes(b"as the telephone took it")
    read = read_yolo(root, TRAIN, Reading())
    assert seen(read) == {"b": BOXES["b"]}
    (problem,) = read.problems
    assert problem.kind is ProblemKind.UNREADABLE_IMAGE and "a.heic' cannot be opened" in problem.what


def test_folders_may_be_links(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")
    for name in ("images", "labels"):
        (root / name).rename(tmp_path / f"disk-{name}")
        (root / name).symlink_to(tmp_path / f"disk-{name}")
    assert is_yolo(root) and seen(read_yolo(root, TRAIN, Reading(strict=True))) == BOXES


def test_a_folder_with_the_name_of_a_split_hides_no_others(tmp_path: Path) -> None:
    for folder, name in (("test", "a"), ("berlin", "b")):
        images(tmp_path / "images" / folder, [name])
        yolo_labels(tmp_path / "labels" / folder, [name])
    (tmp_path / "classes.txt").write_text("car\nship\n")
    assert yolo_splits(tmp_path) == () and seen(read_yolo(tmp_path, TRAIN, Reading(strict=True))) == BOXES
    images(tmp_path / "images" / "train", ["c"])
    yolo_labels(tmp_path / "labels" / "train", [])
    (tmp_path / "labels" / "train" / "c.txt").write_text("")
    assert yolo_splits(tmp_path) == (TRAIN, SplitName.TEST)
    read = read_yolo(tmp_path, SplitName.TEST, Reading(strict=True))
    left = f"files in none of the splits (train, test): 1, such as '{tmp_path / 'images' / 'berlin' / 'b.png'}'"
    assert seen(read) == {"a": BOXES["a"]} and left in str(read.problems[0])


def test_label_studios_notes_say_which_number_a_class_has(tmp_path: Path) -> None:
    root = plain(tmp_path / "set")  # the labels have 0 for cars and 1 for ships
    (root / "classes.txt").write_text("ship\ncar\n")  # in the order of the interface
    notes = {"categories": [{"id": 1, "name": "ship"}, {"id": 0, "name": "car"}], "info": {"year": 2026}}
    (root / "notes.json").write_text(json.dumps(notes))
    assert seen(read_yolo(root, TRAIN, Reading(strict=True))) == BOXES
    yolo_labels(root / "labels", classes=("", "car", "", "ship"))
    notes["categories"] = [{"id": 3, "name": "ship"}, {"id": 1, "name": "car"}]
    (root / "notes.json").write_text(json.dumps(notes))
    read = read_yolo(root, TRAIN, Reading(strict=True))
    assert seen(read) == BOXES and read.classes == ("0", "car", "2", "ship")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"categories": [{"id": 1}]}', '{"categories": [{"id": 0, "name": "tree"}]}']
)
def test_notes_of_something_else_change_nothing(tmp_path: Path, text: str) -> None:
    root = plain(tmp_path / "set")
    (root / "notes.json").write_text(text)
    assert seen(read_yolo(root, TRAIN, Reading(strict=True))) == BOXES


def test_folders_with_lists_of_their_own_have_to_agree(tmp_path: Path) -> None:
    """As labelImg writes them (its issue 721): each in the order in which the classes were first used."""
    for name in ("a", "b"):
        images(tmp_path / name, [name])
        yolo_labels(tmp_path / name, [name])
        (tmp_path / name / "classes.txt").write_text("car\nship\n")
    assert seen(read_yolo(tmp_path, TRAIN, Reading(strict=True))) == BOXES
    (tmp_path / "b" / "classes.txt").write_text("car\nship\ntank\n")  # numbered alike
    assert seen(read_yolo(tmp_path, TRAIN, Reading(strict=True))) == BOXES
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "classes.txt").write_text("of something else\n")
    assert seen(read_yolo(tmp_path, TRAIN, Reading(strict=True))) == BOXES
    (tmp_path / "b" / "classes.txt").write_text("ship\ncar\n")
    with pytest.raises(
        DataError, match=r"a.classes\.txt' and '.*b.classes\.txt' list different classes, or in another"
    ):
        read_yolo(tmp_path, TRAIN, Reading())
    yolo_labels(tmp_path / "b", ["b"], classes=("ship", "car"))
    assert seen(read_yolo(tmp_path / "b", TRAIN, Reading(strict=True))) == {"b": BOXES["b"]}


def test_cvats_own_names_of_splits_are_those_of_data_yaml(tmp_path: Path) -> None:
    yaml = "Train: images/train\nValidation: images/val\nnames: {0: car, 1: ship}\npath: .\n"
    root = ultralytics(tmp_path / "set", yaml)
    assert yolo_splits(root) == (TRAIN, VAL)
    assert seen(read_yolo(root, VAL, Reading(strict=True))) == {"b": BOXES["b"]}
