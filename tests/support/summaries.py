"""Evaluations of small cases."""

from __future__ import annotations

from support.reference import Case, found, random_case, truth

from lcageo.metrics.summary import Evaluation, evaluate_detections

CLASSES = ("a", "b", "c")


def evaluate(case: Case, max_per_image: int = 100) -> Evaluation:
    return evaluate_detections(case.classes, case.truths, case.found, max_per_image)


DEGENERATE = {
    "no images": Case(CLASSES, [], []),
    "nothing found": Case(CLASSES, random_case(1).truths, [found()] * 12),
    "nothing to find": Case(CLASSES, [truth()] * 12, random_case(1).found),
    "neither": Case(CLASSES, [truth()], [found()]),
    "only difficult": Case(CLASSES, [truth([[0, 0, 9, 9]], [1], [True])], [found([[0, 0, 9, 9]], [0.5], [1])]),
    "all one score": Case(
        CLASSES,
        random_case(2).truths,
        [found(one.boxes_xyxy, [0.5] * len(one), one.labels) for one in random_case(2).found],
    ),
    "two objects overlapped alike": Case(
        CLASSES, [truth([[0, 0, 10, 10], [0, 5, 10, 15]], [0, 0])],
        [found([[0, 2.5, 10, 12.5], [0, 0, 10, 10]], [0.9, 0.8], [0, 0])],
    ),
    "an IoU of exactly one half": Case(
        CLASSES, [truth([[0, 0, 10, 10]], [0])], [found([[0, 0, 10, 5]], [0.9], [0])]
    ),
    "annotated for nothing": Case(
        CLASSES, [truth([[0, 0, 9, 9]], [0], labelled=())], [found([[0, 0, 9, 9]], [1], [0])]
    ),
}  # fmt: skip
