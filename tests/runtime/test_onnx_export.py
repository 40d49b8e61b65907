"""Exported graphs, run by ONNX Runtime and compared with torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_export import OPSET, Detector, YoloDetector, export_structure, exported, yolo_metadata
from lcageo.runtime.onnx_structure import filled

IMAGES = np.random.default_rng(0).integers(0, 255, (2, 3, 256, 256), dtype=np.uint8)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def run(graph: bytes, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})


def test_the_structure_filled_with_the_weights_gives_the_scores_and_boxes_of_torch(card: ModelCard) -> None:
    graph = filled(export_structure(card), card, card.read_weights())
    assert [one.version for one in onnx.load_from_string(graph).opset_import if one.domain == ""] == [OPSET]
    scores, boxes = run(graph, IMAGES[:1])
    with torch.inference_mode():
        expected_scores, expected_boxes = Detector(card)(torch.from_numpy(IMAGES[:1]))
    assert scores.shape[-1] == len(card.classes) and boxes.shape == (*scores.shape[:2], 4)
    assert np.abs(scores - expected_scores.numpy()).max() < 1e-4
    assert np.abs(boxes - expected_boxes.numpy()).max() < 0.1


def test_the_layout_of_yolo_is_centres_sides_and_scores_of_the_same_boxes(card: ModelCard) -> None:
    pixels = torch.from_numpy(IMAGES)
    with torch.inference_mode():
        scores, boxes = (one.numpy() for one in Detector(card)(pixels))
        found = YoloDetector(card)(pixels / 255).numpy()
    assert found.shape == (2, 4 + len(card.classes), scores.shape[1])
    for image in range(2):
        for place in range(0, scores.shape[1], 97):
            x, y, width, height, *rest = found[image, :, place].tolist()
            corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            assert corners == pytest.approx(boxes[image, place].tolist(), abs=0.05)
            assert rest == pytest.approx(scores[image, place].tolist(), abs=1e-4)


def test_metadata_of_known_settings(card: ModelCard) -> None:
    thresholds = dict.fromkeys(card.classes, 0.2) | {"ship": 0.9, "vehicle": 0.7}
    about = yolo_metadata(replace(card, gsd_m=(0.5, 2.0), thresholds=thresholds), 64)
    assert about["resolution"] == 100.0  # cm, the geometric mean
    assert about["tiles_overlap"] == 25.0 and about["tile_size"] == 256
    assert about["det_conf"] == 0.2  # the median
    assert list(about["class_names"].values()) == list(card.classes)


DEEPNESS = {
    "model_type": str, "class_names": dict, "resolution": float, "tiles_size": int, "tiles_overlap": float,
    "det_conf": float, "det_iou_thresh": float, "det_type": str, "det_remove_overlap": bool,
}  # fmt: skip
"""What Deepness's documentation ("Adding metadata to ONNX model") lists for a detector, with the types."""


def test_the_metadata_has_all_that_deepness_documents(card: ModelCard) -> None:
    about = yolo_metadata(card, 64)
    assert {name: type(about[name]) for name in DEEPNESS} == DEEPNESS
    numbers = sorted(map(int, about["class_names"]))  # it requires consecutive numbers from 0
    assert numbers == list(range(len(card.classes)))
    assert 0 < about["det_conf"] < 1 and 0 < about["det_iou_thresh"] < 1 and 0 <= about["tiles_overlap"] < 100


class Halves(nn.Module):
    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        return pair[:, :1] * 2, pair[:, 1:] + 1


def test_any_module_is_exported_under_the_given_names() -> None:
    model = exported(Halves(), torch.zeros(1, 2), "pair", ("twice", "more"))
    assert [one.name for one in model.graph.input] == ["pair"]
    assert [one.name for one in model.graph.output] == ["twice", "more"]
    twice, more = run(model.SerializeToString(), np.array([[3.0, 4.0]], np.float32))
    assert (twice.item(), more.item()) == (6.0, 5.0)
