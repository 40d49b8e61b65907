"""Agreement of a model's scores with its localisation, measured in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import peaks
import rivals
from dense import Dense, DenseModel
from peaks import Peaks, find_peaks, score_and_iou

from lcageo.config import BENCHMARK
from lcageo.data.annotations import LabelledSet
from lcageo.detections import Detections
from lcageo.evaluation.images import as_truth
from lcageo.metrics.truth import Floats, counted


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Result of `measure_agreement`."""

    scores: Floats
    """(D,) scores of the boxes that suppression keeps."""
    ious: Floats
    """(D,) IoUs of these boxes with their objects."""
    figures: dict[str, Any]
    """Metrics, JSON-ready."""


def measure_agreement(
    model: DenseModel,
    labelled: LabelledSet,
    found: Sequence[Detections],
    look: Callable[[Dense, Peaks], object] = lambda dense, peaks: None,
) -> Agreement:
    """Measures the agreement of a model.

    Args:
        model: the trained model.
        labelled: the images.
        found: its detections in each image.
        look: receives the dense outputs and peaks of each image.
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
    """Concatenates the peaks of several images."""
    names = [entry.name for entry in fields(Peaks)]
    return Peaks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
