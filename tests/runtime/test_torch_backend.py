from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.detections import Detections
from lcageo.errors import DeviceError, DeviceMemoryError, UsageError
from lcageo.nms import nms
from lcageo.runtime import torch_backend
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.selection import Selection
from lcageo.runtime.torch_backend import TorchPredictor
from lcageo.runtime.weights import load_network

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 3, 256, 256), dtype=np.uint8)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def predictor(card: ModelCard, device: str = "cpu", **settings: object) -> TorchPredictor:
    loaded = load_predictor(card, DetectConfig(**settings), device, Backend.TORCH)  # type: ignore[arg-type]
    assert isinstance(loaded, TorchPredictor)
    return loaded


def test_results_are_sorted_unique_inside_the_tile_and_above_the_threshold(card: ModelCard) -> None:
    for found in predictor(card, score=0.02).predict(IMAGES):
        assert len(found) > 0 and found.scores.min() > 0.02
        assert (np.diff(found.scores) <= 0).all()
        assert found.boxes_xyxy.dtype == np.float32
        assert found.boxes_xyxy.min() >= 0 and found.boxes_xyxy.max() <= 256
        assert len(nms(found, 0.6)) == len(found)


def test_a_batch_gives_what_single_tiles_give(card: ModelCard) -> None:
    model = predictor(card, score=0.02)
    together = model.predict(IMAGES)
    for image, found in zip(IMAGES, together, strict=True):
        alone = model.predict(image[None])[0]
        assert len(alone) == len(found)
        assert np.abs(alone.scores - found.scores).max() < 1e-5
        # Scores that differ by the last bit may change order: each box has its twin, not each position.
        apart = np.abs(alone.boxes_xyxy[:, None] - found.boxes_xyxy[None]).max(axis=-1)  # (N, N)
        assert apart.min(axis=0).max() < 1e-2 and apart.min(axis=1).max() < 1e-2


def test_the_input_is_normalised_by_the_card(card: ModelCard) -> None:
    shifted = replace(card, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    seen: list[torch.Tensor] = []
    for one in (card, shifted):
        network = load_network(one)
        network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        selection = Selection.of(one, DetectConfig())
        TorchPredictor(one, network, selection, torch.device("cpu"), Precision.FP32, compiled=False).predict(IMAGES)
    expected = (IMAGES - np.array(card.mean)[:, None, None]) / np.array(card.std)[:, None, None]
    assert np.abs(seen[0].numpy() - expected).max() < 1e-4
    assert (seen[1].numpy() == IMAGES).all()


def test_classes_thresholds_and_count_are_respected(card: ModelCard) -> None:
    picky = replace(card, thresholds={"ship": 0.9})
    everything = Detections.joined(predictor(card, score=0.02).predict(IMAGES))
    assert (everything.labels == 1).any() and (everything.labels == 9).any()
    assert {1} == set(Detections.joined(predictor(card, score=0.02, classes=("ship",)).predict(IMAGES)).labels.tolist())
    assert Selection.of(picky, DetectConfig()).thresholds[:2].tolist() == pytest.approx([0.3, 0.9])
    assert [len(found) for found in predictor(card, score=0.02, max_per_tile=7).predict(IMAGES)] == [7, 7, 7]


@pytest.mark.parametrize("device", ["cuda:99", "mps", "meta"])
def test_an_unavailable_device_is_refused(card: ModelCard, device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is an mps device here")
    with pytest.raises(DeviceError, match="device '"):
        predictor(card, device)


def test_a_device_that_does_not_exist_is_a_wrong_argument(card: ModelCard) -> None:
    with pytest.raises(UsageError, match="device 'gpu' is not known"):
        predictor(card, "gpu")


def test_out_of_memory_on_a_cpu_is_recognised(card: ModelCard) -> None:
    model = predictor(card)
    one = np.zeros(1, np.uint8)
    huge = np.lib.stride_tricks.as_strided(one, (2**34, 3, 256, 256), (0, 0, 0, 0))  # a byte here, petabytes in torch
    with pytest.raises(DeviceMemoryError, match="not enough memory on cpu for a batch of"):
        model.predict(huge)


def test_what_is_selected_on_the_device_is_what_the_host_selects(card: ModelCard) -> None:
    model = predictor(card, score=0.02, max_per_tile=50)
    with torch.inference_mode():
        for there, here in zip(model._on_device(IMAGES), model.predict(IMAGES), strict=True):
            assert len(there) == len(here) == 50
            assert np.abs(there.scores - here.scores).max() < 1e-6
            assert there.boxes_xyxy.dtype == here.boxes_xyxy.dtype == np.float32


def test_crowds_that_the_device_does_not_hold_are_left_to_the_host(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    model = predictor(card, score=0.02)
    again = model._again_on_host
    monkeypatch.setattr(model, "_again_on_host", lambda images: asked.append(len(images)) or again(images))
    monkeypatch.setattr(torch_backend, "select", partial(torch_backend.select, capacity=30))
    with torch.inference_mode():
        found = model._on_device(IMAGES)
    assert asked == [3]
    for there, here in zip(found, model.predict(IMAGES), strict=True):
        assert there.scores.tolist() == here.scores.tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # about torch's own code
@pytest.mark.skipif(shutil.which("g++") is None, reason="SKIPPED FOR LACK OF A COMPILER: torch.compile needs g++")
def test_a_compiled_network_finds_the_same(card: ModelCard) -> None:
    compiled = load_predictor(card, DetectConfig(score=0.02), "cpu", Backend.COMPILED)
    assert compiled.engine.backend is Backend.COMPILED
    expected = predictor(card, score=0.02).predict(IMAGES[:2])
    for one, other in zip(expected, compiled.predict(IMAGES[:2]), strict=True):
        assert len(one) == len(other)
        assert np.abs(one.scores - other.scores).max() < 1e-4
