"""Geometric changes of an image and its boxes: turns, flips, resizing, crops, mosaic; settings of training crops.

An image is (height, width, 3) uint8, RGB. Random numbers come only from an explicit numpy Generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcageo.data.images import FILL
from lcageo.data.pixels import Colour, Pixels
from lcageo.errors import ConfigError

SYMMETRIES = 8
"""Four quarter turns, each also mirrored."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How training crops are drawn. The defaults come from a measured study on small sets of overhead images."""

    crop_size: int = 320
    """Side of a crop, pixels."""
    max_image_side: int | None = 800
    """Maximum side of images in memory: larger ones are downscaled when loaded; None: no limit. Scenes never are."""
    long_side: int | None = 512
    """Longer side of an image at scale 1, pixels; None, and for scenes: its own."""
    scale_range: tuple[float, float] = (0.6, 1.6)
    """Minimum and maximum scale, drawn log-uniformly."""
    mosaic_share: float = 0.5
    """Share of crops combined from four images."""
    min_visible: float = 0.3
    """Minimum share of an object's area inside a crop; objects with less are dropped."""
    turns_and_flips: bool = True
    """Whether each crop gets one of the eight symmetries: overhead imagery has no up."""
    brightness: float = 0.25
    """Brightness is multiplied by a factor from 1 - this to 1 + this; contrast and saturation likewise."""
    contrast: float = 0.25
    saturation: float = 0.3
    haze: float = 0.35
    """Maximum strength of haze, 0 to 1."""
    haze_share: float = 0.15
    """Share of crops with haze."""
    class_balance: float = 0.5
    """An object is drawn in proportion to (boxes of its class) ** -this; 0: as they occur, 1: all classes equally."""
    sparse_balance: float = 0.5
    """An object is also drawn in proportion to (objects in its image) ** -this; 1: all images equally."""
    background_share: float = 0.1
    """Maximum share of crops from images without objects."""
    fill: Colour = FILL
    """Colour beyond an image's border and of pixels without data, as the network's padding is."""

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
                raise ConfigError(f"augmentation setting {name} = {getattr(self, name)!r} is outside the allowed range")


_SHARES = (
    "mosaic_share", "min_visible", "brightness", "contrast", "saturation", "haze", "haze_share", "class_balance",
    "sparse_balance", "background_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """An image, or a part of it, and the objects in it."""

    image: Pixels
    """(height, width, 3) uint8."""
    boxes_xyxy: NDArray[np.float32]
    """(N, 4) float32, pixels of this crop, x1 < x2 and y1 < y2."""
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


def symmetric(crop: Crop, which: int) -> Crop:
    """The crop after `which % 4` quarter turns counter-clockwise, then mirrored left to right if `which` is 4 to 7."""
    image, boxes = crop.image, crop.boxes_xyxy
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
    return Crop(np.ascontiguousarray(image), boxes, crop.labels, crop.difficult)


def resized(crop: Crop, width: int, height: int) -> Crop:
    """The crop in another size; downscaling averages over the pixels that are merged."""
    old_width, old_height = crop.size
    if (old_width, old_height) == (width, height):
        return crop
    image = Image.fromarray(crop.image).resize((width, height), Image.Resampling.BILINEAR)
    factor = np.array([width / old_width, height / old_height] * 2)
    return Crop(np.asarray(image), (crop.boxes_xyxy * factor).astype(np.float32), crop.labels, crop.difficult)


def cropped(crop: Crop, x0: int, y0: int, width: int, height: int, min_visible: float, fill: Colour) -> Crop:
    """The window that starts at (x0, y0), filled beyond the image. Boxes are clipped at its edge.

    Args:
        crop: what to cut from.
        x0: first column of the window, may be negative; y0 likewise.
        width: of the window; height likewise.
        min_visible: objects with a smaller share of their area inside the window are dropped, but for those to be
            ignored: what they cover is no background anywhere.
        fill: colour beyond the image.
    """
    boxes = crop.boxes_xyxy.astype(np.float64) - np.array([x0, y0, x0, y0])
    inside = np.clip(boxes, 0, np.array([width, height, width, height]))
    visible = np.prod(inside[:, 2:] - inside[:, :2], axis=1)  # (N,)
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    cut = inside.astype(np.float32)
    kept = (crop.difficult | (visible >= min_visible * whole)) & (cut[:, 2:] > cut[:, :2]).all(axis=1)
    image = _window(crop.image, x0, y0, width, height, fill)
    return Crop(image, cut[kept], crop.labels[kept], crop.difficult[kept])


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
    """Start of a window along one axis, drawn uniformly from where it holds as much of an object as it can.

    Args:
        rng: random generator.
        span: start and end of the object; None: the window may be anywhere in the image.
        extent: length of the image.
        window: length of the window. If it is longer than the image, it holds all of it.
    """
    first, last = min(0, extent - window), max(0, extent - window)
    if span is not None:
        # A window shorter than the object lies within it.
        ends = sorted((span[1] - window, span[0]))
        first, last = max(first, int(np.ceil(ends[0]))), min(last, int(np.floor(ends[1])))
    if first > last:  # no whole number fits between the two: an object as long as the window
        return last
    return int(rng.integers(first, last, endpoint=True))


def mosaic(parts: Sequence[Crop]) -> Crop:
    """Joins four crops: upper left, upper right, lower left, lower right. Sides that touch have the same length."""
    upper_left, upper_right, lower_left, lower_right = parts
    x, y = upper_left.size
    image = np.concatenate(
        [
            np.concatenate([upper_left.image, upper_right.image], axis=1),
            np.concatenate([lower_left.image, lower_right.image], axis=1),
        ]
    )
    shifts = np.array([[0, 0], [x, 0], [0, y], [x, y]], np.float32)
    return Crop(
        image,
        np.concatenate([part.boxes_xyxy + np.tile(shift, 2) for part, shift in zip(parts, shifts, strict=True)]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.difficult for part in parts]),
    )
