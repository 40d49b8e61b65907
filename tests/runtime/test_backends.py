"""Every backend finds what torch finds; which one is used, and what it refuses."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.untrained import make_untrained_model

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.detections import Detections
from lcageo.errors import DeviceError, ModelError, UsageError
from lcageo.network_config import Preset
from lcageo.runtime import machine, onnx_graph
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_export import export_yolo
from lcageo.runtime.predictor import load_predictor

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 3, 256, 256), dtype=np.uint8)
LOOSE = DetectConfig(score=0.02)
OTHERS = [Backend.OPENVINO, Backend.ONNX]


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def same(first: list[Detections], second: list[Detections], score: float = 1e-4, pixels: float = 0.1) -> bool:
    """Whether each box has its twin: scores that differ by the last bit may change order."""
    for one, other in zip(first, second, strict=True):
        assert len(one) == len(other) > 0
        apart = np.abs(one.boxes_xyxy[:, None] - other.boxes_xyxy[None]).max(axis=-1)
        scores = np.abs(one.scores[:, None] - other.scores[None])
        twins = (apart < pixels) & (scores < score) & (one.labels[:, None] == other.labels)
        if not (twins.any(axis=0).all() and twins.any(axis=1).all()):
            return False
    return True


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("preset", [Preset.LCA, Preset.RETINANET, Preset.FCOS, Preset.LCA_BASELINE])
def test_a_backend_finds_what_torch_finds(preset: Preset, backend: Backend, tmp_path: Path) -> None:
    card = find_card(str(make_untrained_model(tmp_path, tile_size=128, preset=preset)))
    images = IMAGES[:2, :, :128, :128]
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(images)
    found = load_predictor(card, LOOSE, "cpu", backend)
    assert found.engine == Engine(backend, Precision.FP32, "cpu")
    assert same(expected, found.predict(images))


@pytest.mark.parametrize("backend", OTHERS)
def test_a_tile_gives_the_same_bits_alone_and_in_a_batch_and_from_several_threads(
    card: ModelCard, backend: Backend
) -> None:
    predictor = load_predictor(card, LOOSE, "cpu", backend)
    assert predictor.tile_by_tile
    alone = [predictor.predict(image[None])[0] for image in IMAGES]
    with ThreadPoolExecutor(2) as threads:
        for together in threads.map(predictor.predict, [IMAGES] * 4):
            for one, other in zip(alone, together, strict=True):
                assert (one.boxes_xyxy == other.boxes_xyxy).all() and (one.scores == other.scores).all()


@pytest.mark.parametrize("backend", OTHERS)
def test_smaller_tiles_than_the_card_says_are_run_too(card: ModelCard, backend: Backend) -> None:
    part = IMAGES[:1, :, :128, :128]
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(part)
    assert same(expected, load_predictor(card, LOOSE, "cpu", backend).predict(part))


def test_auto_takes_the_first_that_is_installed_and_works(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_predictor(card, LOOSE, "cpu").engine.backend is Backend.OPENVINO
    monkeypatch.setitem(machine.PACKAGE, Backend.OPENVINO, "no_such_package")
    assert load_predictor(card, LOOSE, "cpu").engine.backend is Backend.ONNX
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # installed, but its import fails
    assert load_predictor(card, LOOSE, "cpu").engine.backend is Backend.TORCH


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (Engine(Backend.OPENVINO, Precision.AUTO, "cuda"), UsageError, "runs on a CPU, not on 'cuda'"),
        (Engine(Backend.ONNX, Precision.BF16, "cpu"), DeviceError, "computes in fp32"),
        (Engine(Backend.OPENVINO, Precision.FP16, "cpu"), DeviceError, "has no fast fp16"),
        (Engine(Backend.TORCH, Precision.FP16, "cpu"), DeviceError, "no fast float16"),
    ],
)
def test_what_cannot_be_combined_is_refused(
    card: ModelCard, asked: Engine, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_predictor(card, LOOSE, asked.device, asked.backend, asked.precision)


def test_bfloat16_of_torch_is_near_float32(card: ModelCard) -> None:
    exact = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(IMAGES[:1])[0]
    coarse = load_predictor(card, LOOSE, "cpu", Backend.TORCH, Precision.BF16)
    assert coarse.engine.precision is Precision.BF16
    found = coarse.predict(IMAGES[:1])[0]
    assert found.scores.max() == pytest.approx(exact.scores.max(), abs=0.02)
    assert (found.scores != exact.scores[: len(found)]).any() if len(found) <= len(exact) else True


def test_the_exported_file_gives_the_same(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "exported.onnx"
    path.write_bytes(export_yolo(card, 64))
    exported = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH, Precision.FP32).predict(IMAGES)
    assert same(load_predictor(exported, LOOSE, "cpu", Backend.ONNX).predict(IMAGES), expected)


def test_a_missing_package_names_the_extra(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"pip install 'lcageo\[openvino\]'"):
        load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)


def test_with_a_cached_graph_torch_is_not_needed(card: ModelCard, untrained: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
    program = (
        "import sys, numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        f"predictor = load_predictor(find_card({str(untrained)!r}), DetectConfig(), 'auto')\n"
        "predictor.predict(np.zeros((1, 3, 256, 256), np.uint8))\n"
        "assert predictor.engine.backend == 'openvino' and 'torch' not in sys.modules\n"
    )
    if machine.may_have_gpu():
        pytest.skip("torch is asked whether the GPU can be used")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_ctrl_c_is_survived_after_two_predictors(card: ModelCard, untrained: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)  # the graph is exported once
    program = (
        "import faulthandler, gc, os, signal, numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        "def load():\n"
        f"    return load_predictor(find_card({str(untrained)!r}), DetectConfig(), 'cpu', 'openvino')\n"
        "faulthandler.enable()  # Python's handlers run on the current signal stack\n"
        "first = load()\n"
        "second = load()\n"
        "del first; gc.collect()\n"
        "del second; gc.collect()\n"
        "received = []\n"
        "signal.signal(signal.SIGINT, lambda *_: received.append(1))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert received == [1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_altered_weights_are_refused_though_their_graph_is_cached(card: ModelCard, tmp_path: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
    (tmp_path / "model.safetensors").write_bytes(card.read_weights()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        load_predictor(replace(card, weights=tmp_path / "model.safetensors"), LOOSE, "cpu", Backend.OPENVINO)


def test_what_decides_the_graph_decides_its_name(card: ModelCard) -> None:
    others = [
        replace(card, mean=(1.0, 2.0, 3.0)),
        replace(card, tile_size=128),
        replace(card, sha256="0" * 64),
        replace(card, network=replace(card.network, num_classes=3), classes=("a", "b", "c"), thresholds={}),
    ]
    assert len({onnx_graph._key(one) for one in [card, *others]}) == 5
    assert onnx_graph._key(replace(card, name="other", licence="other")) == onnx_graph._key(card)


def test_a_cache_that_cannot_be_written_costs_only_time(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "file" / "cache"))
    small = replace(card, tile_size=64)
    assert len(load_predictor(small, LOOSE, "cpu", Backend.ONNX).predict(IMAGES[:1, :, :64, :64])) == 1
