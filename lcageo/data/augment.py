"""Changes of an image that its boxes follow: turns and flips, sizes, crops, mosaic; and the settings of training crops.

An image is (height, width, 3) uint8, RGB. Chance enters only through an explicit numpy Generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcageo.data.images import Pixels
from lcageo.errors import ConfigError

SYMMETRIES = 8
"""Four quarter turns, each also mirrored."""
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How training crops are drawn. The defaults come from a measured study on small sets of overhead images."""

    crop_size: int = 320
    """Side of a crop, pixels."""
    max_image_side: int | None = 800
    """Images are reduced to this side when loaded, which is what the cache keeps; None: never. Scenes never are."""
    long_side: int | None = 512
    """Longer side of an image, pixels, at scale 1; None, and for scenes: its own."""
    scale_range: tuple[float, float] = (0.6, 1.6)
    """Least and greatest scale, drawn evenly in its logarithm."""
    mosaic_share: float = 0.5
    """Share of crops put together from four images."""
    min_visible: float = 0.3
    """An object of which less than this share of its area is left in a crop is dropped."""
    turns_and_flips: bool = True
    """Whether each crop gets one of the eight symmetries: overhead imagery has no up."""
    brightness: float = 0.25
    """Brightness is multiplied by 1 - this to 1 + this; contrast and saturation likewise."""
    contrast: float = 0.25
    saturation: float = 0.3
    haze: float = 0.35
    """Greatest strength of haze, 0 to 1."""
    haze_share: float = 0.15
    """Share of crops with haze."""
    class_balance: float = 0.5
    """An object is drawn in proportion to (boxes of its class) ** -this: 0 as they come, 1 all classes alike."""
    sparse_balance: float = 0.5
    """... and to (objects in its image) ** -this: 0 all objects alike, 1 all images alike."""
    background_share: float = 0.1
    """Greatest share of crops from images without objects."""
    fill: Colour = (124, 116, 104)
    """Colour beyond an image's border: ImageNet's mean, which the network sees as its own padding."""

    def __post_init__(self) -> None:
        low, high = self.scale_range
        checks = {
            "crop_size": 32 <= self.crop_size <= 4096,
            "max_image_side": self.max_image_side is None or self.max_image_side >= 32,
            "long_side": self.long_side is None or self.long_side >= 32,
            "scale_range": 0.05 <= low <= high <= 20,
            "fill": len(self.fill) == 3 and all(0 <= value <= 255 for value in self.fill),
            **{name: 0 <= getattr(self, name) <= 1 for name in _SHARES},
        }
        for name, holds in checks.items():
            if not holds:
                raise ConfigError(f"augmentation setting {name} = {getattr(self, name)!r} is outside what is allowed")


_SHARES = (
    "mosaic_share", "min_visible", "brightness", "contrast", "saturation", "haze", "haze_share", "class_balance",
    "sparse_balance", "background_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """A piece of an image and the objects in it."""

    image: Pixels
    """(height, width, 3) uint8."""
    boxes_xyxy: NDArray[np.float32]
    """(N, 4) float32, pixels of this chip, x1 < x2 and y1 < y2."""
    labels: NDArray[np.int64]
    """(N,) int64."""
    difficult: NDArray[np.bool_]
    """(N,) bool."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        assert self.image.dtype == np.uint8 and self.image.ndim == 3 and self.image.shape[2] == 3, self.image.shape
        assert self.boxes_xyxy.shape == (count, 4) and self.boxes_xyxy.dtype == np.float32, self.boxes_xyxy.shape
        assert self.labels.shape == self.difficult.shape == (count,), "one label and one flag for each box"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]


def symmetric(chip: Chip, which: int) -> Chip:
    """The chip after `which % 4` quarter turns counter-clockwise, then mirrored left to right if `which` is 4 to 7."""
    image, boxes = chip.image, chip.boxes_xyxy
    for _ in range(which % 4):
        width = image.shape[1]
        image = np.rot90(image)
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([y1, width - x2, y2, width - x1], axis=1)
    if which >= 4:
        width = image.shape[1]
        image = image[:, ::-1]
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([width - x2, y1, width - x1, y2], axis=1)
    return Chip(np.ascontiguousarray(image), boxes, chip.labels, chip.difficult)


def resized(chip: Chip, width: int, height: int) -> Chip:
    """The chip in another size; reducing averages over the pixels that become one."""
    old_width, old_height = chip.size
    if (old_width, old_height) == (width, height):
        return chip
    image = Image.fromarray(chip.image).resize((width, height), Image.Resampling.BILINEAR)
    factor = np.array([width / old_width, height / old_height] * 2)
    return Chip(np.asarray(image), (chip.boxes_xyxy * factor).astype(np.float32), chip.labels, chip.difficult)


def cropped(chip: Chip, x0: int, y0: int, width: int, height: int, min_visible: float, fill: Colour) -> Chip:
    """The window from (x0, y0) on; beyond the image it is filled. Boxes are cut at its edge.

    Args:
        chip: what to cut from.
        x0: first column of the window, may be negative; y0 likewise.
        width: of the window; height likewise.
        min_visible: objects with a smaller share of their area inside the window are dropped.
        fill: colour beyond the image.
    """
    boxes = chip.boxes_xyxy.astype(np.float64) - np.array([x0, y0, x0, y0])
    inside = np.clip(boxes, 0, np.array([width, height, width, height]))
    visible = np.prod(inside[:, 2:] - inside[:, :2], axis=1)  # (N,)
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    cut = inside.astype(np.float32)
    kept = (visible >= min_visible * whole) & (cut[:, 2:] > cut[:, :2]).all(axis=1)
    image = _window(chip.image, x0, y0, width, height, fill)
    return Chip(image, cut[kept], chip.labels[kept], chip.difficult[kept])


def _window(image: Pixels, x0: int, y0: int, width: int, height: int, fill: Colour) -> Pixels:
    rows, columns = image.shape[:2]
    left, top = min(max(x0, 0), columns), min(max(y0, 0), rows)
    right, bottom = max(min(x0 + width, columns), left), max(min(y0 + height, rows), top)
    part = image[top:bottom, left:right]
    if part.shape[:2] == (height, width):
        return np.ascontiguousarray(part)
    window = np.empty((height, width, 3), np.uint8)
    window[:] = fill
    if part.size:
        window[top - y0 : bottom - y0, left - x0 : right - x0] = part
    return window


def window_start(rng: np.random.Generator, span: tuple[float, float] | None, extent: int, window: int) -> int:
    """Where a window starts along one axis, drawn evenly from all places where it holds an object as far as it can.

    Args:
        rng: source of chance.
        span: where the object starts and ends; None: the window may lie anywhere in the image.
        extent: length of the image.
        window: length of the window. A longer one than the image holds all of it.
    """
    first, last = min(0, extent - window), max(0, extent - window)
    if span is not None:
        # A window shorter than the object lies within it.
        ends = sorted((span[1] - window, span[0]))
        first, last = max(first, int(np.ceil(ends[0]))), min(last, int(np.floor(ends[1])))
    if first > last:  # no whole number fits between the two: an object as long as the window
        return last
    return int(rng.integers(first, last, endpoint=True))


def mosaic(parts: Sequence[Chip]) -> Chip:
    """Four chips as one: upper left, upper right, lower left, lower right. Sides that touch have the same length."""
    upper_left, upper_right, lower_left, lower_right = parts
    x, y = upper_left.size
    image = np.concatenate(
        [
            np.concatenate([upper_left.image, upper_right.image], axis=1),
            np.concatenate([lower_left.image, lower_right.image], axis=1),
        ]
    )
    shifts = np.array([[0, 0], [x, 0], [0, y], [x, y]], np.float32)
    return Chip(
        image,
        np.concatenate([part.boxes_xyxy + np.tile(shift, 2) for part, shift in zip(parts, shifts, strict=True)]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.difficult for part in parts]),
    )
