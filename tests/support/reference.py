"""Random labelled detections, and their metrics by pycocotools as a reference for ours."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lcageo.detections import Detections
from lcageo.metrics.truth import ImageTruth

SIDE = 400


@dataclass(frozen=True)
class Case:
    """A labelled set and its detections."""

    classes: tuple[str, ...]
    truths: list[ImageTruth]
    found: list[Detections]


def truth(
    boxes: Sequence[Sequence[float]] = (),
    labels: Sequence[int] = (),
    difficult: Sequence[bool] | None = None,
    labelled: Sequence[int] = (0, 1, 2),
) -> ImageTruth:
    return ImageTruth(
        SIDE,
        SIDE,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array([False] * len(labels) if difficult is None else difficult, np.bool_),
        tuple(labelled),
    )


def found(
    boxes: Sequence[Sequence[float]] = (), scores: Sequence[float] = (), labels: Sequence[int] = ()
) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64)
    )


def random_case(
    seed: int,
    images: int = 12,
    classes: int = 3,
    difficult: float = 0.0,
    ties: bool = False,
    partial: bool = False,
    objects: int = 8,
) -> Case:
    """Objects of all sizes; detections near some of them, of the right class or not, and others anywhere.

    Coordinates are integers, so that overlaps of exactly 0.5 or 0.75 and equal overlaps occur.
    """
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(images):
        labelled = sorted(rng.permutation(classes)[: int(rng.integers(1, classes + 1))].tolist())
        labelled = labelled if partial else list(range(classes))
        count = int(rng.integers(0, objects + 1))
        boxes, labels = _boxes(rng, count), rng.choice(labelled, count).astype(np.int64)
        truths.append(ImageTruth(SIDE, SIDE, boxes, labels, rng.random(count) < difficult, tuple(labelled)))
        detections.append(_detections(rng, boxes, labels, classes, ties))
    return Case(tuple(f"class {label}" for label in range(classes)), truths, detections)


def _boxes(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    corner = rng.integers(0, SIDE - 160, (count, 2))
    side = np.round(np.exp(rng.uniform(np.log(4), np.log(150), (count, 2))))
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def _detections(
    rng: np.random.Generator, boxes: NDArray[np.float32], labels: NDArray[np.int64], classes: int, ties: bool
) -> Detections:
    repeats = rng.integers(0, 4, len(boxes))
    near = np.repeat(boxes, repeats, axis=0)
    side = np.repeat(near[:, 2:] - near[:, :2], 2, axis=0).reshape(-1, 4)
    near = near + np.round(rng.normal(0, 0.12, near.shape) * side)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    near_labels = np.repeat(labels, repeats)
    wrong = rng.random(len(near)) < 0.15
    near_labels[wrong] = rng.integers(0, classes, int(wrong.sum()))
    stray = int(rng.integers(0, 6))
    all_boxes = np.concatenate([near, _boxes(rng, stray)]).astype(np.float32)
    scores = rng.random(len(all_boxes))
    return Detections(
        all_boxes,
        (np.ceil(scores * 5) / 5 if ties else scores).astype(np.float32),
        np.concatenate([near_labels, rng.integers(0, classes, stray)]).astype(np.int64),
    )


def pycocotools_run(case: Case, max_per_image: int = 100) -> COCOeval:
    """An evaluated and accumulated run of pycocotools on the same boxes, with COCO's own parameters.

    Classes that are not annotated are removed beforehand: COCO has no partial labels.
    """
    objects, results = [], []
    for image, (one, detections) in enumerate(zip(case.truths, case.found, strict=True)):
        for box, label, crowd in zip(one.boxes_xyxy.tolist(), one.labels.tolist(), one.difficult.tolist(), strict=True):
            if label in one.labelled_classes:
                objects.append(_record(objects, image, label, box) | {"iscrowd": int(crowd)})
        for box, label, score in zip(
            detections.boxes_xyxy.tolist(), detections.labels.tolist(), detections.scores.tolist(), strict=True
        ):
            if label in one.labelled_classes:
                results.append(_record(results, image, label, box) | {"score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(_coco(case, objects), _coco(case, results), "bbox")
        run.params.maxDets = [1, max_per_image]
        run.evaluate()
        run.accumulate()
    return run


def means(run: COCOeval) -> dict[str, float]:
    """The metrics that pycocotools would print, by our names; NaN where it prints -1."""
    precision, recall = run.eval["precision"][..., -1], run.eval["recall"][..., -1]
    figures = {
        "mAP50": precision[0, :, :, 0],
        "mAP75": precision[5, :, :, 0],
        "mAP50_95": precision[..., 0],
        "AR": recall[..., 0],
    }
    for place, size in enumerate(("small", "medium", "large"), start=1):
        figures |= {f"mAP50_95 {size}": precision[..., place], f"AR {size}": recall[..., place]}
    return {name: _mean(values) for name, values in figures.items()}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values[values > -1].mean()) if (values > -1).any() else float("nan")


def _record(records: list[Any], image: int, label: int, box: list[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    size = (x2 - x1, y2 - y1)
    return {
        "id": len(records) + 1, "image_id": image, "category_id": label, "bbox": [x1, y1, *size],
        "area": size[0] * size[1], "iscrowd": 0,
    }  # fmt: skip


def _coco(case: Case, records: list[Any]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(case.truths))],
        "categories": [{"id": label} for label in range(len(case.classes))],
        "annotations": records,
    }
    coco.createIndex()
    return coco
