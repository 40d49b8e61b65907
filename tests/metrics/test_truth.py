from __future__ import annotations

import numpy as np
import pytest
from support.reference import found, truth

from lcageo.metrics.truth import ImageTruth, counted


def test_what_an_image_is_not_annotated_for_does_not_count() -> None:
    boxes = [[0, 0, 9, 9], [20, 20, 29, 29], [40, 40, 49, 49]]
    what = counted(3, [truth(boxes, [0, 1, 2], labelled=(0, 2))], [found(boxes, [0.9, 0.8, 0.7], [0, 1, 2])], 100)
    assert what.truth_label.tolist() == what.found_label.tolist() == [0, 2]
    assert what.labelled.tolist() == [1, 0, 1] and what.objects().tolist() == [1, 0, 1]


def test_the_best_of_each_class_count_and_equal_ones_keep_their_order() -> None:
    boxes = [[number, 0, number + 5, 5] for number in range(6)]
    detections = found(boxes, [0.5, 0.9, 0.5, 0.5, 0.1, 0.2], [0, 0, 0, 0, 1, 1])
    what = counted(2, [truth(labelled=(0, 1))], [detections], 2)
    assert what.found_xywh[:, 0].tolist() == [1, 0, 5, 4]


def test_difficult_objects_are_not_to_be_found() -> None:
    what = counted(1, [truth([[0, 0, 9, 9], [5, 5, 9, 9]], [0, 0], [True, False], (0,))], [found()], 100)
    assert what.objects().tolist() == [1] and what.difficult.tolist() == [True, False]


def test_boxes_are_given_as_coco_has_them() -> None:
    what = counted(1, [truth([[1, 2, 4, 6]], [0], labelled=(0,))], [found([[1, 2, 4, 7]], [0.5], [0])], 100)
    assert what.truth_xywh.tolist() == [[1, 2, 3, 4]] and what.found_xywh.tolist() == [[1, 2, 3, 5]]


def test_as_many_images_with_truth_as_with_detections_are_needed() -> None:
    with pytest.raises(ValueError, match="2 images have a truth, 1 have detections"):
        counted(3, [truth(), truth()], [found()], 100)


@pytest.mark.parametrize(
    ("truths", "detections"),
    [([truth([[0, 0, 9, 9]], [3])], [found()]), ([truth()], [found([[0, 0, 9, 9]], [0.5], [-1])])],
)
def test_labels_must_be_classes(truths, detections) -> None:
    with pytest.raises(ValueError, match="are not all indices of 3 classes"):
        counted(3, truths, detections, 100)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"boxes \(2, 4\), labels \(1,\) and difficult \(1,\) do not describe the same"
    ):
        ImageTruth(9, 9, np.zeros((2, 4)), np.zeros(1, np.int64), np.zeros(1, np.bool_), (0,))
