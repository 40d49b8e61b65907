"""Changes of an image's colours; boxes stay. An image is (height, width, 3) uint8, RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lcageo.data.augment import AugmentConfig, Colour
from lcageo.data.images import Pixels

HAZE: Colour = (205, 210, 218)
"""Light that air scatters: bright, slightly blue."""
_LEVELS = np.arange(256.0)


def with_brightness(image: Pixels, factor: float) -> Pixels:
    """Every level times `factor`."""
    return _mapped(image, _LEVELS * factor)


def with_contrast(image: Pixels, factor: float) -> Pixels:
    """Every level's distance from the image's mean level, times `factor`."""
    mean = float(image[::4, ::4].mean())  # a sixteenth of the pixels tells the mean well enough
    return _mapped(image, mean + (_LEVELS - mean) * factor)


def with_saturation(image: Pixels, factor: float) -> Pixels:
    """Every pixel's distance from its own grey, times `factor`; 0 leaves grey."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor))


def with_haze(image: Pixels, strength: float) -> Pixels:
    """A veil of scattered light over the image: 0 none, 1 nothing but the veil.

    Source:
        The atmospheric model I = J t + A (1 - t) with an even transmission t = 1 - strength (Koschmieder's law).
    """
    levels = _LEVELS[:, None] * (1 - strength) + np.array(HAZE) * strength  # (256, 3)
    return _mapped(image, levels)


def jittered(image: Pixels, rng: np.random.Generator, config: AugmentConfig) -> Pixels:
    """The image with brightness, contrast, saturation and haze drawn within the limits of `config`."""
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
