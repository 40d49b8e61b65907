"""`lcageo data check` as a user meets it, on sets damaged one way at a time."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA
from support.commands import Run
from support.data_checks import SHIP, clean_dior, coco


def test_a_clean_set_gives_a_table_for_each_split_and_ends_well(run: Run, tmp_path: Path) -> None:
    boxes = [SHIP, SHIP | {"id": 8, "image_id": 2, "bbox": [0, 0, 40, 30]}]
    train, val = coco(tmp_path / "train", annotations=boxes), coco(tmp_path / "held", 5, annotations=[])
    # The same names in two folders are a remark, which is shown but does no harm.
    outcome = run("data", "check", train, "--val", val, "--strict", "--headers-only")
    assert outcome.code == 0
    first, second, remark = outcome.out.strip().split("\n\n")
    assert [line.split() for line in first.splitlines()] == [
        ["train:", f"{train},", "2", "images"],
        ["class", "images", "boxes", "min", "px", "median", "px", "max", "px", "under", "32", "px"],
        ["ship", "2", "2", "6", "20", "35", "50%"],  # sides: 6 and sqrt(1200) = 34.6
        ["all", "2", "2"],
    ]
    assert [line.split() for line in second.splitlines()[2:]] == [["ship", "0", "0", *"----"], ["all", "0", "0"]]
    assert remark.startswith("remark: same file name in two splits, other content: 2\n")
    assert "2 splits, 4 images: no problems, 2 remarks" in outcome.err
    assert "warning" not in outcome.err and "\r" not in outcome.err


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "box outside": ({"annotations": [SHIP | {"bbox": [30, 5, 20, 9]}]}, "annotations[0] (id 7): box 30, 5, 50, 14"),
    "empty box": ({"annotations": [SHIP | {"bbox": [3, 3, 0, 9]}]}, "is empty or inverted; box skipped"),
    "unknown class": ({"annotations": [SHIP | {"category_id": 3}]}, "category_id 3 is not a category of this file"),
    "broken box": ({"annotations": [SHIP | {"bbox": "no"}]}, "bbox is 'no', not four numbers"),
    "missing image": (
        {"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}, {"id": 2, "file_name": "c.png",
                     "width": 40, "height": 30}]},
        "images[1] (id 2): no file 'c.png'",
    ),
    "wrong size": (
        {"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}, {"id": 2, "file_name": "b.png",
                     "width": 30, "height": 40}]},
        "b.png: has 40 x 30 pixels, but its record says 30 x 40; boxes would not fit; image skipped",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_named_and_refused_only_on_request(run: Run, tmp_path: Path, damage: str) -> None:
    changes, words = DAMAGES[damage]
    path = coco(tmp_path / "set", **changes)
    outcome = run("data", "check", path)
    assert outcome.code == 0 and words in outcome.out
    # An image that loses all its objects is a second problem.
    assert re.search(r"warning: 1 split, .*[12] problems?; training would handle", outcome.err)
    strict = run("data", "check", path, "--strict")
    assert strict.code == 1 and strict.out == outcome.out
    fault = words.removesuffix("; image skipped").removesuffix("; box skipped")
    assert strict.err.splitlines()[-1].startswith("error: ") and fault in strict.err and "skipped" not in strict.err


def test_a_truncated_image_is_found_unless_only_headers_are_read(run: Run, tmp_path: Path) -> None:
    path = coco(tmp_path / "set")
    cut = path.parent / "images" / "b.png"
    cut.write_bytes(cut.read_bytes()[:-900])
    whole, headers = run("data", "check", path), run("data", "check", path, "--headers-only")
    assert f"unreadable image: 1\n  {cut}: cannot be decoded: " in whole.out and "2 images (1 unusable)" in whole.out
    assert "image skipped" in whole.out
    assert headers.code == 0 and "no problems" in headers.err


def test_an_image_in_two_lists_and_one_copied_under_another_name_are_duplicates(run: Run, tmp_path: Path) -> None:
    root = clean_dior(tmp_path / "DIOR")
    images = root / "JPEGImages-trainval"
    shutil.copy(images / "00001.jpg", root / "JPEGImages-test" / "00201.jpg")
    with (root / "ImageSets" / "Main" / "val.txt").open("a") as lines:
        lines.write("00002\n")
    outcome = run("data", "check", root, "-q")
    assert outcome.out.splitlines() == [
        "duplicate image: 2",
        f"  {images}/00002.jpg: of split val, has the same content as '{images}/00002.jpg' of split train; kept in "
        "both",
        f"  {root}/JPEGImages-test/00201.jpg: of split test, has the same content as '{images}/00001.jpg' of split "
        "train; kept in both",
    ]
    assert outcome.err.splitlines() == [
        "warning: 3 splits, 5 images: 2 problems; training would handle them as described (--strict refuses them)"
    ]


def test_ten_problems_of_a_kind_are_shown_or_all(run: Run, tmp_path: Path) -> None:
    boxes = [SHIP | {"id": index, "bbox": [0, 0, 0, 0]} for index in range(12)]
    path = coco(tmp_path / "set", annotations=boxes)
    some, every = run("data", "check", path, "-q"), run("data", "check", path, "-q", "--all")
    assert some.out.count("box skipped") == 10 and "  and 2 more (--all shows them)" in some.out
    assert every.out.count("box skipped") == 12 and "more" not in every.out


def test_images_that_are_not_annotated_for_a_class_are_counted(run: Run, tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "width": 40, "height": 30, "labelled_categories": ["ship"]},
        {"id": 2, "file_name": "b.png", "width": 40, "height": 30, "labelled_categories": ["ship", "dam"]},
    ]
    categories = [{"id": 1, "name": "ship"}, {"id": 2, "name": "dam"}]
    path = coco(tmp_path / "set", images=images, categories=categories)
    rows = {line.split()[0]: line.split()[-1] for line in run("data", "check", path).out.splitlines()[1:4]}
    assert rows == {"class": "annotated", "ship": "0", "dam": "1"}


def test_json_tells_everything_without_words_that_json_lacks(run: Run, tmp_path: Path) -> None:
    path = coco(
        tmp_path / "set", annotations=[SHIP, SHIP], categories=[{"id": 1, "name": "ship"}, {"id": 2, "name": "dam"}]
    )
    outcome = run("data", "check", path, "--json", "--strict")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    report = json.loads(outcome.out, parse_constant=refuse)
    (split,) = report["splits"]
    assert outcome.code == 0  # a duplicate box is a remark
    assert (split["name"], split["source"], split["images"], split["usable_images"], split["boxes"]) == (
        "set", str(path), 2, 2, 2,
    )  # fmt: skip
    assert split["classes"][0] == {
        "name": "ship", "labelled_images": 2, "images": 1, "boxes": 2, "side_min": 6.0, "side_median": 6.0,
        "side_max": 6.0, "small_share": 1.0,
    }  # fmt: skip
    assert split["classes"][1]["side_min"] is None
    assert [(problem["kind"], problem["remark"]) for problem in report["problems"]] == [("repeated box", True)]


def test_what_cannot_be_checked_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    train = coco(tmp_path / "train")
    (tmp_path / "cut.json").write_text('{"images": [')
    (tmp_path / "empty").mkdir()
    cases: dict[tuple[object, ...], tuple[int, str]] = {
        ("cut.json",): (1, "'cut.json' is not JSON"),
        ("none.json",): (1, "'none.json' cannot be read"),
        ("empty",): (1, "is not a labelled set; give a COCO file"),
        (train, "--val", tmp_path / "train" / ".." / "train" / "train.json"): (2, "is named twice"),
        (train, "--split", "train"): (2, "no source has several; leave it out"),
        (train, "--split", "validation"): (2, "is not a split; choose one of train, val, trainval, test"),
        (train, "--split", "trainval", "--split", "val"): (2, "use either it or these"),
        (train, "--class-map", "none.toml"): (2, "class map 'none.toml' cannot be read"),
    }
    for arguments, (code, words) in cases.items():
        outcome = run("data", "check", *arguments)
        assert outcome.code == code and words in outcome.err and outcome.err.count("\n") == 1, arguments
        assert not outcome.out


def test_a_split_without_a_usable_image_would_stop_training(run: Run, tmp_path: Path) -> None:
    path = coco(tmp_path / "set")
    for image in (path.parent / "images").iterdir():
        image.write_bytes(b"no image")
    outcome = run("data", "check", path)
    assert outcome.code == 1 and "no usable image in set; training could not start" in outcome.err
    assert "unreadable image: 2" in outcome.out


def test_the_real_set_is_clean_and_counts_as_its_json(run: Run, tmp_path: Path) -> None:
    path = DATA / "vhr10" / "val.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {path}; name its folder with LCAGEO_DATA")
    report = json.loads(run("data", "check", path, "--json", "--strict").out)
    plain = json.loads(path.read_text())
    (split,) = report["splits"]
    assert not report["problems"]
    assert (split["images"], split["boxes"]) == (len(plain["images"]), len(plain["annotations"]))
    smallest = min(math.sqrt(a["bbox"][2] * a["bbox"][3]) for a in plain["annotations"])
    assert min(entry["side_min"] for entry in split["classes"]) == pytest.approx(smallest)
