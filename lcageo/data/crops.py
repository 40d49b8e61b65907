"""Training crops: which image, which object, at which scale, combined how. Each crop is a function of its number.

Random numbers depend on (seed, epoch, position) alone, not on how many processes make the crops, or in what order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.augment import SYMMETRIES, AugmentConfig, Crop, cropped, mosaic, resized, symmetric, window_start
from lcageo.data.colour import jittered
from lcageo.data.images import ImageStore
from lcageo.errors import DataError

Floats = NDArray[np.float64]

_ORDER, _CROP = 0, 1
"""First element of a spawn key: what the random numbers are for."""
_MOSAIC_CENTRE = (0.3, 0.7)
"""Range of the point where the four parts of a mosaic meet, as a share of the side."""


def object_weights(annotations: Sequence[Annotation], num_classes: int, config: AugmentConfig) -> list[Floats]:
    """Weights with which each image's objects are drawn, (N,): higher for rare classes and sparse images.

    Difficult objects are never drawn.
    """
    counts = np.zeros(num_classes)
    for annotation in annotations:
        counts += np.bincount(annotation.labels[~annotation.difficult], minlength=num_classes)
    by_class = np.maximum(counts, 1) ** -config.class_balance
    return [
        by_class[annotation.labels] * ~annotation.difficult * max(len(annotation), 1) ** -config.sparse_balance
        for annotation in annotations
    ]


def image_shares(weights: Sequence[Floats], background_share: float) -> Floats:
    """How often each image is drawn, (M,), summing to 1: in proportion to the weights of its objects.

    Args:
        weights: weights of each image's objects.
        background_share: total for images without objects; never more than their share of all images.
    """
    shares = np.array([part.sum() for part in weights])
    empty = shares == 0
    if empty.all():
        return np.full(len(shares), 1 / len(shares))
    if empty.any():
        share = min(background_share, float(empty.mean()))
        shares *= (1 - share) / shares.sum()
        shares[empty] = share / empty.sum()
    total: Floats = shares / shares.sum()
    return total


def drawn_order(shares: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Images for one epoch's crops, (count,), shuffled: each as often as its share says, rounded to a whole number."""
    positions = (np.arange(count) + rng.uniform()) / count
    drawn = np.searchsorted(np.cumsum(shares), positions, side="right")
    return rng.permutation(np.minimum(drawn, len(shares) - 1))


class CropMaker:
    """Makes the crops of a labelled set, one at a time, in any order."""

    def __init__(self, labelled: LabelledSet, config: AugmentConfig, crops_per_epoch: int, seed: int) -> None:
        """Reads nothing yet. Images annotated for no class are left out: nothing can be learned from them.

        Raises:
            DataError: if the set has no images.
        """
        annotations = tuple(annotation for annotation in labelled.annotations if annotation.labelled_classes)
        if not annotations:
            raise DataError(f"'{labelled.name}' has no usable image to train on; run 'lcageo data check' to see why")
        self.config = config
        self.crops_per_epoch = crops_per_epoch
        self.num_classes = len(labelled.classes)
        self.store = ImageStore(annotations, config.max_image_side, scenes_whole=True, fill=config.fill)
        self._annotations = annotations
        self._seed = seed
        self._weights = object_weights(annotations, self.num_classes, config)
        self._shares = image_shares(self._weights, config.background_share)
        self._groups = _groups(annotations)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def labelled_mask(self, index: int) -> NDArray[np.bool_]:
        """The classes that an image is annotated for, (K,)."""
        mask = np.zeros(self.num_classes, np.bool_)
        mask[list(self._annotations[index].labelled_classes)] = True
        return mask

    def make(self, epoch: int, position: int) -> tuple[Crop, NDArray[np.bool_]]:
        """One crop, and the classes that it is annotated for, (K,).

        Raises:
            DataError: if an image cannot be read.
        """
        rng = self._rng(_CROP, epoch, position)
        config, size = self.config, self.config.crop_size
        images = self._drawn(rng, epoch, position)
        if len(images) > 1:
            x, y = (int(rng.uniform(*_MOSAIC_CENTRE) * size) for _ in range(2))
            sizes = ((x, y), (size - x, y), (x, size - y), (size - x, size - y))
            crop = mosaic([self._part(rng, image, *part) for image, part in zip(images, sizes, strict=True)])
        else:
            crop = self._part(rng, images[0], size, size)
        if config.turns_and_flips:
            crop = symmetric(crop, int(rng.integers(SYMMETRIES)))
        image = jittered(crop.image, rng, config)
        return Crop(image, crop.boxes_xyxy, crop.labels, crop.difficult), self.labelled_mask(images[0])

    def sources(self, epoch: int, position: int) -> tuple[Path, ...]:
        """The image files that a crop is made from: one, or four for a mosaic."""
        drawn = self._drawn(self._rng(_CROP, epoch, position), epoch, position)
        return tuple(self._annotations[index].image for index in drawn)

    def _drawn(self, rng: np.random.Generator, epoch: int, position: int) -> tuple[int, ...]:
        index = int(self._images_of(epoch)[position])
        return (index, *self._partners(rng, index)) if rng.uniform() < self.config.mosaic_share else (index,)

    def _part(self, rng: np.random.Generator, index: int, width: int, height: int) -> Crop:
        """A crop of one image around one of its objects, at a random scale, in the given size."""
        crop = self._whole(index)
        weights = self._weights[index]
        spans: Sequence[tuple[float, float] | None] = (None, None)
        share = 0.0
        if weights.any():
            x1, y1, x2, y2 = crop.boxes_xyxy[rng.choice(len(weights), p=weights / weights.sum())].tolist()
            spans = (x1, x2), (y1, y2)
            share = max((x2 - x1) / width, (y2 - y1) / height)
        scale = self._scale(rng, index, share)
        window = max(1, round(width / scale)), max(1, round(height / scale))
        x0, y0 = (
            window_start(rng, span, extent, length)
            for span, extent, length in zip(spans, crop.size, window, strict=True)
        )
        return resized(cropped(crop, x0, y0, *window, self.config.min_visible, self.config.fill), width, height)

    def _scale(self, rng: np.random.Generator, index: int, object_share: float) -> float:
        """Crop pixels per image pixel; reduced, within the range, where the object would not fit the crop.

        Args:
            rng: random generator.
            index: which image.
            object_share: size of the object relative to the crop at scale 1; 0 without an object.
        """
        long_side = None if self._annotations[index].is_scene else self.config.long_side
        unit = 1.0 if long_side is None else long_side / max(self.store.size(index))
        low, high = (unit * end for end in self.config.scale_range)
        scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return scale if scale * object_share <= 1 else max(low, 1 / object_share)

    def _whole(self, index: int) -> Crop:
        """An image as the store returns it, with its boxes scaled to match."""
        annotation, image = self._annotations[index], self.store.load(index)
        factor = np.array([image.shape[1] / annotation.width, image.shape[0] / annotation.height] * 2, np.float32)
        return Crop(image, annotation.boxes_xyxy * factor, annotation.labels, annotation.difficult)

    def _partners(self, rng: np.random.Generator, index: int) -> list[int]:
        """Three more images for a mosaic, annotated for the same classes, so that one mask holds for all."""
        group = self._groups[self._annotations[index].labelled_classes]
        shares = self._shares[group]
        p = shares / shares.sum() if shares.any() else None
        return [int(image) for image in rng.choice(group, 3, p=p)]

    def _images_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, drawn_order(self._shares, self.crops_per_epoch, self._rng(_ORDER, epoch))
        return self._order[1]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))


def _groups(annotations: Sequence[Annotation]) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Indices of images by the classes that they are annotated for."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, annotation in enumerate(annotations):
        groups[annotation.labelled_classes].append(index)
    return {classes: np.array(members) for classes, members in groups.items()}
