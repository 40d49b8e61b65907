"""The tables that `lcageo evaluate` prints."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from lcageo.cli import console

if TYPE_CHECKING:
    from lcageo.metrics.bootstrap import Interval, Resampled
    from lcageo.metrics.confusion import Confusion
    from lcageo.metrics.summary import ClassFigures, Evaluation


def evaluation_text(evaluation: Evaluation, resampled: Resampled | None, voc: bool) -> str:
    """The table of classes and means, figures by size with intervals, and the confusion matrix."""
    parts = [_classes(evaluation, voc), _lines(evaluation, resampled), _confusion(evaluation.confusion)]
    return "\n\n".join(parts)


def _classes(evaluation: Evaluation, voc: bool) -> str:
    """A row per class, and the means; the last four columns are at the score where F1 is highest."""
    heading = ("class", "objects", "AP50", "AP75", "AP50:95", "VOC07 AP50", "AR", "score", "precision", "recall", "F1")
    rows = [heading, *(_class(one) for one in evaluation.per_class)]
    means = (evaluation.map50, evaluation.map75, evaluation.map50_95, evaluation.voc07_map50, evaluation.ar)
    objects = sum(one.objects for one in evaluation.per_class)
    rows.append(("mean", f"{objects:,}", *map(_number, means), "", "", "", ""))
    column = heading.index("VOC07 AP50")
    return console.table(rows if voc else [row[:column] + row[column + 1 :] for row in rows])


def _class(one: ClassFigures) -> tuple[str, ...]:
    figures = (one.ap50, one.ap75, one.ap50_95, one.voc07_ap50, one.ar)
    best = (one.best.score, one.best.precision, one.best.recall, one.best.f1)
    return (one.name, f"{one.objects:,}", *map(_number, (*figures, *best)))


def _lines(evaluation: Evaluation, resampled: Resampled | None) -> str:
    sizes = "; ".join(
        f"{name} {_number(size.map50_95)}, AR {_number(size.ar)} ({size.objects:,} objects)"
        for name, size in evaluation.sizes.items()
    )
    lines = [f"mAP50:95 by size: {sizes}"]
    if resampled is not None:
        count = len(resampled.map50)
        for name, value, values in (
            ("mAP50", evaluation.map50, resampled.map50_interval),
            ("mAP75", evaluation.map75, resampled.map75_interval),
            ("mAP50:95", evaluation.map50_95, resampled.map50_95_interval),
        ):
            lines.append(f"{name} {_number(value)}, {_interval(values)} in 95 % of {count:,} resamples")
    detections = sum(one.detections for one in evaluation.per_class)
    lines.append(f"{evaluation.images:,} images, {detections:,} detections")
    return "\n".join(lines)


def _interval(interval: Interval) -> str:
    return f"{_number(interval.low)} to {_number(interval.high)}"


def _confusion(confusion: Confusion) -> str:
    """Rows: true classes; columns: classes found, as numbers, since names would not fit on a screen."""
    from lcageo.metrics.confusion import BACKGROUND

    names = [*confusion.classes, BACKGROUND]
    width = len(str(len(names)))
    rows = [("is / found as (IoU 0.5, best F1)", *(str(number) for number in range(1, len(names))), BACKGROUND)]
    for number, (name, counts) in enumerate(zip(names, confusion.counts.tolist(), strict=True), start=1):
        label = f"{number:{width}} {name}" if number < len(names) else f"{'':{width}} {name}"
        rows.append((label, *(f"{count:,}" if count else "." for count in counts)))
    return console.table(rows)


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"
