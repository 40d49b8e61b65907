from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.makers import annotation, labelled_set

from lcageo.data.annotations import LabelledSet
from lcageo.data.augment import AugmentConfig, Crop
from lcageo.data.crops import CropMaker, drawn_order, image_shares, object_weights
from lcageo.errors import DataError

CALM = AugmentConfig(crop_size=64, long_side=None, brightness=0, contrast=0, saturation=0, haze_share=0)


def bright_squares(folder: Path, count: int = 6, side: int = 100) -> LabelledSet:
    """Images with one white square each; even images are annotated for class 0, odd ones for class 1."""
    annotations = []
    for index in range(count):
        image = np.zeros((side, side, 3), np.uint8)
        x, y, size = 10 * index, 8 * index, 12 + 4 * index
        image[y : y + size, x : x + size] = 255
        path = folder / f"{index}.png"
        Image.fromarray(image).save(path)
        box = [(x, y, x + size, y + size)]
        annotations.append(annotation(path, (side, side), box, [index % 2], (index % 2,)))
    return labelled_set(*annotations, classes=("even", "odd", "neither"))


def assert_boxes_hold_the_bright_pixels(crop: Crop) -> None:
    bright = crop.image[:, :, 0] > 127
    inside = np.zeros_like(bright)
    for x1, y1, x2, y2 in np.rint(crop.boxes_xyxy).astype(int):
        inside[y1:y2, x1:x2] = True
    edges = np.pad(bright, 1)
    inner = edges[:-2, 1:-1] & edges[2:, 1:-1] & edges[1:-1, :-2] & edges[1:-1, 2:] & bright
    assert not (inner & ~inside).any()  # all but border pixels of bright squares are boxed
    assert bright[inside].mean() > 0.8


def test_rare_classes_and_sparse_images_weigh_more() -> None:
    dense = annotation(boxes=[(i, 0, i + 1, 1) for i in range(16)], labels=[0] * 16)
    rare = annotation(boxes=[(0, 0, 1, 1)], labels=[1], labelled=(1,))
    balanced = object_weights([dense, rare], 2, AugmentConfig(class_balance=1, sparse_balance=1))
    assert balanced[0] == pytest.approx([1 / 16 / 16] * 16) and balanced[1] == pytest.approx([1])
    halfway = object_weights([dense, rare], 2, AugmentConfig(class_balance=0.5, sparse_balance=0.5))
    assert halfway[0] == pytest.approx([1 / 4 / 4] * 16)
    asis = object_weights([dense, rare], 2, AugmentConfig(class_balance=0, sparse_balance=0))
    assert image_shares(asis, 0) == pytest.approx([16 / 17, 1 / 17])


def test_difficult_objects_are_not_drawn() -> None:
    both = annotation(boxes=[(0, 0, 1, 1)] * 2, labels=[0, 0], difficult=[True, False])
    (weights,) = object_weights([both], 1, AugmentConfig())
    assert weights[0] == 0 and weights[1] > 0


@pytest.mark.parametrize(("background", "expected"), [(0.1, 0.1), (0.9, 0.5), (0, 0)])
def test_images_without_objects_get_no_more_than_their_share(background: float, expected: float) -> None:
    shares = image_shares([np.ones(1), np.zeros(0), np.ones(3), np.zeros(2)], background)
    assert shares.sum() == pytest.approx(1)
    assert shares[[1, 3]].sum() == pytest.approx(expected) and shares[2] == pytest.approx(3 * shares[0])
    assert image_shares([np.zeros(0)] * 4, background) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("seed", range(10))
def test_an_epoch_draws_each_image_as_often_as_its_share_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(20))
    counts = np.bincount(drawn_order(shares, 300, rng), minlength=20)
    assert counts.sum() == 300 and (np.abs(counts - shares * 300) < 1).all()


@pytest.mark.parametrize("mosaic_share", [0.0, 1.0])
def test_boxes_follow_the_pixels_through_everything(tmp_path: Path, mosaic_share: float) -> None:
    labelled = bright_squares(tmp_path)
    maker = CropMaker(labelled, replace(CALM, mosaic_share=mosaic_share), 60, seed=3)
    objects = 0
    for position in range(60):
        crop, mask = maker.make(0, position)
        assert crop.size == (64, 64) and mask.sum() == 1 and not mask[2]
        assert mask[crop.labels].all()  # the parts of a mosaic are annotated for the same classes
        assert (crop.boxes_xyxy >= 0).all() and (crop.boxes_xyxy <= 64).all()
        assert len(crop.labels) == len(set(map(tuple, crop.boxes_xyxy.tolist())))
        assert_boxes_hold_the_bright_pixels(crop)
        objects += len(crop.labels)
    assert objects >= 60 * (3 if mosaic_share else 1)


def test_an_image_larger_than_the_store_keeps_has_its_boxes_reduced(tmp_path: Path) -> None:
    config = replace(CALM, max_image_side=50, long_side=64, scale_range=(1, 1), mosaic_share=0, turns_and_flips=False)
    maker = CropMaker(bright_squares(tmp_path), config, 6, seed=0)
    for position in range(6):
        crop, _ = maker.make(0, position)
        bright = np.argwhere(crop.image[:, :, 0] > 127)
        assert crop.boxes_xyxy[0] == pytest.approx([*bright.min(0)[::-1], *bright.max(0)[::-1] + 1], abs=1.5)


def test_a_crop_depends_on_seed_epoch_and_position_alone(tmp_path: Path) -> None:
    labelled, config = bright_squares(tmp_path), AugmentConfig(crop_size=64, long_side=100)

    def crop(seed: int, epoch: int, position: int, maker: CropMaker | None = None) -> bytes:
        return (maker or CropMaker(labelled, config, 8, seed)).make(epoch, position)[0].image.tobytes()

    used = CropMaker(labelled, config, 8, 5)
    used.store.fill()
    backwards = [crop(5, epoch, position, used) for epoch in (1, 0) for position in range(7, -1, -1)][::-1]
    fresh = [crop(5, epoch, position) for epoch in (0, 1) for position in range(8)]
    assert backwards == fresh and len(set(fresh)) == 16
    assert crop(6, 0, 0) != crop(5, 0, 0)


def test_a_maker_can_be_sent_to_another_process(tmp_path: Path) -> None:
    maker = CropMaker(bright_squares(tmp_path), CALM, 8, 0)
    before = maker.make(0, 0)[0].image
    assert np.array_equal(pickle.loads(pickle.dumps(maker)).make(0, 0)[0].image, before)


def test_images_without_objects_are_cropped_anywhere(tmp_path: Path) -> None:
    Image.new("RGB", (200, 50)).save(tmp_path / "a.png")
    maker = CropMaker(labelled_set(annotation(tmp_path / "a.png", (200, 50))), AugmentConfig(), 4, 0)
    for position in range(4):
        crop, mask = maker.make(0, position)
        assert crop.size == (320, 320) and len(crop.labels) == 0 and mask.tolist() == [True]


def test_a_set_without_images_that_are_annotated_for_anything_is_refused() -> None:
    for labelled in (labelled_set(), labelled_set(annotation(labelled=()))):
        with pytest.raises(DataError, match="'set' has no usable image to train on; run 'lcageo data check'"):
            CropMaker(labelled, AugmentConfig(), 4, 0)


def test_without_class_balance_every_image_is_drawn_once_an_epoch() -> None:
    rng = np.random.default_rng(3)
    labels = [rng.integers(0, 3, count).tolist() for count in rng.integers(1, 30, 50)]
    many = [annotation(boxes=[(0, 0, 1, 1)] * len(own), labels=own, labelled=(0, 1, 2)) for own in labels]
    config = AugmentConfig(class_balance=0.0, sparse_balance=1.0)
    shares = image_shares(object_weights(many, 3, config), config.background_share)
    for seed in range(5):
        order = drawn_order(shares, 50, np.random.default_rng(seed))
        assert sorted(order.tolist()) == list(range(50))
