import pytest
import torch

from lcageo.detector.truth import Truth

ALL = torch.ones(3, dtype=torch.bool)


def test_objects_of_classes_that_are_not_labelled_are_left_out():
    boxes, ignored = torch.arange(12.0).reshape(3, 4), torch.rand(2, 4)
    truth = Truth(boxes, torch.tensor([0, 2, 1]), torch.tensor([True, True, False]), ignored).of_labelled_classes()
    assert truth.labels.tolist() == [0, 1]
    assert torch.equal(truth.boxes_xyxy, boxes[[0, 2]])
    assert torch.equal(truth.ignored_xyxy, ignored)


def test_no_objects_are_difficult_by_default():
    assert Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), ALL).ignored_xyxy.shape == (0, 4)


def test_all_tensors_of_a_truth_go_to_another_device():
    truth = Truth(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), ALL).to(torch.device("meta"))
    tensors = (truth.boxes_xyxy, truth.labels, truth.labelled, truth.ignored_xyxy)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize(
    "boxes, labels, labelled, message",
    [
        (torch.zeros(2, 4), torch.zeros(1, dtype=torch.int64), ALL, "do not describe one image"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.int64), ALL, "do not describe one image"),
        (torch.zeros(1, 4), torch.zeros(1), ALL, "expected int64 and bool"),
        (torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64), ALL.int(), "expected int64 and bool"),
        (torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), ALL, "floating point"),
    ],
)
def test_inconsistent_truth_is_refused(boxes, labels, labelled, message):
    with pytest.raises(ValueError, match=message):
        Truth(boxes, labels, labelled)


@pytest.mark.parametrize(
    "ignored, message",
    [
        (torch.zeros(4), r"ignored boxes are \(4,\); expected \(D, 4\)"),
        (torch.zeros(2, 3), r"ignored boxes are \(2, 3\); expected \(D, 4\)"),
        (torch.zeros(1, 4, dtype=torch.int64), "floating point"),
    ],
)
def test_malformed_ignored_boxes_are_refused(ignored, message):
    with pytest.raises(ValueError, match=message):
        Truth(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64), ALL, ignored)
