"""COCO's figures, computed by the COCO library.

Difficult objects are passed to it as crowds (`iscrowd`), because that is the only kind of object that COCO's own code
ignores (it overwrites a record's `ignore`), and the one that COCO files contain. So a detection inside a difficult
object counts neither as right nor as wrong, however many there are; VOC forgives only those that overlap the object as
a whole. Sizes are those of the boxes, clipped at the image's border: where a file's `area` is a mask's, or boxes extend
beyond the image, pycocotools sorts objects into other sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lcageo.extras import require
from lcageo.metrics.curves import COCO_RECALLS
from lcageo.metrics.match import IOUS
from lcageo.metrics.truth import Counted, Floats, Index

SIZES = ("small", "medium", "large")
AREAS_PX = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
"""COCO's area ranges: all, small, medium, large; an object exactly on a border belongs to both."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoFigures:
    """COCO's figures per class; nan where there is no object to find."""

    ap: Floats
    """(10, K, 4) average precision at IoU 0.5 to 0.95, of all objects, small, medium and large ones."""
    ar: Floats
    """(K, 4) recall averaged over the IoUs, of the same sizes."""


def require_coco() -> None:
    """Checks that the COCO library is installed, before the work that it would measure.

    Raises:
        UsageError: if it is not.
    """
    require("measuring average precision", "train", "faster_coco_eval")


def coco_figures(what: Counted, max_per_image: int) -> CocoFigures:
    """Computes COCO's figures.

    Raises:
        UsageError: if the COCO library is not installed.
    """
    if not what.images:
        return CocoFigures(
            np.full((len(IOUS), what.classes, len(AREAS_PX)), np.nan), np.full((what.classes, len(AREAS_PX)), np.nan)
        )
    require_coco()
    from faster_coco_eval import COCOeval_faster

    run = COCOeval_faster(_truth(what), _found(what), "bbox")
    run.params.maxDets = [max_per_image]
    run.params.iouThrs = IOUS
    run.params.recThrs = COCO_RECALLS
    run.params.areaRng = [list(area) for area in AREAS_PX]
    run.params.areaRngLbl = ["all", *SIZES]
    run.evaluate()
    precision = np.array(run.eval["precision"])[..., -1]  # (IoUs, recalls, K, areas), -1 where there is no object
    recall = np.array(run.eval["recall"])[..., -1]  # (IoUs, K, areas)
    return CocoFigures(_or_nan(precision).mean(axis=1), _or_nan(recall).mean(axis=0))


def size_counts(what: Counted) -> Index:
    """(K, 3) number of objects to find: small, medium, large."""
    areas = what.truth_xywh[:, 2] * what.truth_xywh[:, 3]
    counts = [
        np.bincount(what.truth_label[~what.difficult & (low <= areas) & (areas <= high)], minlength=what.classes)
        for low, high in AREAS_PX[1:]
    ]
    return np.stack(counts, axis=1)


def _or_nan(values: Floats) -> Floats:
    return np.where(values < 0, np.nan, values)


def _truth(what: Counted) -> Any:
    boxes = _records(what.truth_image, what.truth_label, what.truth_xywh)
    for record, crowd in zip(boxes, what.difficult.tolist(), strict=True):
        record["iscrowd"] = int(crowd)
    return _index(what, boxes)


def _found(what: Counted) -> Any:
    boxes = _records(what.found_image, what.found_label, what.found_xywh)
    for record, score in zip(boxes, what.score.tolist(), strict=True):
        record["score"] = score
    return _index(what, boxes)  # the library's loadRes refuses an empty list


def _records(image: Index, label: Index, xywh: Floats) -> list[dict[str, Any]]:
    columns = zip(image.tolist(), label.tolist(), xywh.tolist(), strict=True)
    return [
        {"id": number, "image_id": i, "category_id": k, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, (i, k, box) in enumerate(columns, start=1)  # the library takes id 0 for no match
    ]


def _index(what: Counted, boxes: list[dict[str, Any]]) -> Any:
    from faster_coco_eval import COCO

    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(what.images)],
        "categories": [{"id": label} for label in range(what.classes)],
        "annotations": boxes,
    }
    coco.createIndex()
    return coco
