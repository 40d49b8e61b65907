"""ONNX Runtime on a CPU."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from support.twins import same

from lcageo.config import Backend, DetectConfig
from lcageo.detections import Detections
from lcageo.errors import DeviceError, DeviceMemoryError
from lcageo.nms import nms
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_export import export_yolo
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 3, 256, 256), dtype=np.uint8)
LOOSE = DetectConfig(score=0.02)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def test_the_exported_file_gives_the_best_class_of_each_location(card: ModelCard, tmp_path: Path) -> None:
    """Our own boxes may have several classes; those of other programs, which read that file, have one."""
    path = tmp_path / "exported.onnx"
    path.write_bytes(export_yolo(card, 64))
    session = onnxruntime.InferenceSession(onnx_graph(card), providers=["CPUExecutionProvider"])
    exported = replace(LOOSE, max_per_tile=100_000)
    for image, found in zip(IMAGES, load_predictor(find_card(str(path)), exported, "cpu").predict(IMAGES), strict=True):
        scores, boxes = session.run(("scores", "boxes"), {"images": image[None]})
        best = scores[0].argmax(axis=1)
        every = Detections(boxes[0].clip(0, 256), scores[0].max(axis=1), best)
        has_area = (every.boxes_xyxy[:, 2:] > every.boxes_xyxy[:, :2]).all(axis=1)
        every = every.selected(has_area & (every.scores > 0.02))
        assert same([found], [every.selected(nms(every, DetectConfig.DEFAULT_IOU))])


def test_scores_and_boxes_are_those_of_the_graph_above_the_threshold(card: ModelCard) -> None:
    session = onnxruntime.InferenceSession(onnx_graph(card), providers=["CPUExecutionProvider"])
    scores, boxes = session.run(("scores", "boxes"), {"images": IMAGES[:1]})
    (found,) = load_predictor(card, LOOSE, "cpu", Backend.ONNX).predict(IMAGES[:1])
    assert len(found) > 0 and found.scores[0] == pytest.approx(scores.max(), abs=1e-6)
    apart = np.abs(found.boxes_xyxy[:, None] - boxes[0].clip(0, 256)[None]).max(axis=-1)
    assert apart.min(axis=1).max() < 1e-3


def test_a_file_that_is_no_graph_is_refused_with_a_remedy(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    broken = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(
        DeviceError, match=r"ONNX Runtime cannot run model 'untrained': .*; try --backend onnx or openvino"
    ):
        load_predictor(broken, LOOSE, "cpu", Backend.ONNX)


def test_a_graph_that_fails_when_it_runs_is_refused_too(card: ModelCard, tmp_path: Path) -> None:
    graph = onnx.load_from_string(onnx_graph(card))
    graph.graph.output[0].name, graph.graph.output[1].name = "no scores", "no boxes"
    for node in graph.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = {"scores": "no scores", "boxes": "no boxes"}.get(name, name)
    path = tmp_path / "renamed.onnx"
    path.write_bytes(graph.SerializeToString())
    other = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(DeviceError, match=r"cannot run model 'untrained': .*; try --backend onnx or openvino"):
        load_predictor(other, LOOSE, "cpu", Backend.ONNX)


def test_another_backend_runs_what_this_one_cannot(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_package", lambda backend: backend is not Backend.OPENVINO)
    monkeypatch.setattr("lcageo.runtime.cpu_backend.onnx_graph", lambda card: b"not a graph")
    assert load_predictor(card, LOOSE, "cpu").engine.backend is Backend.TORCH


def test_lack_of_memory_is_told_as_such(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load_predictor(card, LOOSE, "cpu", Backend.ONNX)

    def fails(*_: object) -> None:
        raise RuntimeException("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory")

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", fails)
    with pytest.raises(DeviceMemoryError, match="not enough memory on cpu for a tile"):
        predictor.predict(IMAGES[:1])


def test_a_missing_package_names_the_extra(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"--backend onnx .*pip install .lcageo\[onnx\]"):
        load_predictor(card, LOOSE, "cpu", Backend.ONNX)
