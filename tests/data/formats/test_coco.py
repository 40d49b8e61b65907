from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity, geometry
from support.makers import write_coco, write_image

from lcageo.data.annotations import REMARKS, ProblemKind
from lcageo.data.formats.coco import read_coco
from lcageo.errors import DataError

CATEGORIES = [{"id": 3, "name": "ship"}, {"id": 1, "name": "car"}]


def image(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "file_name": "a.png", "width": 40, "height": 30} | changes


def box(**changes: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]} | changes


def test_boxes_become_corners_and_classes_follow_their_ids(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path / "train.json", categories=CATEGORIES, annotations=[box(category_id=3, iscrowd=1), box()]
    )
    read = read_coco(path, strict=True)
    first, second = read.annotations
    assert read.classes == ("car", "ship") and read.name == str(path)
    assert first.boxes_xyxy.tolist() == [[1, 2, 4, 6]] * 2 and first.labels.tolist() == [1, 0]
    assert first.difficult.tolist() == [True, False] and len(second) == 0
    assert first.image == tmp_path / "images" / "a.png" and (first.width, first.height) == (40, 30)
    assert first.labelled_classes == (0, 1)


def test_boxes_that_cvat_turned_become_their_bounds(tmp_path: Path) -> None:
    """CVAT's rectangles lie before they are turned, clockwise around their centres; a polygon is as it is drawn."""
    turned = [
        box(bbox=[5, 12, 20, 6], attributes={"occluded": False, "rotation": degrees}) for degrees in (90, 270.0, 30)
    ]
    polygon = box(attributes={"rotation": 30.0}, segmentation=[[1, 2, 4, 6, 1, 6]])
    path = write_coco(tmp_path / "a.json", annotations=[*turned, polygon, box(attributes={"rotation": 0.0})])
    read = read_coco(path, strict=True)
    upright, again, slanted, *plain = read.annotations[0].boxes_xyxy.tolist()
    assert upright == again == pytest.approx([12, 5, 18, 25])
    turned_by_shapely = affinity.rotate(geometry.box(5, 12, 25, 18), 30, "centroid")
    assert slanted == pytest.approx(turned_by_shapely.bounds, rel=1e-6)
    assert plain == [[1, 2, 4, 6]] * 2
    (remark,) = read.problems
    assert remark.what == "boxes from the bounds of turned boxes: 3" and remark.kind in REMARKS


def test_objects_to_be_ignored_are_marked_in_two_ways(tmp_path: Path) -> None:
    marks = [{"iscrowd": "1"}, {"ignore": 1}, {"iscrowd": 0, "ignore": "0"}, {"iscrowd": 0, "ignore": True}]
    path = write_coco(tmp_path / "a.json", annotations=[box(**mark) for mark in marks])
    assert read_coco(path, strict=True).annotations[0].difficult.tolist() == [True, True, False, True]


def test_masks_that_are_all_marked_as_crowds_are_objects(tmp_path: Path) -> None:
    """So CVAT writes whatever was drawn with a brush (its issue 7030)."""
    mask = {"iscrowd": 1, "segmentation": {"counts": [7, 3, 1190], "size": [30, 40]}}
    path = write_coco(tmp_path / "a.json", annotations=[box(**mask), box(**mask, ignore=1)])
    read = read_coco(path, strict=True)
    assert read.annotations[0].difficult.tolist() == [False, True]
    (remark,) = read.problems
    assert remark.what == "masks that are marked as crowds, as CVAT marks all; read as objects: 2"
    marked = mask | {"attributes": {"occluded": False, "rotation": 0.0}}  # beside rectangles, CVAT's are known by these
    path = write_coco(tmp_path / "a.json", annotations=[box(), box(**marked), box(**mask)])
    assert read_coco(path, strict=True).annotations[0].difficult.tolist() == [False, False, True]
    for other in (box(), box(iscrowd=1)):  # COCO's own crowds
        path = write_coco(tmp_path / "a.json", annotations=[box(**mask), other])
        assert read_coco(path, strict=True).annotations[0].difficult.tolist()[0] is True


def test_images_are_in_images_or_beside_the_file_or_in_a_given_folder(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "train.json", images=[image(file_name="c.png")])
    assert read_coco(path).problems[0].kind == ProblemKind.MISSING_IMAGE
    write_image(tmp_path / "c.png")
    assert read_coco(path).annotations[0].image == tmp_path / "c.png"
    write_image(tmp_path / "elsewhere" / "c.png")
    assert read_coco(path, tmp_path / "elsewhere").annotations[0].image == tmp_path / "elsewhere" / "c.png"


def test_an_image_is_labelled_for_the_categories_it_lists(tmp_path: Path) -> None:
    images = [image(labelled_categories=["ship"]), image(id=2, file_name="b.png", labelled_categories=[])]
    path = write_coco(
        tmp_path / "a.json", categories=CATEGORIES, images=images, annotations=[box(category_id=3), box()]
    )
    read = read_coco(path)
    assert [a.labelled_classes for a in read.annotations] == [(1,), ()]
    assert read.annotations[0].labels.tolist() == [1]
    (problem,) = read.problems
    assert problem.kind == ProblemKind.UNLABELLED_CLASS and problem.where == "line 1, annotations[1] (id 7)"


BROKEN = [
    (
        {"annotations": [box(category_id=9)]},
        "UNKNOWN_CLASS",
        r"annotations\[0\] \(id 7\): category_id 9 is not a category of this file",
    ),
    ({"annotations": [box(image_id=9)]}, "BROKEN_RECORD", "image_id 9 is not an image"),
    ({"annotations": [box(bbox=[1, 2, float("nan"), 4])]}, "BROKEN_RECORD", r"bbox is \[1, 2, nan, 4\]"),
    ({"annotations": [box(bbox=[1, 2, 3])]}, "BROKEN_RECORD", "not four numbers"),
    ({"annotations": [box(ignore="perhaps")]}, "BROKEN_RECORD", "ignore is 'perhaps', neither 0 nor 1"),
    ({"annotations": [box(bbox=[1, 2, 10**400, 4])]}, "BROKEN_RECORD", "not four numbers"),
    ({"annotations": [box(bbox=[1, 2, -3, 4])]}, "EMPTY_BOX", "is empty or inverted; box skipped"),
    ({"annotations": [box(bbox=[30, 2, 30, 4])]}, "BOX_OUTSIDE", "extends beyond the 40 x 30 image; clipped"),
    ({"annotations": [box(bbox=[50, 2, 30, 4])]}, "BOX_OUTSIDE", "is outside the"),
    ({"annotations": [{"id": 7, "image_id": 1}]}, "BROKEN_RECORD", "category_id is missing"),
    ({"annotations": [None]}, "BROKEN_RECORD", r"annotations\[0\]: the record is None, not an object"),
    ({"images": [image(), image()]}, "BROKEN_RECORD", r"images\[1\] \(id 1\): id 1 was used before"),
    ({"images": [image(), image(id=True)]}, "BROKEN_RECORD", "id is True"),
    ({"images": [image(), image(id=2.5)]}, "BROKEN_RECORD", r"id is 2\.5, not a whole number or text"),
    ({"images": [image(), image(id=2, file_name="\ud800")]}, "BROKEN_RECORD", "file_name is"),
    ({"images": [image(), image(id=2, file_name="x" * 5000)]}, "MISSING_IMAGE", "no file"),
    ({"images": [image(), image(id=2, file_name="a\0b")]}, "MISSING_IMAGE", "no file"),
    ({"images": [image(labelled_categories=["ship", "cat"])]}, "UNKNOWN_CLASS", "'cat', which is not a category"),
    ({"images": [image(), image(id=2, labelled_categories="ship")]}, "BROKEN_RECORD", "not a list of names"),
    ({"categories": [{"id": 1, "name": "ship"}, {"id": 1, "name": "car"}]}, "BROKEN_RECORD", "was used before"),
    ({"categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": ""}]}, "BROKEN_RECORD", "name is ''"),
]


@pytest.mark.parametrize(("changes", "kind", "words"), BROKEN)
def test_a_broken_record_is_named_and_skipped_or_refused(
    tmp_path: Path, changes: dict[str, Any], kind: str, words: str
) -> None:
    path = write_coco(tmp_path / "a.json", **changes)
    read = read_coco(path)
    assert [problem.kind.name for problem in read.problems if problem.kind is not ProblemKind.OBJECTS_LOST] == [kind]
    assert len(read) >= 1 and read.classes == ("ship",)
    with pytest.raises(DataError, match=words.removesuffix("; box skipped").removesuffix("; image skipped")):
        read_coco(path, strict=True)


UNUSABLE = [
    {"bbox": [1, 2, -3, 4]}, {"bbox": [90, 90, 3, 4]}, {"bbox": [1, 2, 3]}, {"bbox": None}, {"category_id": 9},
    {"category_id": None}, {"bbox": [0.1, 0.2, 0.3, 0.4]},
]  # fmt: skip


@pytest.mark.parametrize("change", UNUSABLE)
def test_an_image_that_lost_all_its_objects_is_no_background(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_coco(tmp_path / "a.json", annotations=[box(**change), box(**change)])
    read = read_coco(path)
    assert [one.image.name for one in read.annotations] == ["b.png"]  # which has none: it is background
    (last,) = [problem for problem in read.problems if problem.kind is ProblemKind.OBJECTS_LOST]
    assert (
        str(last)
        == f"{tmp_path / 'images' / 'a.png'}: none of its 2 objects can be used, but it is not empty; image skipped"
    )
    assert len(read.problems) == 3
    # One good box beside it: the image is kept if the other one shows nothing, and left out if nobody knows what.
    one_left = read_coco(write_coco(tmp_path / "a.json", annotations=[box(**change), box()]))
    shows_nothing = one_left.problems[0].kind.name in ("EMPTY_BOX", "BOX_OUTSIDE", "TINY_BOX")
    assert shows_nothing is (change in UNUSABLE[:2] + UNUSABLE[-1:])
    assert [len(one) for one in one_left.annotations] == ([1, 0] if shows_nothing else [0])
    if not shows_nothing:
        assert "1 of its 2 objects cannot be read and would be background; image skipped" in str(one_left.problems[1])


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5))
def test_boxes_in_shares_of_the_image_are_a_problem_each(
    tmp_path_factory: pytest.TempPathFactory, shares: list[tuple[float, ...]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "shares"
    folder.mkdir(exist_ok=True)
    boxes = [box(bbox=[x, y, w * (1 - x), h * (1 - y)]) for x, y, w, h in shares]
    read = read_coco(write_coco(folder / "a.json", annotations=boxes))
    assert len(read) == 1 and len(read.problems) == len(boxes) + 1
    assert {problem.kind.name for problem in read.problems} <= {"TINY_BOX", "EMPTY_BOX", "OBJECTS_LOST"}


def test_a_group_of_classes_without_boxes_is_no_class(tmp_path: Path) -> None:
    """As Roboflow exports them: category 0 is the name of the project, and the supercategory of all others."""
    roboflow = [
        {"id": 0, "name": "vessels", "supercategory": "none"},
        {"id": 1, "name": "ship", "supercategory": "vessels"},
        {"id": 2, "name": "car", "supercategory": "car"},
    ]
    read = read_coco(write_coco(tmp_path / "a.json", categories=roboflow))
    assert read.classes == ("ship", "car") and read.annotations[0].labels.tolist() == [0]
    (remark,) = read.problems
    assert remark.kind in REMARKS and "'vessels' has no box and is the group of 'ship'; left out" in str(remark)
    assert read_coco(tmp_path / "a.json", strict=True).classes == read.classes
    boxed = [box(), box(category_id=0)]
    assert read_coco(write_coco(tmp_path / "a.json", categories=roboflow, annotations=boxed)).classes == (
        "vessels", "ship", "car",
    )  # fmt: skip


def test_boxes_of_a_skipped_image_are_not_reported(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", images=[image(file_name="none.png")], annotations=[box()] * 9)
    assert len(read_coco(path).problems) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"images": [', "is not JSON: .* line 1"),
        (b"\xff\xfe{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"images": [' + b"9" * 5000 + b"]}", "is not JSON"),
        (b"[]", "which is an object with lists"),
        (b'{"images": [], "annotations": {}, "categories": []}', "which is an object with lists"),
    ],
)
def test_a_file_that_is_not_coco_json_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_coco(tmp_path / "a.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_coco(tmp_path / "a.json")


NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-2, 50))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(["a.png", "ship", "", "\ud800", "/"]))
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
KEYS = st.sampled_from(["id", "name", "file_name", "width", "height", "image_id", "category_id", "bbox", "iscrowd",
                        "labelled_categories"])  # fmt: skip
CHANGES = st.dictionaries(KEYS, ANY | st.lists(NUMBERS, min_size=4, max_size=4), max_size=3)


@given(CHANGES, CHANGES, CHANGES, ANY)
def test_no_content_raises_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, i: dict[str, Any], b: dict[str, Any], c: dict[str, Any], junk: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_image(folder / "images" / "a.png")
    content = {
        "images": [image(**i), image(), junk], "annotations": [junk, box(**b), box()],
        "categories": [CATEGORIES[0], {"id": 1, "name": "car"} | c, junk],
    }  # fmt: skip
    (folder / "fuzz.json").write_text(json.dumps(content))
    read = read_coco(folder / "fuzz.json")
    assert read.problems
    "\n".join(map(str, read.problems)).encode()  # can be printed


LISTS = st.dictionaries(st.sampled_from(["images", "categories", "annotations"]), ANY | st.lists(ANY))
PIECES = st.binary(max_size=20) | st.sampled_from([b"[" * 5000, b"9" * 5000, b"null", b"[]", b"{}", b"\\ud800", b"NaN"])


@given(st.data(), ANY | LISTS, PIECES)
def test_no_document_and_no_bytes_raise_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, content: Any, piece: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes" / "a.json"
    valid = write_coco(path).read_bytes()
    place = data.draw(st.integers(0, len(valid)))
    changed = valid[:place] + piece + valid[place + data.draw(st.integers(0, 20)) :]
    for text in (json.dumps(content).encode(), changed):
        path.write_bytes(text)
        with suppress(DataError):
            "\n".join(map(str, read_coco(path).problems)).encode()  # can be printed


@pytest.mark.parametrize("name", ["vhr10/train", "vhr10/val", "openmix/train", "openmix/val"])
def test_real_sets_are_read_box_by_box(name: str) -> None:
    path = DATA / f"{name}.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {path}; name its folder with LCAGEO_DATA")
    read = read_coco(path, strict=True)
    plain = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in plain["categories"]}
    files = {i["id"]: i["file_name"] for i in plain["images"]}
    expected = Counter(
        (files[a["image_id"]], names[a["category_id"]], *(round(v, 2) for v in a["bbox"])) for a in plain["annotations"]
    )
    found: Counter[tuple[Any, ...]] = Counter()
    for a in read.annotations:
        for label, (x1, y1, x2, y2) in zip(a.labels, a.boxes_xyxy.astype(float).tolist(), strict=True):
            corners = round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)
            found[a.image.name, read.classes[label], *corners] += 1
    assert found == expected
    listed = {i["file_name"]: i.get("labelled_categories", list(names.values())) for i in plain["images"]}
    assert {a.image.name: [read.classes[k] for k in a.labelled_classes] for a in read.annotations} == listed
