from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.makers import annotation, labelled_set, write_image

from lcageo.data.annotations import REMARKS, LabelledSet, ProblemKind, SplitName
from lcageo.data.formats.layout import (
    Parts,
    SetBuilder,
    by_split,
    files_by_split,
    one_each,
    read_parts,
    split_of,
    splits_of,
)
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
    assert {split: len(found) for split, found in parts.items()} == {TRAIN: 2, VAL: 1, None: 1}
    assert splits_of(parts) == (TRAIN, VAL) and splits_of({TRAIN: [root]}) == ()
    assert by_split([root / "train_station" / "a"], root) == {None: [root / "train_station" / "a"]}


@pytest.mark.parametrize("name", ["test", "Val", "training"])
def test_a_lone_name_of_a_split_beside_others_is_none(name: str) -> None:
    root = Path("/data")
    paths = [root / folder / "images" / "1.png" for folder in ("berlin", name, "hamburg")]
    assert by_split(paths, root) == {None: paths}
    assert by_split(paths[1:2], root).keys() != {None}


def test_files_are_those_of_splits_by_their_names_or_their_folders(tmp_path: Path) -> None:
    for file in ("test/1.json", "berlin/1.json", "annotations/1.json", "train.json", "no.json", "train.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")

    def found(*places: Path) -> dict[SplitName | None, list[str]]:
        parts = files_by_split(tmp_path, places, ".json", lambda file: file.stem != "no")
        return {split: [str(file.relative_to(tmp_path)) for file in files] for split, files in parts.items()}

    both = {TRAIN: ["train.json"], TEST: ["test/1.json"]}
    assert found(tmp_path / "annotations") == both | {None: ["annotations/1.json", "berlin/1.json"]}
    (tmp_path / "train.json").unlink()
    assert found() == {None: ["test/1.json", "annotations/1.json", "berlin/1.json"]}
    (tmp_path / "test" / "1.json").unlink()
    assert found() == {} and files_by_split(tmp_path / "nowhere", (), ".json", Path.is_file) == {}


def test_several_files_for_a_split_are_refused() -> None:
    with pytest.raises(DataError, match="'set' has several tables for val: 'a', 'b'; name one of them"):
        one_each({VAL: [Path("a"), Path("b")], TRAIN: [Path("c")]}, Path("set"), "tables")
    left = {VAL: [Path("a")], TRAIN: [Path("c")], None: [Path("d"), Path("e")]}
    assert one_each(left, Path("set"), "tables") == left


def first_part(files: Sequence[Path], title: str) -> LabelledSet:
    """A set of one image, whose class has the name of the first file."""
    name = files[0].name
    box = {"boxes": [(1, 2, 3, 4)], "labels": [0]}
    return labelled_set(annotation(f"{name}.png", **box), classes=[name], name=name)  # type: ignore[arg-type]


def test_files_of_no_split_are_left_out_and_counted() -> None:
    parts: Parts = {TRAIN: [Path("a")], None: [Path("b"), Path("c")], VAL: [Path("d")]}
    read = read_parts(Path("set"), parts, VAL, first_part)
    (remark,) = read.problems
    assert read.classes == ("d",) and remark.kind in REMARKS
    assert str(remark) == "set: files in none of the splits (train, val): 2, such as 'b'; left out"
    del parts[VAL]
    alone = read_parts(Path("set"), parts, VAL, first_part)
    assert alone.classes == ("a",) and "none of the splits (train): 2" in alone.problems[0].what


def test_splits_share_the_classes_of_all_parts_where_a_format_names_them_as_they_occur() -> None:
    parts = {TRAIN: [Path("10")], VAL: [Path("9")], TEST: [Path("ship")]}
    val = read_parts(Path("set"), parts, VAL, first_part, shares_classes=True)
    assert val.classes == ("9", "10", "ship") and val.annotations[0].labelled_classes == (0, 1, 2)
    assert val.annotations[0].labels.tolist() == [0]
    both = read_parts(Path("set"), parts, SplitName.TRAINVAL, first_part, shares_classes=True)
    assert [one.labels.tolist() for one in both.annotations] == [[1], [0]]
    alone = read_parts(Path("set"), parts, VAL, first_part)
    assert alone.classes == ("9",)


def test_a_part_of_train_and_val_together_is_read_as_it_is() -> None:
    parts: Parts = {SplitName.TRAINVAL: [Path("a")], TEST: [Path("b")]}
    assert read_parts(Path("set"), parts, SplitName.TRAINVAL, first_part).classes == ("a",)


def test_a_missing_split_is_named_and_a_single_part_is_all() -> None:
    with pytest.raises(DataError, match="'set' has no split val, but train, test; choose one of these with --split"):
        read_parts(Path("set"), {TRAIN: [Path("a")], TEST: [Path("b")]}, VAL, first_part)
    assert read_parts(Path("set"), {TRAIN: [Path("a")]}, VAL, first_part).classes == ("a",)


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
