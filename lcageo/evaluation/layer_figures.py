"""Agreement of a layer of found objects with the truth: the figures, as JSON and as a table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from lcageo.metrics.curves import OperatingPoint
from lcageo.metrics.summary import FEW_OBJECTS
from lcageo.plural import plural
from lcageo.vector.columns import SCORE_DIGITS


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """Figures of one class, or of all classes."""

    name: str
    truth: int
    found: int
    right: int
    """True positives: found objects that are matched with a true one."""
    average_precision: float | None
    """AP at the minimum IoU; of all classes: the mean over those with true objects. None without scores."""
    best: OperatingPoint | None = None
    """Where F1 is highest, of a class with scores of which a true object is found; else None."""
    lowest: float | None = None
    """The lowest score in the layer; None without scores."""

    @property
    def precision(self) -> float:
        """Share of the found objects that are right; nan if there are none."""
        return self.right / self.found if self.found else nan

    @property
    def recall(self) -> float:
        """Share of the true objects that are found; nan if there are none."""
        return self.right / self.truth if self.truth else nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan if nothing is true or found."""
        return 2 * self.right / (self.found + self.truth) if self.found + self.truth else nan

    def as_json(self) -> dict[str, Any]:
        """All figures, JSON-ready; None where undefined."""
        shares = {name: getattr(self, name) for name in ("precision", "recall", "f1", "average_precision")}
        return {
            "class": self.name,
            "truth": self.truth,
            "found": self.found,
            "true_positives": self.right,
            "false_positives": self.found - self.right,
            "misses": self.truth - self.right,
            **{name: None if share is None or isnan(share) else share for name, share in shares.items()},
            "best_score": None if self.best is None else self.best.score,
            "best_f1": None if self.best is None else self.best.f1,
        }

    def row(self) -> tuple[str, ...]:
        """The figures as one row of a table."""
        counts = (self.truth, self.found, self.right, self.found - self.right, self.truth - self.right)
        shares = (self.precision, self.recall, self.f1, self.average_precision)
        return (
            self.name,
            *(f"{count:,}" for count in counts),
            *("-" if share is None or isnan(share) else f"{share:.3f}" for share in shares),
        )


@dataclass(frozen=True, slots=True)
class LayerEvaluation:
    """Evaluation of a layer of found objects against the truth."""

    layer: str
    """Name of the layer of found objects, as it may be told."""
    truth: str
    iou: float
    """Minimum IoU of a match."""
    crs: str | None
    """CRS in which overlaps were measured; None: the layers' own coordinates, which have no CRS."""
    per_class: tuple[LayerFigures, ...]
    """Figures by class name; classes that were only found come last."""
    overall: LayerFigures
    warnings: tuple[str, ...]
    """Warnings to read before trusting the figures."""
    own_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the layer of found objects calls each class; empty where objects are matched regardless of class."""
    class_field: str | None = None
    """Its attribute that holds them, if the user named it."""

    def as_json(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "layer": self.layer,
            "truth": self.truth,
            "iou": self.iou,
            "crs": self.crs,
            "classes": [figures.as_json() for figures in self.per_class],
            "overall": self.overall.as_json(),
            "warnings": list(self.warnings),
        }

    def best_thresholds(self) -> list[str]:
        """Lines that say which minimum score gives the best F1 of each class, and how to apply it."""
        lines, limits = [], []
        for one in self.per_class:
            if one.best is None:
                continue
            point, limit = one.best, round(one.best.score, SCORE_DIGITS)
            # A comma separates names in the option.
            limits += [f"{name}={limit:g}" for name in self.own_classes.get(one.name, ()) if "," not in name]
            below = one.lowest is not None and point.score <= one.lowest and point.recall < 1
            lines.append(
                f"best threshold of {one.name}: {limit:g}, with F1 {point.f1:.3f}, "
                f"precision {point.precision:.3f}, recall {point.recall:.3f}"
                + (": its lowest score; a lower one may be better (detect --keep 0.05)" if below else "")
                + (f"; measured on only {plural(one.truth, 'object')}" if one.truth < FEW_OBJECTS else "")
            )
        options = ["--per-class", ",".join(limits)] if limits else []
        if lines and not self.own_classes:
            options = ["--score", f"{limit:g}"]
        if options:
            named = [] if self.class_field is None else ["--class-field", self.class_field]
            lines.append(f"to apply: {shlex.join(['lcageo', 'filter', self.layer, 'OUT.gpkg', *options, *named])}")
        return lines

    def table(self) -> list[tuple[str, ...]]:
        """A header, a row for each class, and one for all."""
        counts = ("truth", "found", "true positives", "false positives", "misses")
        heading = ("class", *counts, "precision", "recall", "F1", f"AP{100 * self.iou:g}")
        return [heading, *(figures.row() for figures in self.per_class), self.overall.row()]
