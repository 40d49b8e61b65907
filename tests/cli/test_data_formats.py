"""Data sets of other tools as `train`, `evaluate`, `data check` and `data convert` meet them."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import Run
from support.set_files import BOXES, images, seen, yolo_labels
from support.shapes import write_shapes

from lcageo.data.annotations import SplitName
from lcageo.data.sets import read_source


def yolo(root: Path) -> Path:
    images(root / "images")
    yolo_labels(root / "labels")
    (root / "classes.txt").write_text("car\nship\n")
    return root


def test_a_check_tells_remarks_with_their_counts(run: Run, tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    images(root / "images", ["c"])
    outcome = run("data", "check", root, "--strict")
    assert outcome.code == 0 and "1 split, 3 images: no problems, 1 remark" in outcome.err
    assert "remark: images without a file of labels: 1" in outcome.out
    assert "images without a file of labels: 1 of 3, such as" in outcome.out and "set: " in outcome.out


def test_images_and_format_are_named_where_the_set_cannot_tell(run: Run, tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    (root / "images").rename(tmp_path / "pictures")
    refused = run("data", "check", root)
    assert refused.code == 1 and "name their folder with --images" in refused.err
    assert run("data", "check", root, "--images", "pictures", "--strict").code == 0
    missing = run("data", "check", root, "--images", "nowhere")
    assert missing.code == 2 and "the folder of images 'nowhere' (--images) does not exist" in missing.err
    wrong = run("data", "check", root, "--format", "voc")
    assert wrong.code == 1 and "holds nothing in this format; check the path" in wrong.err


def test_a_set_leaves_as_another_format_and_is_read_again(run: Run, tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    for to in ("voc", "coco", "yolo"):
        outcome = run("data", "convert", root, f"new/{to}", "--to", to)
        assert outcome.code == 0 and outcome.out == f"new/{to}\n", outcome.err
        assert seen(read_source(tmp_path / "new" / to, SplitName.VAL, strict=True)) == BOXES
        root = tmp_path / "new" / to
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"voc", "coco", "yolo"}
    again = run("data", "convert", root, "new/voc", "--to", "voc")
    assert again.code == 2 and "output folder 'new/voc' exists and is not empty; choose another one" in again.err


def test_a_conversion_leaves_out_what_cannot_be_read_and_says_so(run: Run, tmp_path: Path) -> None:
    root = yolo(tmp_path / "set")
    (root / "labels" / "a.txt").write_text("1 0.2 0.3\n")
    outcome = run("data", "convert", root, "out", "--to", "coco")
    assert outcome.code == 0 and "a.txt: line 1: has 3 values" in outcome.err
    written = json.loads((tmp_path / "out" / "train.json").read_text())
    assert [one["file_name"] for one in written["images"]] == ["b.png"]
    strict = run("data", "convert", root, "strict", "--to", "coco", "--strict")
    assert strict.code == 1 and not (tmp_path / "strict").exists()
    (root / "labels" / "b.txt").write_text("1 0.2 0.3\n")
    nothing = run("data", "convert", root, "none", "--to", "coco")
    assert nothing.code == 1 and "has no usable image to convert" in nothing.err and not (tmp_path / "none").exists()


def test_training_takes_a_folder_with_splits_and_evaluation_one_of_them(run: Run, tmp_path: Path) -> None:
    for name, seed in (("train", 1), ("val", 2)):
        write_shapes(tmp_path / "chips" / f"{name}.json", 4, seed)
    assert run("data", "convert", "chips", "yolo", "--to", "yolo").code == 0
    small = "--backbone resnet18 --backbone-width 16 --channels 16 --head-convs 1 --norm gn --imgsz 128 --batch 2"
    quick = "--device cpu --workers 0 --precision fp32 --validations 1 --epochs 1"
    trained = run("train", "--data", "yolo", "--out", "run", *small.split(), *quick.split())
    assert trained.code == 0, trained.err
    assert "4 images to train on, 4 to validate on, 2 classes" in trained.err and "held out" not in trained.err
    assert (tmp_path / "run" / "recipe.toml").read_text().count("yolo") == 1
    measured = run("evaluate", "--model", "run", "--data", "yolo", "--json", "--backend", "torch", "--device", "cpu")
    assert measured.code == 0 and json.loads(measured.out)["data"].endswith("yolo, val")
    refused = run("evaluate", "--model", "run", "--data", "yolo", "--split", "test", "--device", "cpu")
    assert refused.code == 1 and "'yolo' has no split test, but train, val" in refused.err
