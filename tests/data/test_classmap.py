from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DATA
from support.makers import annotation, labelled_set

from lcageo.data.annotations import LabelledSet, ProblemKind
from lcageo.data.classmap import ClassMap, joined, load_class_map
from lcageo.data.formats.coco import read_coco
from lcageo.errors import ConfigError, DataError

BOXES = [(0, 0, 5, 5), (5, 5, 9, 9)]
TO_VEHICLE = ClassMap(targets={"car": "vehicle", "lorry": "vehicle"})


def roads(*labelled: int) -> LabelledSet:
    """One image with a box of its first and one of its last labelled class, of car, lorry and ship."""
    return labelled_set(
        annotation("road.png", boxes=BOXES, labels=[labelled[0], labelled[-1]], labelled=labelled),
        classes=("car", "lorry", "ship"),
        name="roads",
    )


def test_a_map_is_read_from_toml(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('[classes]\nvehicle = ["car", "lorry"]\n')
    read = load_class_map(tmp_path / "map.toml")
    assert [read.target(name) for name in ("car", "lorry", "ship")] == ["vehicle", "vehicle", "ship"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[classes", "is not TOML"),
        ("[klasses]\n", r"must hold one table, \[classes\]"),
        ('[classes]\nvehicle = "car"', "'vehicle' must be a list of class names, not 'car'"),
        ('[classes]\na = ["car"]\nb = ["car"]', "'car' is listed under both 'a' and 'b'; list it once"),
    ],
)
def test_a_file_that_is_not_a_map_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "map.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_class_map(tmp_path / "map.toml")


def test_sets_share_all_their_classes_and_each_image_stays_labelled_for_its_own() -> None:
    other = labelled_set(annotation(boxes=BOXES[:1], labels=[1], labelled=(0, 1)), classes=("plane", "vehicle"))
    both = joined([roads(0, 1, 2), other], class_map=TO_VEHICLE)
    assert both.classes == ("vehicle", "ship", "plane")
    first, second = both.annotations
    assert first.labels.tolist() == [0, 1] and first.labelled_classes == (0, 1)
    assert second.labels.tolist() == [0] and second.labelled_classes == (0, 2)
    assert not both.problems


def test_unwanted_classes_are_left_out_and_named() -> None:
    both = joined([roads(0, 1, 2)], ["vehicle"], TO_VEHICLE)
    assert both.annotations[0].labels.tolist() == [0] and both.annotations[0].boxes_xyxy.tolist() == [[0, 0, 5, 5]]
    (problem,) = both.problems
    assert (
        problem.kind == ProblemKind.CLASS_LEFT_OUT
        and "'ship': is not among the wanted classes; 1 box left out" in str(problem)
    )


def test_an_image_labelled_for_part_of_a_joint_class_is_not_labelled_for_it() -> None:
    both = joined([roads(0, 2)], class_map=TO_VEHICLE)
    (image,) = both.annotations
    assert image.labelled_classes == (1,) and image.labels.tolist() == [1]  # the car is left out, the ship stays
    assert [problem.kind for problem in both.problems] == [ProblemKind.UNLABELLED_CLASS]


def test_images_labelled_for_nothing_wanted_are_left_out() -> None:
    both = joined([roads(0, 1, 2), labelled_set(annotation(), classes=("plane",), name="sky")], ["ship"])
    assert len(both) == 1
    assert "sky: 1 image annotated for none of the wanted classes; left out" in map(str, both.problems)
    with pytest.raises(DataError, match="no image of sky is annotated for any of the classes ship"):
        joined([labelled_set(annotation(), classes=("plane",), name="sky")], ["ship"])


def test_names_that_no_set_has_are_reported() -> None:
    both = joined([roads(0, 1, 2)], ["vehicle", "ship", "heliport"], ClassMap(Path("m.toml"), {"cra": "vehicle"}))
    assert [str(p).split(":")[:2] for p in both.problems if p.kind == ProblemKind.UNKNOWN_CLASS] == [
        ["m.toml", " class 'cra'"], ["roads", " class 'vehicle'"], ["roads", " class 'heliport'"],
    ]  # fmt: skip


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(DataError, match="no labelled set"):
        joined([])


def test_the_real_sets_join_on_vhr10s_classes() -> None:
    if not (DATA / "openmix").exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {DATA / 'openmix'}; name its folder with LCAGEO_DATA")
    sets = [read_coco(DATA / name / "val.json") for name in ("vhr10", "openmix")]
    both = joined(sets, class_map=ClassMap(targets={"car": "vehicle", "large-vehicle": "vehicle"}))
    assert both.classes == sets[0].classes and len(both) == 97 + 376 and not both.problems
    vehicle = both.classes.index("vehicle")
    assert sum((a.labels == vehicle).sum() for a in both.annotations[97:]) == 1209 + 39
    assert {a.labelled_classes for a in both.annotations[97:]} == {(0,), (1,), (vehicle,)}
