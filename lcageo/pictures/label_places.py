"""Positions of the names of objects in a picture, so that no name hides another name or an object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROOMY = 8.0
"""A box more than this many times as large as a label may have the label inside: its object stays visible."""


def place_labels(boxes_xyxy: FloatArray, sizes: FloatArray, frame: tuple[int, int]) -> list[tuple[float, float] | None]:
    """Upper-left corners of labels: above, below, right of, left of or inside their boxes, None where all are taken.

    Args:
        boxes_xyxy: (N, 4) pixels of the picture, the most important first: their labels are placed first.
        sizes: (N, 2) width and height of each label, pixels.
        frame: width and height of the picture; labels stay inside.
    """
    labels = np.empty((0, 4))
    positions: list[tuple[float, float] | None] = []
    for index, (width, height) in enumerate(sizes.tolist()):
        others = np.delete(boxes_xyxy, index, axis=0)
        position = None
        for x, y in _candidates(boxes_xyxy[index], width, height, frame):
            label = np.array([x, y, x + width, y + height])
            if not _meets(labels, label).any() and not _hides(others, label).any():
                position, labels = (x, y), np.vstack([labels, label])
                break
        positions.append(position)
    return positions


def _candidates(box: FloatArray, width: float, height: float, frame: tuple[int, int]) -> list[tuple[float, float]]:
    """Positions for a label inside the frame, the best first."""
    x1, y1, x2, y2 = box.tolist()
    along_x = min(max(0.0, x1), frame[0] - width)
    along_y = min(max(0.0, y1), frame[1] - height)
    positions = [(along_x, y1 - height), (along_x, y2), (x2, along_y), (x1 - width, along_y)]
    if (x2 - x1) * (y2 - y1) > ROOMY * width * height:
        positions.append((max(0.0, x1), max(0.0, y1)))
    return [(x, y) for x, y in positions if 0 <= x <= frame[0] - width and 0 <= y <= frame[1] - height]


def _meets(boxes: FloatArray, label: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, :2] < label[2:]).all(axis=1) & (boxes[:, 2:] > label[:2]).all(axis=1))


def _hides(boxes: FloatArray, label: FloatArray) -> NDArray[np.bool_]:
    """Boxes that a label would cover, except those large enough to contain it."""
    sides = label[2:] - label[:2]
    inside = (boxes[:, :2] <= label[:2]).all(axis=1) & (boxes[:, 2:] >= label[2:]).all(axis=1)
    roomy = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > ROOMY * sides.prod()
    return np.asarray(_meets(boxes, label) & ~(inside & roomy))
