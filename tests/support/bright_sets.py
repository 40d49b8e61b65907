"""Labelled images for the predictor of bright squares, which finds all of them unless tiling prevents it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from support.bright import CLASSES, WHITE
from support.scenes import squares

from lcageo.data.annotations import Annotation, LabelledSet

Place = tuple[int, int, int, int]
"""x, y, side, brightness."""


def bright_image(path: Path, width: int, height: int, places: Sequence[Place]) -> Annotation:
    """Writes noise with bright squares, labelled as BrightSquares finds them."""
    Image.fromarray(squares(height, width, list(places)).transpose(1, 2, 0)).save(path)
    boxes = [(x, y, x + side, y + side) for x, y, side, _ in places]
    return Annotation(
        path,
        width,
        height,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([int(brightness >= WHITE) for *_, brightness in places], np.int64),
        (0, 1),
        np.zeros(len(places), np.bool_),
    )


def scattered(
    seed: int, width: int, height: int, largest: int = 24, share: float = 0.6, darkest: int = 205
) -> list[Place]:
    """Squares of up to `largest` pixels that do not touch, at even coordinates: at most one per cell of a lattice."""
    rng = np.random.default_rng(seed)
    cell, places = largest + 6, []
    for top in range(0, height - cell, cell):
        for left in range(0, width - cell, cell):
            if rng.random() < share:
                side = 2 * int(rng.integers(3, largest // 2 + 1))
                x, y = (start + 2 * int(rng.integers(1, (cell - side) // 2)) for start in (left, top))
                places.append((x, y, side, int(rng.integers(darkest, 256))))
    return places


def bright_set(*annotations: Annotation) -> LabelledSet:
    return LabelledSet("squares", CLASSES, annotations)
