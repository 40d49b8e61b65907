"""Map of how a scene was split: its ground tinted by side, its chips and labels on top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lcageo.detections import Detections
from lcageo.pictures.quicklook import draw_quicklook

TRAIN, VAL = (70, 130, 255), (255, 140, 0)
"""Blue and orange: distinguishable for colour-blind readers."""
TINT = 0.35
"""Opacity of the tint that shows a pixel's side."""


def draw_split(
    image: NDArray[np.uint8],
    validates: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    chips: Sequence[tuple[NDArray[np.float64], bool]],
    labels: Detections,
    classes: Sequence[str],
    title: str,
    metres_per_pixel: float | None,
) -> Image.Image:
    """Draws the split on the downscaled scene.

    Args:
        image: (3, h, w) uint8.
        validates: (h, w) True for pixels that belong to validation.
        labelled: (h, w) True inside the labelled area; the rest keeps its own colours.
        chips: bounds x1, y1, x2, y2 in the pixels of `image`, and whether the chip belongs to validation.
        labels: in the pixels of `image`.
        classes: their names.
        title: the first line below the picture.
        metres_per_pixel: of `image`; None draws no scale bar.
    """
    colours = np.where(validates, np.array(VAL)[:, None, None], np.array(TRAIN)[:, None, None])  # (3, h, w)
    tinted = np.where(labelled, image * (1 - TINT) + colours * TINT, image).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(tinted, 0, -1)))
    pen = ImageDraw.Draw(picture)
    for (x1, y1, x2, y2), validating in chips:
        inset = 2 if validating else 0  # the two chips of one tile have the same bounds
        pen.rectangle((x1 + inset, y1 + inset, x2 - 1 - inset, y2 - 1 - inset), outline=VAL if validating else TRAIN)
    counts = np.bincount(labels.labels, minlength=len(classes)).tolist()
    drawn = np.moveaxis(np.asarray(picture), -1, 0)
    return draw_quicklook(drawn, [labels], dict(zip(classes, counts, strict=True)), classes, title, metres_per_pixel)
