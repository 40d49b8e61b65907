"""Writes labelled images as COCO JSON, in the form that `coco` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOX_DIGITS = 3
"""Decimal places of box coordinates in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoImage:
    """One image and its objects."""

    file_name: str
    width: int
    height: int
    boxes_xyxy: NDArray[np.float64]
    """(N, 4) pixels."""
    labels: NDArray[np.int64]
    """(N,) indices into the classes."""
    ignored: NDArray[np.bool_]
    """(N,) True for objects that are ignored, in the loss and in evaluation: COCO's crowds."""
    about: Mapping[str, Any]
    """Further members of the image's record, JSON-ready."""
    labelled: Sequence[int] | None = None
    """Indices of the classes that it is annotated for; None: all."""


def coco_text(
    images: Sequence[CocoImage], classes: Sequence[str], info: Mapping[str, Any], digits: int | None = BOX_DIGITS
) -> str:
    """The text of a COCO file, in which the ids of classes start at 1.

    Args:
        images: in order.
        classes: names.
        info: the file's member `info`, JSON-ready.
        digits: decimal places of box coordinates; None: all.
    """
    boxes = [{"image_id": number, **box} for number, image in enumerate(images, 1) for box in _boxes(image, digits)]
    content = {
        "info": dict(info),
        "images": [_record(number, image, classes) for number, image in enumerate(images, 1)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, 1)],
        "annotations": [{"id": number, **box} for number, box in enumerate(boxes, 1)],
    }
    return json.dumps(content)


def _record(number: int, image: CocoImage, classes: Sequence[str]) -> dict[str, Any]:
    size = {"width": image.width, "height": image.height}
    labelled = list(classes) if image.labelled is None else [classes[label] for label in image.labelled]
    return {"id": number, "file_name": image.file_name, **size, **image.about, "labelled_categories": labelled}


def _boxes(image: CocoImage, digits: int | None) -> Iterator[dict[str, Any]]:
    for box, label, ignored in zip(image.boxes_xyxy, image.labels.tolist(), image.ignored.tolist(), strict=True):
        sides = np.array([*box[:2], *(box[2:] - box[:2])])
        x, y, width, height = (sides if digits is None else np.round(sides, digits)).tolist()
        yield {"category_id": label + 1, "bbox": [x, y, width, height], "area": width * height, "iscrowd": int(ignored)}
