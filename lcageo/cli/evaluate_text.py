"""The tables that `lcageo evaluate` prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from lcageo.cli import console
from lcageo.plural import plural

if TYPE_CHECKING:
    from lcageo.evaluation.sets import SetFigures
    from lcageo.metrics.bootstrap import Interval, Resampled
    from lcageo.metrics.confusion import Confusion
    from lcageo.metrics.summary import ClassFigures, Evaluation


def figures_text(whole: SetFigures, sets: Sequence[SetFigures], resampled: Resampled | None, voc: bool) -> str:
    """Tables of the sets, of classes and means, and of lengths; lines of figures; and the confusion matrix.

    Args:
        whole: figures of all sets together.
        sets: figures of each.
        resampled: of all sets together.
        voc: whether to add VOC 2007's average precision.
    """
    evaluation = whole.evaluation
    parts = [_sets(sets)] if len(sets) > 1 else []
    parts += [_classes(evaluation, voc), _lengths(whole), _lines(whole, resampled), _confusion(evaluation.confusion)]
    return "\n\n".join(parts)


def _sets(sets: Sequence[SetFigures]) -> str:
    """A row per set: means, the AP50 of each class, and false objects on images without objects."""
    classes = [one.name for one in sets[0].evaluation.per_class]
    rows = [("set", "images", "objects", "mAP50", "mAP75", "mAP50:95", "false/Mpx", *classes)]
    for one, name in zip(sets, _short([one.name for one in sets]), strict=True):
        evaluation = one.evaluation
        objects = sum(part.objects for part in evaluation.per_class)
        means = evaluation.map50, evaluation.map75, evaluation.map50_95, one.empty.per_megapixel
        of_classes = (part.ap50 for part in evaluation.per_class)
        rows.append((name, f"{evaluation.images:,}", f"{objects:,}", *map(_number, (*means, *of_classes))))
    return console.table(rows)


def _short(names: Sequence[str]) -> list[str]:
    """Names of sets without the folders that all of them share."""
    parts = [Path(name).parts for name in names]
    folders = zip(*(path[:-1] for path in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda folder: len(set(folder)) == 1, folders))
    return [str(Path(*path[shared:])) for path in parts]


def _lengths(whole: SetFigures) -> str:
    """A row per class and, per length, AP50 with the number of objects."""
    from lcageo.metrics.lengths import length_names

    rows = [("AP50 by longer side (pixels)", *length_names())]
    for one, ap50, objects in zip(
        whole.evaluation.per_class, whole.lengths.ap50.tolist(), whole.lengths.objects.tolist(), strict=True
    ):
        cells = (f"{_number(ap)} ({n:,})" if n else "-" for ap, n in zip(ap50, objects, strict=True))
        rows.append((one.name, *cells))
    return console.table(rows)


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


def _lines(whole: SetFigures, resampled: Resampled | None) -> str:
    evaluation, empty = whole.evaluation, whole.empty
    sizes = "; ".join(
        f"{name} {_number(size.map50_95)}, AR {_number(size.ar)} ({plural(size.objects, 'object')})"
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
    if empty.images:
        lines.append(
            f"{plural(empty.images, 'image')} without objects, {empty.megapixels:.1f} megapixels: "
            f"{plural(empty.false, 'false object')} above the model's thresholds, {empty.per_megapixel:.2f} per "
            "megapixel"
        )
    detections = sum(one.detections for one in evaluation.per_class)
    lines.append(f"{plural(evaluation.images, 'image')}, {plural(detections, 'detection')}")
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
