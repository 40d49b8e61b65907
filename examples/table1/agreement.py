"""Do a model's scores and places agree? Everything that is measured of it, from one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import peaks
import rivals
from dense import Dense, DenseModel
from peaks import Peaks, find_peaks, score_and_iou

from lcageo.data.annotations import LabelledSet
from lcageo.detections import Detections
from lcageo.evaluation.images import BENCHMARK, as_truth
from lcageo.metrics.truth import Floats, counted


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What was measured."""

    scores: Floats
    """(D,) of the boxes that suppression leaves."""
    ious: Floats
    """(D,) likewise."""
    figures: dict[str, Any]
    """JSON-ready."""


def measure_agreement(
    model: DenseModel,
    labelled: LabelledSet,
    found: Sequence[Detections],
    look: Callable[[Dense, Peaks], object] = lambda dense, peaks: None,
) -> Agreement:
    """Measures a model.

    Args:
        model: the trained model.
        labelled: the images.
        found: what it detects in each.
        look: sees everything of each image.
    """
    every: list[Peaks] = []

    def passing() -> Iterator[Dense]:
        for dense in model.run(labelled):
            every.append(find_peaks(dense))
            look(dense, every[-1])
            yield dense

    ranking = rivals.summary(rivals.rivals_of(passing()))
    truths = [as_truth(annotation) for annotation in labelled.annotations]
    scores, ious = score_and_iou(counted(len(model.card.classes), truths, list(found), BENCHMARK.max_per_tile))
    return Agreement(scores, ious, {**peaks.summary(scores, ious, joined(every)), **ranking})


def joined(parts: Sequence[Peaks]) -> Peaks:
    """The peaks of several images together."""
    names = [entry.name for entry in fields(Peaks)]
    return Peaks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
