"""Folders of COCO files as `lcageo chips`, COCO, CVAT, Label Studio and Roboflow lay them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.set_files import BOXES, HEIGHT, WIDTH, images, seen

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.coco_folder import coco_splits, is_coco, read_coco_set
from lcageo.data.formats.layout import Reading
from lcageo.errors import DataError

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL


def write(path: Path, names: Sequence[str] = ("a", "b"), file_name: str = "{}.png", **more: Any) -> Path:
    """A COCO file of some of the images; `file_name` is what it calls them."""
    boxes = [
        {"image_id": name, "category_id": ("car", "ship").index(label), "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for name in names
        for label, (x1, y1, x2, y2) in BOXES[name]
    ]
    content = {
        "images": [
            {"id": name, "file_name": file_name.format(name), "width": WIDTH, "height": HEIGHT} for name in names
        ],
        "categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "ship"}],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes)],
    } | more
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_train_and_val_beside_their_images_as_chips_writes_them(tmp_path: Path) -> None:
    images(tmp_path / "images")
    write(tmp_path / "train.json", ["a"])
    write(tmp_path / "val.json", ["b"])
    assert is_coco(tmp_path) and coco_splits(tmp_path) == (TRAIN, VAL)
    assert seen(read_coco_set(tmp_path, TRAIN, Reading(strict=True))) == {"a": BOXES["a"]}
    assert seen(read_coco_set(tmp_path, SplitName.TRAINVAL, Reading(strict=True))) == BOXES


def test_annotations_beside_folders_of_images_as_coco_has_them(tmp_path: Path) -> None:
    for part, name in (("train2017", "a"), ("val2017", "b")):
        images(tmp_path / part, [name])
        (tmp_path / part / f"{name}.png").rename(tmp_path / part / "same.png")
        write(tmp_path / "annotations" / f"instances_{part}.json", [name], "same.png")
        for other in ("person_keypoints", "image_info", "stuff"):  # Datumaro 1.13 (format coco) writes these, too
            write(tmp_path / "annotations" / f"{other}_{part}.json", [name])
        (tmp_path / "annotations" / f"captions_{part}.json").write_text('{"images": [], "annotations": []}')
    assert coco_splits(tmp_path) == (TRAIN, VAL)
    for split, name, part in ((TRAIN, "a", "train2017"), (VAL, "b", "val2017")):
        (one,) = read_coco_set(tmp_path, split, Reading(strict=True)).annotations
        assert one.image == tmp_path / part / "same.png" and len(one) == len(BOXES[name])


@pytest.mark.parametrize("place", ["images", "images/default"])
def test_one_file_in_annotations_as_cvat_exports_it(tmp_path: Path, place: str) -> None:
    images(tmp_path / place)
    path = write(tmp_path / "annotations" / "instances_default.json")
    for source in (tmp_path, path):
        assert is_coco(source) and coco_splits(source) == ()
        assert seen(read_coco_set(source, VAL, Reading(strict=True))) == BOXES


def test_a_folder_per_split_as_roboflow_exports_it(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("valid", "b")):
        images(tmp_path / split, [name])
        write(tmp_path / split / "_annotations.coco.json", [name])
    assert coco_splits(tmp_path) == (TRAIN, VAL)
    assert seen(read_coco_set(tmp_path, VAL, Reading(strict=True))) == {"b": BOXES["b"]}


STUDIO = {
    "images\\{}.png": "a.png",
    "images/1/0a1b2c3d-{}.png": "0a1b2c3d-a.png",
    "/data/upload/3/0a1b2c3d-{}.png": "a.png",
    "/data/local-files/?d=some%20where/{}.png": "a.png",
    "https://host.example/x/{}.png?token=1": "a.png",
    "%2Fhome%2Fme%2F{}.png": "a.png",
    "{}.PNG": "a.png",
}


@pytest.mark.parametrize(("written", "kept"), STUDIO.items())
def test_names_of_label_studio_and_of_other_machines_are_found(tmp_path: Path, written: str, kept: str) -> None:
    for image in images(tmp_path / "images"):
        image.rename(image.with_name(kept.replace("a.png", image.name)))
    write(tmp_path / "result.json", file_name=written)
    (tmp_path / "notes.json").write_text('{"categories": [], "info": {}}')
    read = read_coco_set(tmp_path, VAL, Reading(strict=True))
    assert list(seen(read).values()) == list(BOXES.values())
    (remark,) = read.problems
    assert remark.kind is ProblemKind.SAVED and remark.what == "images found by a part of their path: 2"


def test_a_name_that_fits_two_images_is_not_guessed(tmp_path: Path) -> None:
    images(tmp_path / "images" / "x", ["a"])
    images(tmp_path / "images" / "y", ["a"])
    write(tmp_path / "result.json", ["a"], "/data/upload/a.png")
    assert read_coco_set(tmp_path, VAL, Reading()).problems[0].kind is ProblemKind.MISSING_IMAGE
    write(tmp_path / "result.json", ["a"], "/data/upload/y/a.png")
    assert read_coco_set(tmp_path, VAL, Reading()).annotations[0].image == tmp_path / "images" / "y" / "a.png"


def test_what_is_written_otherwise_is_read_and_counted(tmp_path: Path) -> None:
    """Ids with a decimal point and as text, no sizes, polygons, two categories of one name."""
    images(tmp_path / "images")
    content = {
        "images": [{"id": 1.0, "file_name": "a.png"}, {"id": "2", "file_name": "b.png", "width": None, "height": 30}],
        "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "car"}, {"id": 3.0, "name": "ship"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1.0, "segmentation": [[2, 3, 12, 3, 7, 9]]},
            {"id": 2, "image_id": "1", "category_id": "2", "bbox": [20, 15, 20, 15]},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": [], "segmentation": [[5, 6, 15, 16], [5, 6, 9, 9]]},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = read_coco_set(tmp_path, TRAIN, Reading(strict=True))
    assert seen(read) == BOXES and read.classes == ("ship", "car")
    assert {problem.what for problem in read.problems} == {
        "categories joined with another one of their name: 1",
        "sizes of images taken from their files: 2", "boxes from the bounds of polygons or masks: 2",
        "ids written with a decimal point: 3",
    }  # fmt: skip
    assert {problem.kind for problem in read.problems} == {ProblemKind.SAVED}


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    images(tmp_path / "pictures" / "deep")
    path = write(tmp_path / "set" / "all.json")
    assert len(read_coco_set(path, TRAIN, Reading())) == 0
    assert seen(read_coco_set(path, TRAIN, Reading(tmp_path / "pictures"))) == BOXES


def test_several_files_for_one_split_are_refused(tmp_path: Path) -> None:
    images(tmp_path / "images")
    write(tmp_path / "one.json")
    write(tmp_path / "two.json")
    with pytest.raises(DataError, match=r"has several COCO files for its images: .*one\.json', .*; name one of them"):
        coco_splits(tmp_path)


def test_other_json_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "tasks.json").write_text('[{"images": 1, "annotations": [], "categories": []}]')
    (tmp_path / "empty.json").write_text("")
    assert not is_coco(tmp_path) and not is_coco(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["test_site.json", "test/_annotations.coco.json"])
def test_a_file_with_the_name_of_a_split_hides_no_others(tmp_path: Path, name: str) -> None:
    images(tmp_path / "images")
    write(tmp_path / name, ["a"])
    other = write((tmp_path / name).parent.parent / "berlin" / "1.json" if "/" in name else tmp_path / "berlin.json")
    with pytest.raises(DataError, match="has several COCO files for its images"):
        coco_splits(tmp_path)
    write(tmp_path / "train.json", ["b"])
    assert coco_splits(tmp_path) == (TRAIN, SplitName.TEST)
    read = read_coco_set(tmp_path, TRAIN, Reading(strict=True))
    assert f"files in none of the splits (train, test): 1, such as '{other}'; left out" in str(read.problems[-1])


def test_records_of_one_file_are_joined(tmp_path: Path) -> None:
    images(tmp_path / "images")
    boxes = [(20, 15, 20, 15), (2, 3, 10, 6)]
    records: dict[str, Any] = {
        "images": [
            {"id": 1, "file_name": "a.png", "labelled_categories": ["car"], "width": WIDTH, "height": HEIGHT},
            {"id": 2, "file_name": "./a.png", "labelled_categories": ["ship"]},
        ],
        "annotations": [
            {"id": number, "image_id": number + 1, "category_id": number, "bbox": box}
            for number, box in enumerate(boxes)
        ],
    }
    read = read_coco_set(write(tmp_path / "a.json", **records), TRAIN, Reading(strict=True))
    assert seen(read) == {"a": BOXES["a"][::-1]} and read.annotations[0].labelled_classes == (0, 1)
    assert "records joined with another one of their image: 1" in [problem.what for problem in read.problems]


def test_an_image_without_objects_counts_as_often_as_it_is_listed(tmp_path: Path) -> None:
    images(tmp_path / "images")
    records: dict[str, Any] = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(("a.png", "b.png", "b.png"))],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 0, "bbox": (20, 15, 20, 15)}],
    }
    read = read_coco_set(write(tmp_path / "a.json", **records), TRAIN, Reading(strict=True))
    assert [one.image.name for one in read.annotations] == ["a.png", "b.png", "b.png"]
    assert not [problem for problem in read.problems if "joined" in problem.what]


def test_records_of_one_file_with_other_sizes_are_a_problem(tmp_path: Path) -> None:
    images(tmp_path / "images")
    records = [{"id": "a", "file_name": "a.png"}, {"id": 2, "file_name": "a.png", "width": 9, "height": 9}]
    read = read_coco_set(write(tmp_path / "a.json", ["a"], images=records), TRAIN, Reading())
    broken, lost = (problem for problem in read.problems if problem.kind is not ProblemKind.SAVED)
    assert not read.annotations and lost.kind is ProblemKind.OBJECTS_LOST
    other = f"{WIDTH} x {HEIGHT} in another record of '{tmp_path / 'images' / 'a.png'}'"
    assert broken.what == f"size is 9 x 9, but {other}; image skipped"


def test_an_image_is_not_given_to_the_record_of_a_missing_one(tmp_path: Path) -> None:
    (image,) = images(tmp_path / "images" / "b", ["b"])
    image.rename(image.with_stem("1"))
    path = write(tmp_path / "a.json")
    path.write_text(path.read_text().replace("a.png", "a/1.png").replace("b.png", "b/1.png"))
    read = read_coco_set(path, TRAIN, Reading())
    assert seen(read) == {"1": BOXES["b"]}
    (missing,) = read.problems
    assert missing.kind is ProblemKind.MISSING_IMAGE and missing.where == "line 1, images[0] (id 'a')"
    assert f"no file 'a/1.png'; '{image.with_stem('1')}' may be meant, but another record fits it" in missing.what
