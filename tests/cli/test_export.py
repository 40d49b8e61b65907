from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.commands import Run

from lcageo.config import Backend, DetectConfig
from lcageo.detections import Detections
from lcageo.nms import nms
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (1, 3, 256, 256), dtype=np.uint8)


def test_another_program_finds_with_the_exported_file_what_we_find(
    run: Run, untrained: Path, tmp_path: Path, image: np.ndarray
) -> None:
    outcome = run("export", untrained, "-o", "model.onnx")
    assert outcome.code == 0 and outcome.out.strip() == "model.onnx"
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    assert only.type == "tensor(float)" and only.shape == [1, 3, 256, 256]
    (output,) = session.run(None, {only.name: (image / 255).astype(np.float32)})
    card = find_card(str(untrained))
    assert output.shape[:2] == (1, 4 + len(card.classes))
    centre, size, scores = output[0, :2].T, output[0, 2:4].T, output[0, 4:].T
    boxes = np.hstack([centre - size / 2, centre + size / 2])
    places, labels = np.nonzero((scores > 0.02) & (size > 0).all(axis=1)[:, None])
    theirs = Detections(boxes[places], scores[places, labels], labels)
    theirs = theirs.selected(nms(theirs, DetectConfig.DEFAULT_IOU))
    (ours,) = load_predictor(card, DetectConfig(score=0.02, max_per_tile=10_000), "cpu", Backend.TORCH).predict(image)
    assert len(theirs) == len(ours) > 0
    assert np.abs(theirs.scores - ours.scores).max() < 1e-4
    assert np.abs(theirs.boxes_xyxy - ours.boxes_xyxy).max() < 0.1
    metadata = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert metadata["model_type"] == "Detector" and metadata["det_type"] == "YOLO_v9"
    assert metadata["class_names"]["9"] == "vehicle" and metadata["tile_size"] == metadata["tiles_size"] == 256
    assert metadata["tiles_overlap"] == 50.0 and metadata["standardization_std"] == [1.0, 1.0, 1.0]
    assert 0 < metadata["det_conf"] < 1 and metadata["resolution"] == pytest.approx(44.7)


def test_an_existing_file_and_another_format_are_refused(run: Run, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    refused = run("export", untrained, "-o", "model.onnx")
    assert refused.code == 1 and "--overwrite" in refused.err
    assert (tmp_path / "model.onnx").read_text() == "mine"
    assert run("export", untrained, "-o", "model.pt").code == 2
    assert run("export", "no-such-model", "-o", "other.onnx").code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_descriptions_are_written_beside_the_file_and_not_replaced_unasked(
    run: Run, untrained: Path, tmp_path: Path
) -> None:
    outcome = run("export", untrained, "-o", "a.onnx", "--formats", "emd, stac")
    assert outcome.code == 0, outcome.err
    made = ["a.onnx", "a.emd", "LcaObjectDetector.py", "a.stac.json"]
    assert outcome.out.split() == made and sorted(path.name for path in tmp_path.iterdir()) == sorted(made)
    (tmp_path / "a.onnx").unlink()
    refused = run("export", untrained, "-o", "a.onnx", "--formats", "stac")
    assert refused.code == 1 and "'a.stac.json' exists" in refused.err and "--overwrite" in refused.err
    assert run("export", untrained, "-o", "b.onnx", "--formats", "emd").code == 0  # shares the function
    unknown = run("export", untrained, "-o", "c.onnx", "--formats", "stac,coreml")
    assert unknown.code == 2 and "--formats 'coreml' is not a known format; choose from stac, emd" in unknown.err
    assert run("export", untrained, "-o", "nowhere/d.onnx").code == 1 and not (tmp_path / "c.onnx").exists()
