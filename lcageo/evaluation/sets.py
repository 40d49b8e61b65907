"""A model on several labelled sets: figures of each set and of all together, by class and by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lcageo.data.annotations import LabelledSet
from lcageo.detections import Detections
from lcageo.evaluation.images import as_truth, evaluate_found
from lcageo.metrics.lengths import EmptyFigures, LengthFigures, empty_figures, length_figures, length_names
from lcageo.metrics.summary import Evaluation
from lcageo.runtime.catalog import ModelCard


@dataclass(frozen=True, slots=True)
class SetFigures:
    """All figures of a model on one labelled set, or on several together."""

    name: str
    evaluation: Evaluation
    lengths: LengthFigures
    """At the thresholds of the model's card."""
    empty: EmptyFigures
    """At the thresholds of the model's card."""

    def as_json(self) -> dict[str, Any]:
        """Everything, JSON-ready; None where there is nothing to measure."""
        names = [one.name for one in self.evaluation.per_class]
        empty = self.empty
        return {
            **self.evaluation.as_json(),
            "lengths_px": {
                name: {
                    length: {
                        "objects": int(self.lengths.objects[label, index]),
                        "AP50": float(self.lengths.ap50[label, index]),
                        "found": int(self.lengths.found[label, index]),
                        "false": int(self.lengths.false[label, index]),
                    }
                    for index, length in enumerate(length_names())
                    if self.lengths.objects[label, index]
                }
                for label, name in enumerate(names)
            },
            "images_of_nothing": {
                "images": empty.images,
                "megapixels": empty.megapixels,
                "false": empty.false,
                "images_with_false": empty.images_with_false,
                "false_per_megapixel": empty.per_megapixel if empty.images else None,
            },
        }


def set_figures(labelled: LabelledSet, found: Sequence[Detections], card: ModelCard, max_per_image: int) -> SetFigures:
    """Figures of the detections in one set.

    Args:
        labelled: the images, read with the model's classes.
        found: detections in each of them.
        card: the model's, for its thresholds.
        max_per_image: as in evaluate_found.
    """
    evaluation = evaluate_found(labelled, found, max_per_image=max_per_image)
    thresholds = {name: card.threshold(name) for name in labelled.classes}
    truths = [as_truth(annotation) for annotation in labelled.annotations]
    return SetFigures(
        labelled.name,
        evaluation,
        length_figures(evaluation.matches, np.array(list(thresholds.values()))),
        empty_figures(labelled.classes, truths, found, thresholds),
    )


def together(
    measured: Sequence[tuple[LabelledSet, Sequence[Detections]]],
) -> tuple[LabelledSet, list[Detections]]:
    """Several sets with the same classes as one, with the detections in each image."""
    first, *_ = (labelled for labelled, _ in measured)
    annotations = tuple(annotation for labelled, _ in measured for annotation in labelled.annotations)
    name = " + ".join(labelled.name for labelled, _ in measured)
    return LabelledSet(name, first.classes, annotations), [one for _, found in measured for one in found]
