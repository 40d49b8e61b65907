from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DATA
from PIL import Image
from support.makers import annotation, labelled_set, write_image

from lcageo.data.annotations import LabelledSet
from lcageo.data.augment import AugmentConfig
from lcageo.data.dataset import (
    CropBatches,
    CropDataset,
    EvalDataset,
    TrainBatch,
    collate_eval,
    to_original,
    train_loader,
)
from lcageo.data.formats.coco import read_coco

CONFIG = AugmentConfig(crop_size=32, long_side=48)


@pytest.fixture
def ships(tmp_path: Path) -> LabelledSet:
    """Five images with one ship each, and a class that only the first is annotated for."""
    return labelled_set(
        *(
            annotation(write_image(tmp_path / f"{i}.png", seed=i), boxes=[(i, i, 20, 20)], labels=[0],
                       labelled=(0, 1) if i == 0 else (0,))
            for i in range(5)
        ), classes=("ship", "dam"),
    )  # fmt: skip


def batches(labelled: LabelledSet, workers: int, start: int = 0, steps: int = 3) -> list[TrainBatch]:
    """Some steps of a run with four crops a step and three steps an epoch."""
    order = CropBatches(steps_per_epoch=3, batch=4)
    order.start = start
    dataset = CropDataset(labelled, CONFIG, 12, seed=1)
    return list(itertools.islice(train_loader(dataset, order, workers), steps))


def assert_same(one: list[TrainBatch], other: list[TrainBatch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.images, b.images) and torch.equal(a.labelled, b.labelled)
        for x, y in zip(
            (*a.boxes_xyxy, *a.labels, *a.difficult), (*b.boxes_xyxy, *b.labels, *b.difficult), strict=True
        ):
            assert torch.equal(x, y)


def test_a_batch_has_the_shapes_and_types_it_states(ships: LabelledSet) -> None:
    first = batches(ships, workers=0)[0]
    assert first.images.shape == (4, 3, 32, 32) and first.images.dtype == torch.uint8
    assert len(first) == len(first.boxes_xyxy) == len(first.labels) == 4
    assert first.labelled.shape == (4, 2) and first.labelled.dtype == torch.bool and first.labelled[:, 0].all()
    for boxes, labels, difficult in zip(first.boxes_xyxy, first.labels, first.difficult, strict=True):
        assert boxes.dtype == torch.float32 and boxes.shape == (len(labels), 4)
        assert labels.dtype == torch.int64 and difficult.dtype == torch.bool
    assert torch.equal(first.to("cpu").images, first.images)


def test_only_images_annotated_for_a_class_are_labelled_for_it(ships: LabelledSet) -> None:
    masks = torch.cat([batch.labelled for batch in batches(ships, workers=0)])
    assert masks[:, 1].sum() in (2, 3)  # five images of equal weight in twelve crops


def test_crops_do_not_depend_on_the_number_of_workers(ships: LabelledSet) -> None:
    assert_same(batches(ships, workers=0), batches(ships, workers=2))


def test_training_resumes_at_the_crop_where_it_stopped(ships: LabelledSet) -> None:
    assert_same(batches(ships, 0, start=2, steps=4), batches(ships, 0, steps=6)[2:])


def test_an_epoch_shows_every_crop_once_and_the_next_one_others(ships: LabelledSet) -> None:
    keys = list(itertools.islice(CropBatches(3, 4), 6))
    assert sorted(key for step in keys[:3] for key in step) == [(0, position) for position in range(12)]
    assert sorted(key for step in keys[3:] for key in step) == [(1, position) for position in range(12)]
    first, second = batches(ships, 0, steps=1), batches(ships, 0, start=3, steps=1)
    assert not torch.equal(first[0].images, second[0].images)


def test_processes_that_train_together_share_each_step_of_one() -> None:
    alone, pair = CropBatches(5, 4), [CropBatches(5, 4, rank, 2) for rank in range(2)]
    for step in (0, 3, 7):
        assert sorted(alone.keys(step)) == sorted(key for part in pair for key in part.keys(step))
        assert all(len(part.keys(step)) == 2 for part in pair)


def test_the_files_of_a_crop_are_those_it_is_made_of(tmp_path: Path) -> None:
    levels = (50, 100, 150, 200, 250)
    for level in levels:
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / f"{level}.png")
    plain = labelled_set(*(annotation(tmp_path / f"{level}.png", (40, 40)) for level in levels))
    config = AugmentConfig(crop_size=32, long_side=None, scale_range=(1, 1), brightness=0, contrast=0, saturation=0,
                           haze_share=0, mosaic_share=0.5)  # fmt: skip
    dataset = CropDataset(plain, config, 20, seed=3)
    counts = set()
    for position in range(20):
        files = dataset.sources((0, position))
        counts.add(len(files))
        seen = set(np.unique(dataset[(0, position)].image.numpy()).tolist())
        assert seen == {int(path.stem) for path in files}
    assert counts == {1, 4}


def test_a_part_of_a_batch_holds_its_crops(ships: LabelledSet) -> None:
    batch = batches(ships, 0)[0]
    part = batch.part(1, 3)
    assert len(part) == 2 and torch.equal(part.images, batch.images[1:3]) and part.labels == batch.labels[1:3]


def test_scenes_are_cropped_at_their_own_resolution(tmp_path: Path) -> None:
    Image.fromarray(np.tile(np.array([[0, 255], [255, 0]], np.uint8), (20, 1050))).convert("RGB").save(
        tmp_path / "long.png"
    )
    scene = labelled_set(annotation(tmp_path / "long.png", (2100, 40)))
    config = AugmentConfig(crop_size=32, max_image_side=64, long_side=64, scale_range=(1, 1), brightness=0, contrast=0,
                           saturation=0, haze_share=0, mosaic_share=0)  # fmt: skip
    crop = CropDataset(scene, config, 1, seed=0)[(0, 0)].image
    assert set(np.unique(crop.numpy()).tolist()) == {0, 255}  # reduced, the checkerboard would be grey


def test_an_evaluation_image_is_fitted_without_distortion_and_boxes_come_back(tmp_path: Path) -> None:
    for width, height, enlarge in ((90, 40, True), (200, 150, True), (64, 64, True), (40, 20, False)):
        image = np.zeros((height, width, 3), np.uint8)
        image[10:20, 5:35] = 255
        Image.fromarray(image).save(tmp_path / "a.png")
        labelled = labelled_set(annotation(tmp_path / "a.png", (width, height)))
        sample = EvalDataset(labelled, 128, enlarge)[0]
        assert sample.image.shape == (3, 128, 128) and sample.index == 0
        assert sample.scale_xy[0] == pytest.approx(sample.scale_xy[1], rel=0.02)
        assert sample.scale_xy == ((1, 1) if not enlarge else pytest.approx((max(width, height) / 128,) * 2, rel=0.02))
        bright = np.argwhere(sample.image[0].numpy() > 127)
        seen = np.array([[*bright.min(0)[::-1], *bright.max(0)[::-1] + 1]], np.float32)
        assert to_original(seen, sample.scale_xy)[0] == pytest.approx([5, 10, 35, 20], abs=sample.scale_xy[0])


def test_scales_are_across_then_down_and_exact_where_rounding_shows(tmp_path: Path) -> None:
    labelled = labelled_set(annotation(write_image(tmp_path / "a.png", 200, 7), (200, 7)))  # becomes 64 x 2
    assert EvalDataset(labelled, 64)[0].scale_xy == (200 / 64, 7 / 2)


def test_an_evaluation_image_is_filled_to_the_right_or_below(tmp_path: Path) -> None:
    labelled = labelled_set(annotation(write_image(tmp_path / "a.png", 64, 32), (64, 32)))
    batch = collate_eval([EvalDataset(labelled, 64, fill=(1, 2, 3))[0]] * 2)
    assert batch.images.shape == (2, 3, 64, 64) and batch.indices == (0, 0) and batch.scales_xy == ((1, 1), (1, 1))
    assert (batch.images[0, :, 32:] == torch.tensor([1, 2, 3])[:, None, None]).all()
    assert np.array_equal(batch.images[0, :, :32].permute(1, 2, 0).numpy(), np.asarray(Image.open(tmp_path / "a.png")))


def test_rare_classes_of_the_real_set_are_drawn_more_often_than_they_occur() -> None:
    path = DATA / "vhr10" / "val.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {path}; name its folder with LCAGEO_DATA")
    labelled = read_coco(path)
    dataset = CropDataset(labelled, AugmentConfig(), 200, seed=0)
    dataset.store.fill()
    drawn = np.bincount(torch.cat([dataset[0, i].labels for i in range(200)]).numpy(), minlength=10)
    stored = np.bincount(np.concatenate([a.labels for a in labelled.annotations]), minlength=10)
    rarest, commonest = stored.argmin(), stored.argmax()
    assert drawn[rarest] / drawn[commonest] > 1.2 * stored[rarest] / stored[commonest]
    assert (drawn > 0).all()
