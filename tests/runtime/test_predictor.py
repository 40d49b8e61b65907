"""Every backend finds what torch finds; which one is used, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.twins import same
from support.untrained import make_untrained_model

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.errors import DeviceError, UsageError
from lcageo.network_config import Preset
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor, must_prepare

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 3, 256, 256), dtype=np.uint8)
LOOSE = DetectConfig(score=0.02)
OTHERS = [Backend.OPENVINO, Backend.ONNX]


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


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


def test_a_graph_is_not_asked_to_run_on_a_gpu() -> None:
    with pytest.raises(UsageError, match=r"'lca-s-int8' is a graph, which runs on a CPU, not on 'cuda:7'; leave out"):
        load_predictor(find_card("lca-s-int8"), LOOSE, "cuda:7")


def test_bfloat16_of_torch_is_near_float32(card: ModelCard) -> None:
    exact = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(IMAGES[:1])[0]
    coarse = load_predictor(card, LOOSE, "cpu", Backend.TORCH, Precision.BF16)
    assert coarse.engine.precision is Precision.BF16
    found = coarse.predict(IMAGES[:1])[0]
    assert found.scores.max() == pytest.approx(exact.scores.max(), abs=0.02)
    assert (found.scores != exact.scores[: len(found)]).any() if len(found) <= len(exact) else True


def test_a_graph_is_prepared_only_where_it_will_be_used_and_is_not_cached(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path))
    small, onnx = replace(card, tile_size=64), Engine(Backend.ONNX, Precision.AUTO, "cpu")
    assert must_prepare(small, onnx) and must_prepare(small, Engine(Backend.AUTO, Precision.AUTO, "cpu"))
    assert not must_prepare(small, Engine(Backend.TORCH, Precision.AUTO, "cpu"))
    assert not must_prepare(small, Engine(Backend.AUTO, Precision.AUTO, "cuda"))
    load_predictor(small, LOOSE, "cpu", Backend.ONNX)
    assert not must_prepare(small, onnx)


def test_int8_is_refused_for_a_model_that_is_not_quantised_and_the_reverse(card: ModelCard) -> None:
    with pytest.raises(UsageError, match="'untrained' is not quantised; leave out --precision int8"):
        load_predictor(card, LOOSE, "cpu", precision=Precision.INT8)
    with pytest.raises(UsageError, match="'untrained' is int8; leave out --precision fp32"):
        load_predictor(replace(card, weights=Path("a.onnx")), LOOSE, "cpu", precision=Precision.FP32)


def test_a_torch_that_cannot_be_loaded_is_told_with_a_way_around_it(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "may_have_gpu", lambda: True)
    monkeypatch.setattr(machine, "has_package", lambda backend: True)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DeviceError, match=r"--device auto requires torch.*; or run on the CPU \(--device cpu\)"):
        load_predictor(card, DetectConfig())
