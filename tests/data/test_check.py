from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import pytest
from conftest import DATA
from support.makers import annotation, labelled_set, write_image

from lcageo.data.annotations import ProblemKind
from lcageo.data.check import (
    check_sets,
    class_statistics,
    duplicate_images,
    image_problems,
    repeated_boxes,
    without_images,
)
from lcageo.data.formats.coco import read_coco


def test_statistics_count_images_boxes_and_sides() -> None:
    boxes = [(0, 0, 4, 9), (0, 0, 16, 4), (0, 0, 33, 33)]
    ships, none = class_statistics(
        labelled_set(
            annotation(size=(40, 40), boxes=boxes, labels=[0, 0, 0]),
            annotation(labelled=(0, 1)),
            classes=("ship", "dam"),
        )
    )
    assert (ships.name, ships.labelled_images, ships.images, ships.boxes) == ("ship", 2, 1, 3)
    assert (ships.side_min, ships.side_median, ships.side_max) == (6, 8, 33)
    assert ships.small_share == pytest.approx(2 / 3)
    assert (none.labelled_images, none.images, none.boxes) == (1, 0, 0) and math.isnan(none.side_median)


def test_missing_damaged_and_wrongly_sized_images_are_found_and_can_be_left_out(tmp_path: Path) -> None:
    good, wrong, cut = (
        write_image(tmp_path / f"{name}.png", seed=i) for i, name in enumerate(("good", "wrong", "cut"))
    )
    cut.write_bytes(cut.read_bytes()[:-500])
    images = [annotation(good), annotation(wrong, (41, 30)), annotation(cut), annotation(tmp_path / "gone.png")]
    labelled = labelled_set(*images)
    problems = image_problems(labelled)
    assert [(problem.path.stem, problem.kind.name) for problem in problems] == [
        ("wrong", "WRONG_SIZE"), ("cut", "UNREADABLE_IMAGE"), ("gone", "MISSING_IMAGE"),
    ]  # fmt: skip
    assert [problem.path.stem for problem in image_problems(labelled, decode=False)] == ["wrong", "gone"]
    rest = without_images(labelled, problems)
    assert rest.annotations == (images[0],) and rest.problems == problems


def test_repeated_boxes_are_reported_once() -> None:
    one = (1, 2, 3, 4)
    labelled = labelled_set(
        annotation(boxes=[one, one, one, (1, 2, 3, 5)], labels=[0, 0, 1, 0], labelled=(0, 1)), classes=("ship", "dam")
    )
    (problem,) = repeated_boxes(labelled)
    assert str(problem) == "a.png: ship 1, 2, 3, 4 appears 2 times; kept"


def test_duplicates_across_splits_are_found_by_content_and_by_name(tmp_path: Path) -> None:
    train = [write_image(tmp_path / "train" / f"{i}.png", seed=i) for i in range(3)]
    copy = tmp_path / "val" / "copy.png"
    copy.parent.mkdir()
    copy.write_bytes(train[1].read_bytes())
    namesake = write_image(tmp_path / "val" / "2.png", seed=9)
    fresh = write_image(tmp_path / "val" / "fresh.png", seed=10)
    splits = {
        "train": labelled_set(*map(annotation, [*train, train[0]])),
        "val": labelled_set(*map(annotation, [copy, namesake, fresh, train[0], tmp_path / "gone.png"])),
    }
    found = [(problem.path, problem.kind.name) for problem in duplicate_images(splits)]
    assert found == [(copy, "DUPLICATE_IMAGE"), (namesake, "SAME_NAME"), (train[0], "DUPLICATE_IMAGE")]
    assert f"same content as '{train[1]}' of split train" in str(duplicate_images(splits)[0])


def test_a_summary_holds_what_every_check_found(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a.png")
    one = labelled_set(annotation(image, boxes=[(1, 1, 2, 2)] * 2, labels=[0, 0]))
    seen: list[int] = []
    summary = check_sets({"train": one, "val": labelled_set(annotation(image, (9, 9)))}, progress=seen.append)
    assert list(summary.statistics) == ["train", "val"] and len(seen) == 2
    assert [problem.kind for problem in summary.problems] == [
        ProblemKind.REPEATED_BOX, ProblemKind.WRONG_SIZE, ProblemKind.DUPLICATE_IMAGE,
    ]  # fmt: skip


def test_the_real_set_has_the_counts_of_its_json_and_no_problems() -> None:
    path = DATA / "vhr10" / "train.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {path}; name its folder with LCAGEO_DATA")
    summary = check_sets({"train": read_coco(path), "val": read_coco(path.with_name("val.json"))}, decode=False)
    assert not summary.problems
    plain = json.loads(path.read_text())
    for category, found in zip(plain["categories"], summary.statistics["train"], strict=True):
        own = [a for a in plain["annotations"] if a["category_id"] == category["id"]]
        sides = [math.sqrt(a["bbox"][2] * a["bbox"][3]) for a in own]
        assert (found.name, found.boxes, found.images) == (
            category["name"],
            len(own),
            len({a["image_id"] for a in own}),
        )
        assert found.side_median == pytest.approx(statistics.median(sides))
        assert found.small_share == pytest.approx(sum(side < 32 for side in sides) / len(sides))
