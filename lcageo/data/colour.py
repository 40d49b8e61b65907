"""Colour changes of an image, which leave its boxes as they are. An image is (height, width, 3) uint8, RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lcageo.data.augment import AugmentConfig
from lcageo.data.pixels import Colour, Pixels

HAZE: Colour = (205, 210, 218)
"""Colour of light scattered by the air: bright, slightly blue."""
_LEVELS = np.arange(256.0)


def with_brightness(image: Pixels, factor: float) -> Pixels:
    """The image with every level multiplied by `factor`."""
    return _mapped(image, _LEVELS * factor)


def with_contrast(image: Pixels, factor: float) -> Pixels:
    """The image with every level's distance from the mean level multiplied by `factor`."""
    mean = float(image[::4, ::4].mean())  # a sixteenth of the pixels gives the mean accurately enough
    return _mapped(image, mean + (_LEVELS - mean) * factor)


def with_saturation(image: Pixels, factor: float) -> Pixels:
    """The image with every pixel's distance from its own grey multiplied by `factor`; 0 leaves grey."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor))


def with_haze(image: Pixels, strength: float) -> Pixels:
    """The image under a veil of scattered light: 0 leaves it clear, 1 shows nothing but the veil.

    Source:
        The atmospheric model I = J t + A (1 - t) with an even transmission t = 1 - strength (Koschmieder's law).
    """
    levels = _LEVELS[:, None] * (1 - strength) + np.array(HAZE) * strength  # (256, 3)
    return _mapped(image, levels)


def jittered(image: Pixels, rng: np.random.Generator, config: AugmentConfig) -> Pixels:
    """The image with brightness, contrast, saturation and haze drawn at random within the limits of `config`."""
    brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * (
        config.brightness, config.contrast, config.saturation
    )  # fmt: skip
    hazy, strength = rng.uniform() < config.haze_share, rng.uniform(0, config.haze)
    image = with_saturation(with_contrast(with_brightness(image, brightness), contrast), saturation)
    return with_haze(image, strength) if hazy else image


def _mapped(image: Pixels, levels: NDArray[np.float64]) -> Pixels:
    """Each level replaced by its entry of `levels`, (256,) or one column per channel, (256, 3)."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    columns = np.broadcast_to(table.reshape(256, -1), (256, 3))
    return np.asarray(Image.fromarray(image).point(columns.T.ravel().tolist()))
