"""Bounds of the shapes that COCO files have: polygons, and masks as run lengths (RLE), compressed or not.

Source:
    The formats are those of the COCO API (`maskApi`): runs column by column, starting with a run outside the mask;
    compressed runs are written in groups of five bits, each as a character from '0' on, the sixth bit saying that more
    groups follow, and from the third run on as differences to the last run but one.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from lcageo.data.annotations import MAX_SIDE_PX, Box
from lcageo.errors import DataError


def box_of_shape(segmentation: Any) -> Box | None:
    """The bounds of a record's segmentation, pixels; None if there is none.

    Raises:
        DataError: if it is neither polygons nor run lengths.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        return _box_of_runs(segmentation)
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    polygons = parts if all(isinstance(part, list) for part in parts) else [parts]
    numbers = [value for polygon in polygons for value in polygon]
    if any(len(polygon) % 2 or len(polygon) < 4 for polygon in polygons) or not all(map(_is_pixel, numbers)):
        raise DataError("segmentation is neither a list of polygons (x1, y1, x2, y2 ...) nor run lengths")
    xs = [value for polygon in polygons for value in polygon[::2]]
    ys = [value for polygon in polygons for value in polygon[1::2]]
    return float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))


def _box_of_runs(segmentation: dict[str, Any]) -> Box:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise DataError("segmentation has no size (height, width) for its run lengths")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
        raise DataError("segmentation has counts that are no run lengths")
    height, width = size
    ends = list(accumulate(counts))
    # Every second run is inside the mask: from `start` to before `end`, counted down the columns.
    runs = [(end - run, end) for run, end in zip(counts[1::2], ends[1::2], strict=True) if run]
    if not runs or ends[-1] > height * width:
        raise DataError("segmentation has run lengths that are empty or do not fit its size")
    columns = [(start // height, (end - 1) // height) for start, end in runs]
    whole = any(first != last for first, last in columns)  # a run over two columns touches top and bottom
    top = 0 if whole else min(start % height for start, _ in runs)
    bottom = height if whole else max((end - 1) % height for _, end in runs) + 1
    left, right = min(first for first, _ in columns), max(last for _, last in columns) + 1
    return float(left), float(top), float(right), float(bottom)


def _decompressed(text: str) -> list[int]:
    """Run lengths from their characters."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise DataError("segmentation has counts that are no compressed run lengths")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs


def _is_pixel(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_SIDE_PX
