"""Training and validation data: read, cleaned or refused, and split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.makers import labelled_set
from support.shapes import write_shapes

from lcageo.config import SCENE_SIDE_PX
from lcageo.data.annotations import Annotation
from lcageo.data.dataset import CropDataset
from lcageo.data.formats.coco import read_coco
from lcageo.errors import DataError, UsageError
from lcageo.training.config import TrainConfig
from lcageo.training.data import (
    TrainingData,
    augmentation,
    held_out,
    largest_object_px,
    load_training_data,
    seen_gsd_m,
)


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
    assert "2 images of 20 held out" in said and "--val" in said


def test_classes_may_be_named_as_the_labels_or_as_the_map_has_them(tmp_path: Path) -> None:
    labels = write_shapes(tmp_path / "a.json", count=20)
    first = read_coco(labels).classes[0]
    (tmp_path / "map.toml").write_text(f'[classes]\nthing = ["{first}"]\n')
    for classes in ((first,), ("thing",)):
        config = TrainConfig(data=(str(labels),), classes=classes, class_map=str(tmp_path / "map.toml"))
        data = load_training_data(config, strict=False, warn=lambda text: None)
        assert data.train.classes == data.val.classes == ("thing",)
        assert sum(map(len, data.train.annotations)) > 0


def test_a_name_of_the_map_that_labels_have_under_another_is_no_typo(tmp_path: Path) -> None:
    labels = write_shapes(tmp_path / "a.json", count=20)
    first = read_coco(labels).classes[0]
    (tmp_path / "map.toml").write_text(f'[classes]\nvehicle = ["vehicle", "{first}"]\n')
    config = TrainConfig(data=(str(labels),), classes=(first,), class_map=str(tmp_path / "map.toml"))
    assert load_training_data(config, strict=False, warn=lambda text: None).train.classes == ("vehicle",)
    with pytest.raises(DataError, match="wagon"):
        load_training_data(replace(config, classes=("wagon",)), strict=False, warn=lambda text: None)


def test_the_seed_decides_what_is_held_out(tmp_path: Path) -> None:
    labelled = read_coco(write_shapes(tmp_path / "a.json", count=20))

    def names(seed: int) -> list[str]:
        return [annotation.image.name for annotation in held_out(labelled, seed)[1].annotations]

    assert names(1) == names(1)
    assert len({tuple(names(seed)) for seed in range(5)}) > 1


def test_a_single_image_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 usable image, too few to hold one out; use --val"):
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
    assert len(said) == 2 and "annotations[0]" in said[0] and "category_id 99 is not a category" in said[0]
    assert "1 of its 3 objects cannot be read and would be background; image skipped" in said[1]


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


def test_with_native_images_objects_and_resolutions_are_those_of_the_images() -> None:
    native = TrainConfig(imgsz=512, native=True)
    assert largest_object_px([annotation(1024, *range(1, 101))], native) == 96
    assert largest_object_px([annotation(256, 200)], native) == 200
    known = [replace(annotation(side, 9), gsd_m=0.5) for side in (256, 1024)]
    assert seen_gsd_m(known, native) == pytest.approx((0.4, 0.6))
    assert seen_gsd_m(known, replace(native, native=False)) == pytest.approx((0.2, 1.2))


def placed(folder: Path, width: int, height: int) -> Annotation:
    """An image of which every pixel says where it is: red its column, green its row, blue 200."""
    image = np.full((height, width, 3), 200, np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    path = folder / f"{width}x{height}.png"
    Image.fromarray(image).save(path)
    boxes, labels = np.array([[10, 10, 30, 20]], np.float32), np.zeros(1, np.int64)
    return Annotation(path, width, height, boxes, labels, (0,), np.zeros(1, bool))


@pytest.mark.parametrize("size", [(250, 140), (250, 90), (100, 60)])
def test_crops_of_native_images_have_their_own_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    exact = TrainConfig(imgsz=192, crop=128, scale=(1.0, 1.0), mosaic=0.0, turns=False, colour=0.0)
    labelled, fill = labelled_set(placed(tmp_path, *size), classes=("ship",)), (1, 2, 3)
    for native in (True, False):
        crops = CropDataset(labelled, augmentation(replace(exact, native=native), fill), crops_per_epoch=8, seed=0)
        for position in range(8):
            image = crops[0, position].image.numpy()
            inside = (image != np.array(fill)[:, None, None]).any(axis=0)
            columns, rows = (image[band].astype(int) for band in (0, 1))
            steps = np.diff(columns, axis=1)[inside[:, 1:] & inside[:, :-1]]
            assert (set(steps.tolist()) == {1}) == native, "neither reduced nor enlarged"
            if native:
                assert inside.sum() == np.prod(np.minimum(size, 128))
                assert (image[2][inside] == 200).all() and (np.diff(rows, axis=0)[inside[1:] & inside[:-1]] == 1).all()
                (x1, y1, x2, y2) = crops[0, position].boxes_xyxy[0].int().tolist()
                assert (columns[y1, x1], rows[y1, x1], columns[y2 - 1, x2 - 1], rows[y2 - 1, x2 - 1]) == (
                    10,
                    10,
                    29,
                    19,
                )


def test_settings_of_crops_are_those_of_the_run() -> None:
    drawn = augmentation(TrainConfig(background=0.3, imgsz=512, scale=(0.5, 2.0)), (1, 2, 3))
    assert (drawn.background_share, drawn.long_side, drawn.max_image_side, drawn.fill) == (0.3, 512, 1024, (1, 2, 3))
    native = augmentation(TrainConfig(native=True), (1, 2, 3))
    assert (native.background_share, native.long_side, native.max_image_side) == (0.1, None, None)


def test_the_share_of_images_without_objects_is_the_one_asked_for(tmp_path: Path) -> None:
    full, bare = placed(tmp_path, 100, 60), placed(tmp_path, 60, 100)
    bare = replace(bare, boxes_xyxy=bare.boxes_xyxy[:0], labels=bare.labels[:0], difficult=bare.difficult[:0])
    for background, expected in ((0.0, 0), (0.25, 25), (1.0, 50)):  # no more than there are
        config = TrainConfig(imgsz=128, mosaic=0.0, background=background)
        crops = CropDataset(labelled_set(full, bare, classes=("ship",)), augmentation(config, (0, 0, 0)), 100, seed=0)
        assert sum(crops.sources((0, position)) == (bare.image,) for position in range(100)) == expected


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


def test_objects_to_be_ignored_are_told_if_they_are_many(tmp_path: Path) -> None:
    def marked(share: float) -> Path:
        path = write_shapes(tmp_path / f"{share}.json", count=20)
        content = json.loads(path.read_text())
        count = round(share * len(content["annotations"]))
        for box in content["annotations"][:count]:
            box["iscrowd"] = 1
        path.write_text(json.dumps(content))
        return path

    def told(share: float) -> list[str]:
        _, said = load(marked(share), val=write_shapes(tmp_path / "val.json", count=4, seed=1))
        return [line for line in said if "crowds" in line]

    assert told(0.0) == told(0.1) == []
    (line,) = told(0.5)
    assert "in the training data are marked as crowds, difficult or ignored: they are neither objects nor" in line
    with pytest.raises(
        DataError, match=r"objects in the training data are marked as .*: none is left; remove these marks"
    ):
        load(marked(1.0), val=tmp_path / "val.json")
    _, said = load(tmp_path / "0.1.json", val=marked(1.0))  # it might be held out of a small set
    assert any("in the validation data are marked as crowds" in line for line in said)
