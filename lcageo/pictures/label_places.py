"""Where the names of objects go in a picture, so that none hides another, or an object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROOMY = 8.0
"""A box so many times as large as a label may have one inside: what is seen in it stays plain."""


def place_labels(boxes_xyxy: FloatArray, sizes: FloatArray, frame: tuple[int, int]) -> list[tuple[float, float] | None]:
    """Upper-left corners of labels, each at its box: above, below, right, left or inside, or None where all are taken.

    Args:
        boxes_xyxy: (N, 4) pixels of the picture, the most important first: its label chooses first.
        sizes: (N, 2) width and height of each label, pixels.
        frame: width and height of the picture, which labels do not leave.
    """
    labels = np.empty((0, 4))
    places: list[tuple[float, float] | None] = []
    for index, (width, height) in enumerate(sizes.tolist()):
        others = np.delete(boxes_xyxy, index, axis=0)
        place = None
        for x, y in _candidates(boxes_xyxy[index], width, height, frame):
            label = np.array([x, y, x + width, y + height])
            if not _meets(labels, label).any() and not _hides(others, label).any():
                place, labels = (x, y), np.vstack([labels, label])
                break
        places.append(place)
    return places


def _candidates(box: FloatArray, width: float, height: float, frame: tuple[int, int]) -> list[tuple[float, float]]:
    """Places for a label in the frame, the best first."""
    x1, y1, x2, y2 = box.tolist()
    along_x = min(max(0.0, x1), frame[0] - width)
    along_y = min(max(0.0, y1), frame[1] - height)
    places = [(along_x, y1 - height), (along_x, y2), (x2, along_y), (x1 - width, along_y)]
    if (x2 - x1) * (y2 - y1) > ROOMY * width * height:
        places.append((max(0.0, x1), max(0.0, y1)))
    return [(x, y) for x, y in places if 0 <= x <= frame[0] - width and 0 <= y <= frame[1] - height]


def _meets(boxes: FloatArray, label: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, :2] < label[2:]).all(axis=1) & (boxes[:, 2:] > label[:2]).all(axis=1))


def _hides(boxes: FloatArray, label: FloatArray) -> NDArray[np.bool_]:
    """Boxes that a label would lie on, unless well inside of them."""
    sides = label[2:] - label[:2]
    inside = (boxes[:, :2] <= label[:2]).all(axis=1) & (boxes[:, 2:] >= label[2:]).all(axis=1)
    roomy = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > ROOMY * sides.prod()
    return np.asarray(_meets(boxes, label) & ~(inside & roomy))
