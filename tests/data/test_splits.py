"""All splits of the data that a user names."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import Run
from support.data_checks import SHIP, clean_dior, coco
from support.makers import voc_object, voc_xml, write_dior

from lcageo.data.annotations import SplitName
from lcageo.data.splits import read_splits


def test_every_list_of_a_dior_folder_is_a_split_and_trainval_repeats_none(run: Run, tmp_path: Path) -> None:
    root = clean_dior(tmp_path / "DIOR")
    lists = root / "ImageSets" / "Main"
    (lists / "trainval.txt").write_text("00001\n00002\n00101\n")
    outcome = run("data", "check", root, "--strict")
    assert outcome.code == 0 and "3 splits, 4 images: no problems\n" in outcome.err
    assert [part.split(":")[0] for part in outcome.out.split("\n\n")] == ["train", "val", "test"]
    whole = run("data", "check", root, "--split", "trainval", "--split", "test", "--split", "test")
    assert "2 splits, 4 images: no problems" in whole.err
    (lists / "val.txt").unlink()
    assert run("data", "check", root).out.startswith("trainval: ")
    for path in lists.iterdir():
        path.unlink()
    none = run("data", "check", root)
    assert none.code == 1 and "has none of train, val, trainval, test (.txt)" in none.err


def test_splits_of_one_name_are_told_apart(run: Run, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    paths = [coco(one, 1).rename(one / "train.json"), coco(other, 2).rename(other / "train.json")]
    far = tmp_path / "far" / "one"
    far.parent.mkdir()
    names = [part.split(":")[0] for part in run("data", "check", *paths).out.split("\n\n")[:2]]
    assert names == ["one/train", "other/train"]
    third = coco(far, 3).rename(far / "train.json")
    report = json.loads(run("data", "check", *paths, third, clean_dior(tmp_path / "DIOR"), "--json").out)
    assert [split["name"] for split in report["splits"]] == [
        *map(str, [*paths, third]), *(f"{tmp_path}/DIOR, {split}" for split in ("train", "val", "test")),
    ]  # fmt: skip


def test_a_class_map_puts_names_together_and_its_slips_are_told_once(run: Run, tmp_path: Path) -> None:
    cars = [{"id": 1, "name": "car"}, {"id": 2, "name": "lorry"}]
    one = coco(tmp_path / "one", 1, categories=cars, annotations=[SHIP, SHIP | {"id": 8, "category_id": 2}])
    other = coco(tmp_path / "other", 2, categories=[{"id": 1, "name": "lorry"}])
    (tmp_path / "map.toml").write_text('[classes]\nvehicle = ["car", "lorry", "tram"]\n')
    report = json.loads(run("data", "check", one, "--val", other, "--class-map", "map.toml", "--json").out)
    assert [[(c["name"], c["boxes"]) for c in s["classes"]] for s in report["splits"]] == [
        [("vehicle", 2)], [("vehicle", 1)],
    ]  # fmt: skip
    slips = [problem for problem in report["problems"] if problem["kind"] == "unknown class"]
    assert [(slip["path"], slip["where"], slip["what"]) for slip in slips] == [
        ("map.toml", "class 'tram'", "not in the data, which has car, lorry")
    ]


def test_a_class_that_only_validation_has_is_told(run: Run, tmp_path: Path) -> None:
    train = coco(tmp_path / "train", 1)
    val = coco(tmp_path / "val", 2, categories=[{"id": 1, "name": "Ship"}, {"id": 2, "name": "dam"}])
    outcome = run("data", "check", train, "--val", val, "-q")
    assert f"{val}: class 'Ship': is not in the training data, which has ship; 1 box left out" in outcome.out
    assert "'dam'" not in outcome.out  # without boxes it misses nothing
    assert "unknown class" not in run("data", "check", train, val, "-q").out


def dior(root: Path) -> Path:
    return write_dior(root, {"00001": voc_xml(voc_object())})


def test_only_wanted_splits_are_read_each_once_and_in_the_order_given(tmp_path: Path) -> None:
    found = read_splits([dior(tmp_path / "DIOR")], wanted=[SplitName.TEST, SplitName.TRAIN, SplitName.TEST])
    assert list(found.by_name) == ["test", "train"]


def test_dior_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    folders = [dior(tmp_path / place / "DIOR") for place in ("a", "b")]
    found = read_splits(folders, wanted=[SplitName.VAL])
    assert list(found.by_name) == [f"{folder}, val" for folder in folders]
