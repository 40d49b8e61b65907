from __future__ import annotations

from pathlib import Path

import pytest
from support.makers import annotation, labelled_set, write_image

from lcageo.data.annotations import LabelledSet, ProblemKind, SplitName
from lcageo.data.formats.layout import SetBuilder, by_split, read_parts, split_of, splits_of
from lcageo.errors import DataError

TRAIN, VAL, TEST = SplitName.TRAIN, SplitName.VAL, SplitName.TEST


def test_files_are_named_for_splits_in_many_ways() -> None:
    names = {"instances_train2017": TRAIN, "valid": VAL, "Validation-2": VAL, "test-dev": TEST, "result": None,
             "training": TRAIN, "station": None}  # fmt: skip
    assert {name: split_of(name) for name in names} == names


def test_files_are_sorted_into_splits_by_their_folders() -> None:
    root = Path("/data/train")  # the folder itself may be named for anything
    paths = {"images/train/a": TRAIN, "valid/images/b": VAL, "obj_train_data/c": TRAIN, "x.png": None}
    for name, split in paths.items():
        assert list(by_split([root / name], root)) == [split]
    parts = by_split([root / name for name in paths], root)
    assert {split: len(found) for split, found in parts.items()} == {TRAIN: 2, VAL: 1}
    assert splits_of(parts) == (TRAIN, VAL) and splits_of({TRAIN: 1}) == ()
    assert by_split([root / "train_station" / "a"], root) == {None: [root / "train_station" / "a"]}


def part(name: str) -> LabelledSet:
    box = {"boxes": [(1, 2, 3, 4)], "labels": [0]}
    return labelled_set(annotation(f"{name}.png", **box), classes=[name], name=name)  # type: ignore[arg-type]


def test_splits_share_the_classes_of_all_parts_where_a_format_names_them_as_they_occur() -> None:
    parts = {TRAIN: "10", VAL: "9", TEST: "ship"}
    val = read_parts(Path("set"), parts, VAL, lambda name, title: part(name), shares_classes=True)
    assert val.classes == ("9", "10", "ship") and val.annotations[0].labelled_classes == (0, 1, 2)
    assert val.annotations[0].labels.tolist() == [0]
    both = read_parts(Path("set"), parts, SplitName.TRAINVAL, lambda name, title: part(name), shares_classes=True)
    assert [one.labels.tolist() for one in both.annotations] == [[1], [0]]
    alone = read_parts(Path("set"), parts, VAL, lambda name, title: part(name))
    assert alone.classes == ("9",)


def test_a_missing_split_is_named_and_a_single_part_is_all() -> None:
    with pytest.raises(DataError, match="'set' has no split val, but train, test; choose one of these with --split"):
        read_parts(Path("set"), {TRAIN: "a", TEST: "b"}, VAL, lambda name, title: part(name))
    assert read_parts(Path("set"), {TRAIN: "a"}, VAL, lambda name, title: part(name)).classes == ("a",)


def test_a_builder_orders_classes_and_leaves_out_what_it_cannot_open(tmp_path: Path) -> None:
    builder, record = SetBuilder("set"), tmp_path / "a.txt"
    image = write_image(tmp_path / "a.png")
    objects = builder.open(image, record)
    assert objects is not None and (objects.width, objects.height) == (40, 30)
    for name in ("ship", "car", "ship"):
        builder.add_object(objects, name, (1, 2, 9, 9), record, "line 1")
    builder.add(image, objects)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert builder.open(tmp_path / "b.png", record) is None
    built = builder.built(tmp_path, strict=False)
    assert built.classes == ("car", "ship") and built.annotations[0].labels.tolist() == [1, 0, 1]
    assert [problem.kind for problem in built.problems] == [ProblemKind.UNREADABLE_IMAGE]
    with pytest.raises(DataError, match="cannot be opened"):
        builder.built(tmp_path, strict=True)
