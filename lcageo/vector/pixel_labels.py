"""Boxes in pixels for labelling tools: COCO JSON and YOLO text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.vector.formats import YOLO
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

PIXEL_DIGITS = 3
"""Decimals of pixel coordinates in COCO files."""
SHARE_DIGITS = 9
"""Decimals of relative coordinates in YOLO files: a thousandth of a pixel in an image a million pixels wide."""
SCORE_DIGITS = 4
"""Decimals of a score, as in map layers."""


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The image that boxes belong to."""

    file_name: str
    width: int
    height: int


def write_labels(
    parts: Iterable[Detections], classes: Sequence[str], grid: PixelGrid, record: RunRecord, target: FileTarget
) -> None:
    """Writes boxes in their order; the file must not exist yet.

    Boxes are clipped to the image, since labelling tools accept none beyond its border.

    COCO: `bbox` is x, y, width, height in pixels from the image's upper-left corner; `category_id` is the label + 1,
    since 0 is the background in many tools; each annotation has a `score`. The record is the member `lcageo`.

    YOLO: one line per object, `class x y width height`, with centre and size relative to the image. Labelling tools
    refuse a sixth number, so `scores`, in the order of the lines, are in a second file with the record; a third one has
    the class names, in the order of their numbers from 0.

    Args:
        parts: boxes in scene pixels; one part is in memory at a time.
        classes: class names, in the order of the labels.
        grid: the scene.
        record: record of the run.
        target: the file.

    Raises:
        OutputError: if it cannot be written, for instance because the disk is full.

    Source:
        https://cocodataset.org/#format-results and #format-data; https://docs.ultralytics.com/datasets/detect
    """
    path, inside = target.path, (_cut(part, grid) for part in parts)
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            if target.format is not YOLO:
                _write_coco(inside, classes, grid, record, file)
                return
            scores = _write_yolo(inside, grid, file)
        _, names, scores_file = target.files  # found.yolo.names beside found.yolo.txt, as in Darknet
        names.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8", newline="\n")
        scores_file.write_text(json.dumps({**record.as_json(), "scores": scores}), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"output '{path.name}' cannot be written: {error}; is the disk full or read-only?") from error


def _write_coco(
    parts: Iterator[Detections], classes: Sequence[str], grid: PixelGrid, record: RunRecord, file: TextIO
) -> None:
    head = {
        "info": {"description": f"objects found in {grid.file_name} by lcageo"},
        "lcageo": record.as_json(),
        "images": [{"id": 1, "file_name": grid.file_name, "width": grid.width, "height": grid.height}],
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(classes)],
    }
    file.write(json.dumps(head)[:-1] + ', "annotations": [')
    numbers = count(1)
    for part in parts:
        corner, size = np.round(part.boxes_xyxy[:, :2], PIXEL_DIGITS), np.round(_sizes(part), PIXEL_DIGITS)
        rows = zip(np.hstack([corner, size]).tolist(), _scores(part), part.labels.tolist(), strict=True)
        for (bbox, score, label), number in zip(rows, numbers, strict=False):
            area = round(bbox[2] * bbox[3], PIXEL_DIGITS)
            annotation = {
                "id": number, "image_id": 1, "category_id": label + 1, "bbox": bbox, "area": area, "iscrowd": 0,
            }  # fmt: skip
            if score is not None:
                annotation["score"] = score
            file.write(("," if number > 1 else "") + "\n" + json.dumps(annotation))
    file.write("\n]}\n")


def _write_yolo(parts: Iterator[Detections], grid: PixelGrid, file: TextIO) -> list[float | None]:
    """Returns the score of each line; None for objects drawn by hand."""
    scores: list[float | None] = []
    image = np.array([grid.width, grid.height] * 2, np.float64)
    for part in parts:
        sizes = _sizes(part)
        shares = np.hstack([part.boxes_xyxy[:, :2] + sizes / 2, sizes]) / image
        for label, share in zip(part.labels.tolist(), shares.tolist(), strict=True):
            file.write(f"{label} {' '.join(f'{number:.{SHARE_DIGITS}f}' for number in share)}\n")
        scores += _scores(part)
    return scores


def _cut(part: Detections, grid: PixelGrid) -> Detections:
    """Clips boxes to the image, and drops those outside of it."""
    boxes = np.clip(part.boxes_xyxy.astype(np.float64), 0.0, np.array([grid.width, grid.height] * 2, np.float64))
    inside = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return Detections(boxes[inside], part.scores[inside], part.labels[inside])


def _sizes(part: Detections) -> NDArray[np.float64]:
    """(N, 2) widths and heights."""
    return np.asarray(part.boxes_xyxy[:, 2:] - part.boxes_xyxy[:, :2], np.float64)


def _scores(part: Detections) -> list[float | None]:
    """Rounded scores; None for objects drawn by hand."""
    rounded = np.round(part.scores.astype(np.float64), SCORE_DIGITS).tolist()
    return [score if math.isfinite(score) else None for score in rounded]
