"""Summary of a model's detections in a set of images: all metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lcageo.detections import Detections
from lcageo.metrics.bootstrap import Resampled, resample
from lcageo.metrics.coco import SIZES, CocoFigures, coco_figures, size_counts
from lcageo.metrics.confusion import BACKGROUND, Confusion, confusion
from lcageo.metrics.curves import COCO_RECALLS, Curve, OperatingPoint
from lcageo.metrics.match import IOU_75, Matches, match
from lcageo.metrics.truth import Counted, Floats, ImageTruth, counted

FEW_OBJECTS = 50
"""Objects below which a threshold is drawn towards a default.

Cards made from 2 to 4 validation objects had thresholds of 0.13, 0.16, 0.52 and 0.71 after four runs of one kind.
"""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one class; nan where there is nothing to measure."""

    name: str
    images: int
    """Number of images annotated for it."""
    objects: int
    """Number of objects to find."""
    detections: int
    """Number of detections that count."""
    ap50: float
    ap75: float
    ap50_95: float
    voc07_ap50: float
    """The 11-point average precision that DIOR papers report; matched as COCO does."""
    ar: float
    """Share of the objects found at any score, averaged over IoU 0.5 to 0.95."""
    best: OperatingPoint
    """Operating point of maximum F1, at IoU 0.5."""
    curve: Curve = field(repr=False)
    """Precision and recall at IoU 0.5."""


@dataclass(frozen=True, slots=True)
class SizeFigures:
    """Figures of the objects of one size."""

    objects: int
    map50_95: float
    ar: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of the detections in a set of images. Means are over the classes with at least one object."""

    images: int
    map50: float
    map75: float
    map50_95: float
    voc07_map50: float
    ar: float
    per_class: tuple[ClassFigures, ...]
    """Figures of each class, in the order of the classes."""
    sizes: dict[str, SizeFigures]
    """small (up to 32 x 32 pixels of the original image), medium, large (from 96 x 96)."""
    confusion: Confusion
    max_per_image: int
    """Maximum number of detections that count per class and image, best first."""
    matches: Matches = field(repr=False)
    """The match of every detection, for resampling and for comparing models."""

    def thresholds(self, default: float, few: int = FEW_OBJECTS) -> dict[str, float]:
        """Score thresholds per class for the model card: they keep everything down to the score of the best F1.

        The best score of few objects is a matter of chance, so it counts in proportion to their number, and the default
        makes up the rest. A predictor keeps what scores *more* than its threshold, hence the next lower float32.
        Classes without objects, or of which none was found, are left out.

        Args:
            default: the threshold of a class without any objects.
            few: number of objects from which on they alone decide.
        """
        found = [one for one in self.per_class if not math.isnan(one.best.score)]
        shares = {one.name: min(1.0, one.objects / few) for one in found}
        return {
            one.name: float(
                np.nextafter(
                    np.float32(shares[one.name] * one.best.score + (1 - shares[one.name]) * default), np.float32(0)
                )
            )
            for one in found
        }

    def few_objects(self, few: int = FEW_OBJECTS) -> dict[str, int]:
        """Number of objects of each class that has some, but too few to decide its threshold alone."""
        return {one.name: one.objects for one in self.per_class if 0 < one.objects < few}

    def resampled(self, resamples: int = 1000, seed: int = 0) -> Resampled:
        """Bootstraps the means: how they would vary on other images of the same kind."""
        return resample(self.matches, resamples, seed)

    def as_json(self) -> dict[str, Any]:
        """Everything, JSON-ready; None where there is nothing to measure."""
        named: dict[str, Any] = {
            "mAP50": self.map50,
            "mAP75": self.map75,
            "mAP50_95": self.map50_95,
            "VOC07_mAP50": self.voc07_map50,
            "AR": self.ar,
            "sizes": {
                name: {"objects": size.objects, "mAP50_95": size.map50_95, "AR": size.ar}
                for name, size in self.sizes.items()
            },
            "per_class": {one.name: _class_as_json(one) for one in self.per_class},
            "confusion": {
                "classes": [*self.confusion.classes, BACKGROUND],
                "found_as": self.confusion.counts.tolist(),
            },
            "curves": {
                one.name: one.curve.precision_at(COCO_RECALLS).tolist() for one in self.per_class if one.objects
            },
            "images": self.images,
            "objects": sum(one.objects for one in self.per_class),
            "detections": sum(one.detections for one in self.per_class),
            "max_per_image": self.max_per_image,
        }
        return {name: _without_nan(value) for name, value in named.items()}


def evaluate_detections(
    classes: Sequence[str], truths: Sequence[ImageTruth], found: Sequence[Detections], max_per_image: int = 100
) -> Evaluation:
    """Evaluates detections against the ground truth, as COCO does.

    Args:
        classes: names of the labels.
        truths: ground truth, one per image.
        found: detections, one per image; pixels as in the truth.
        max_per_image: maximum number of detections that count per class and image (COCO's maxDets).

    Raises:
        ValueError: if truths and detections differ in number, or a label is outside the classes.
    """
    what = counted(len(classes), truths, found, max_per_image)
    matches = match(what)
    figures = coco_figures(what, max_per_image)
    per_class = _per_class(classes, what, matches, figures)
    return Evaluation(
        images=what.images,
        map50=_mean(figures.ap[0, :, 0]),
        map75=_mean(figures.ap[IOU_75, :, 0]),
        map50_95=_mean(figures.ap[:, :, 0].mean(axis=0)),
        voc07_map50=_mean(np.array([one.voc07_ap50 for one in per_class])),
        ar=_mean(figures.ar[:, 0]),
        per_class=per_class,
        sizes=_sizes(what, figures),
        confusion=confusion(matches, classes, [one.best.score for one in per_class]),
        max_per_image=max_per_image,
        matches=matches,
    )


def _per_class(
    classes: Sequence[str], what: Counted, matches: Matches, figures: CocoFigures
) -> tuple[ClassFigures, ...]:
    objects, detections = what.objects(), np.bincount(what.found_label, minlength=len(classes))
    curves = [matches.curve(label) for label in range(len(classes))]
    return tuple(
        ClassFigures(
            name=name,
            images=int(what.labelled[label]),
            objects=int(objects[label]),
            detections=int(detections[label]),
            ap50=float(figures.ap[0, label, 0]),
            ap75=float(figures.ap[IOU_75, label, 0]),
            ap50_95=float(figures.ap[:, label, 0].mean()),
            voc07_ap50=curves[label].voc07_average_precision(),
            ar=float(figures.ar[label, 0]),
            best=curves[label].best_f1(),
            curve=curves[label],
        )
        for label, name in enumerate(classes)
    )


def _sizes(what: Counted, figures: CocoFigures) -> dict[str, SizeFigures]:
    counts = size_counts(what).sum(axis=0).tolist()
    return {
        name: SizeFigures(
            objects=counts[index],
            map50_95=_mean(figures.ap[:, :, index + 1].mean(axis=0)),
            ar=_mean(figures.ar[:, index + 1]),
        )
        for index, name in enumerate(SIZES)
    }


def _class_as_json(one: ClassFigures) -> dict[str, Any]:
    return {
        "AP50": one.ap50,
        "AP75": one.ap75,
        "AP50_95": one.ap50_95,
        "VOC07_AP50": one.voc07_ap50,
        "AR": one.ar,
        "score": one.best.score,
        "precision": one.best.precision,
        "recall": one.best.recall,
        "F1": one.best.f1,
        "images": one.images,
        "objects": one.objects,
        "detections": one.detections,
    }


def _mean(values: Floats) -> float:
    """Mean of the values that are not nan; nan if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
