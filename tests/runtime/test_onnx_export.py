"""Models exported as ONNX."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from support.backends import IMAGES, LOOSE, same

from lcageo.config import Backend, Precision
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_export import export_yolo
from lcageo.runtime.predictor import load_predictor


def test_the_exported_file_gives_the_same(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "exported.onnx"
    path.write_bytes(export_yolo(card, 64))
    exported = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH, Precision.FP32).predict(IMAGES)
    assert same(load_predictor(exported, LOOSE, "cpu", Backend.ONNX).predict(IMAGES), expected)
