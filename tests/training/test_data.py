"""Training and validation data: read, cleaned or refused, and split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.shapes import write_shapes

from lcageo.config import SCENE_SIDE_PX
from lcageo.data.annotations import Annotation
from lcageo.data.coco import read_coco
from lcageo.errors import DataError, UsageError
from lcageo.training.config import TrainConfig
from lcageo.training.data import TrainingData, held_out, largest_object_px, load_training_data, seen_gsd_m


def load(
    *data: Path, val: Path | None = None, strict: bool = False, classes: tuple[str, ...] = ()
) -> tuple[TrainingData, list[str]]:
    said: list[str] = []
    config = TrainConfig(data=tuple(map(str, data)), val=(str(val),) if val else (), classes=classes)
    return load_training_data(config, strict, said.append), said


def test_images_are_held_out_without_validation_data(tmp_path: Path) -> None:
    data, (said,) = load(write_shapes(tmp_path / "a.json", count=20))
    assert len(data.train) == 18 and len(data.val) == 2
    names = [{annotation.image.name for annotation in part.annotations} for part in (data.train, data.val)]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 20
    assert "2 of 20 images are held out" in said and "--val" in said


def test_the_seed_decides_what_is_held_out(tmp_path: Path) -> None:
    labelled = read_coco(write_shapes(tmp_path / "a.json", count=20))

    def names(seed: int) -> list[str]:
        return [annotation.image.name for annotation in held_out(labelled, seed)[1].annotations]

    assert names(1) == names(1)
    assert len({tuple(names(seed)) for seed in range(5)}) > 1


def test_a_single_image_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 usable images, too few to hold one out; use --val"):
        load(write_shapes(tmp_path / "a.json", count=1))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A set with one inverted box, one missing and one unreadable image."""
    path = write_shapes(tmp_path / "broken.json")
    coco = json.loads(path.read_text())
    coco["annotations"][0]["bbox"][2] = -5
    path.write_text(json.dumps(coco))
    (tmp_path / "broken_6.png").unlink()
    (tmp_path / "broken_7.png").write_bytes(b"not a picture")
    return path


def test_invalid_records_and_images_are_named_and_left_out(broken: Path, tmp_path: Path) -> None:
    data, said = load(broken, val=write_shapes(tmp_path / "val.json"))
    assert {annotation.image.name for annotation in data.train.annotations} == {f"broken_{n}.png" for n in range(6)}
    assert len(data.val) == 8
    assert len(said) == 3 and all(any(word in line for line in said) for word in ("broken_6.png", "broken_7.png"))
    assert any("empty or inverted" in line or "width -5" in line or "-5" in line for line in said)


def test_a_record_of_an_unknown_class_is_named_also_with_validation_data(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json")
    coco = json.loads(path.read_text())
    coco["annotations"][0]["category_id"] = 99
    path.write_text(json.dumps(coco))
    _, said = load(path, val=write_shapes(tmp_path / "val.json"))
    assert len(said) == 1 and "annotations[0]" in said[0] and "category_id 99 is not a category" in said[0]


def test_strict_refuses_invalid_records_and_images(broken: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load(broken, val=write_shapes(tmp_path / "val.json"), strict=True)


def test_many_problems_take_few_lines(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json", count=12)
    for number in range(8):
        (tmp_path / f"a_{number}.png").unlink()
    data, said = load(path, val=write_shapes(tmp_path / "val.json"))
    assert len(data.train) == 4 and len(said) == 4
    assert "5 more problems" in said[-1] and "lcageo data check" in said[-1]


def test_data_without_a_usable_image_is_refused(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json", count=2)
    for number in range(2):
        (tmp_path / f"a_{number}.png").unlink()
    with pytest.raises(DataError, match="has no usable image"):
        load(path, val=write_shapes(tmp_path / "val.json"))
    with pytest.raises(UsageError, match="--data"):
        load()


def annotation(side: int, *lengths: float) -> Annotation:
    boxes = np.array([[0, 0, length, 1] for length in lengths], np.float32).reshape(-1, 4)
    labels, difficult = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), bool)
    return Annotation(Path("a"), side, side // 2, boxes, labels, (0,), difficult)


HALF = TrainConfig(imgsz=512)


def test_the_largest_object_is_in_tile_pixels_and_at_most_half_a_tile() -> None:
    assert largest_object_px([annotation(1024, *range(1, 101))], HALF) == 48  # 95.05 halved, rounded up
    assert largest_object_px([annotation(1024, 900)], HALF) == 256
    assert largest_object_px([annotation(SCENE_SIDE_PX + 10, 100)], HALF) == 100, "scenes are not resized"
    assert largest_object_px([annotation(100)], HALF) is None


def test_a_class_that_no_data_has_is_refused(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"class 'unicorn': not in .*, which has ship, car"):
        load(path, val=path, classes=("ship", "unicorn"))


def test_classes_left_out_by_choice_are_not_reported(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json")
    data, said = load(path, val=path, classes=("car",))
    assert data.classes == ("car",) and not said


def test_the_resolution_is_that_at_which_images_are_seen(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.json", count=3)
    content = json.loads(path.read_text())
    for image, gsd_m in zip(content["images"], (0.5, 0.25, 0.4), strict=True):
        image["gsd_m"] = gsd_m
    path.write_text(json.dumps(content))
    known = read_coco(path).annotations
    assert seen_gsd_m(known, TrainConfig(imgsz=128)) == pytest.approx((0.2, 0.6))
    assert seen_gsd_m(known, TrainConfig(imgsz=256)) == pytest.approx((0.1, 0.3))
    assert seen_gsd_m([*known, annotation(100, 5)], TrainConfig(imgsz=128)) is None
    content["images"][0]["gsd_m"] = "fine"
    path.write_text(json.dumps(content))
    assert seen_gsd_m(read_coco(path).annotations, TrainConfig(imgsz=128)) is None
