"""Which backend runs a model, and that all of them agree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.backends import IMAGES, LOOSE, OTHERS, same
from support.untrained import make_untrained_model

from lcageo.config import Backend, Engine, Precision
from lcageo.errors import DeviceError, UsageError
from lcageo.network_config import Preset
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("preset", [Preset.LCA, Preset.RETINANET, Preset.FCOS, Preset.LCA_BASELINE])
def test_a_backend_finds_what_torch_finds(preset: Preset, backend: Backend, tmp_path: Path) -> None:
    card = find_card(str(make_untrained_model(tmp_path, tile_size=128, preset=preset)))
    images = IMAGES[:2, :, :128, :128]
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(images)
    found = load_predictor(card, LOOSE, "cpu", backend)
    assert found.engine == Engine(backend, Precision.FP32, "cpu")
    assert same(expected, found.predict(images))


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


def test_a_missing_package_names_the_extra(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"pip install 'lcageo\[openvino\]'"):
        load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
