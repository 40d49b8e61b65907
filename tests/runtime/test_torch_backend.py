from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.detections import Detections
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.errors import DeviceError, DeviceMemoryError, ModelError, UsageError
from lcageo.network_config import NetworkConfig
from lcageo.nms import nms
from lcageo.runtime import torch_backend, weights
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


def with_weights(card: ModelCard, folder: Path, content: bytes) -> ModelCard:
    (folder / "model.safetensors").write_bytes(content)
    return replace(card, weights=folder / "model.safetensors", sha256=hashlib.sha256(content).hexdigest())


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


def test_missing_unknown_and_misshapen_tensors_are_named(card: ModelCard, tmp_path: Path) -> None:
    tensors = safetensors.torch.load(card.read_weights())
    name = sorted(tensors)[0]
    fewer = {key: value for key, value in tensors.items() if key != name}
    with pytest.raises(ModelError, match=f"1 tensors missing .*{name}"):
        predictor(with_weights(card, tmp_path, safetensors.torch.save(fewer)))
    with pytest.raises(ModelError, match=r"1 unexpected .*extra"):
        predictor(with_weights(card, tmp_path, safetensors.torch.save({**tensors, "extra": torch.zeros(1)})))
    with pytest.raises(ModelError, match=r"has shape \(1, 2\)"):
        predictor(with_weights(card, tmp_path, safetensors.torch.save({**tensors, name: torch.zeros(1, 2)})))


def test_a_pickle_is_refused_and_not_run(card: ModelCard, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    with pytest.raises(ModelError, match="not a safetensors file"):
        predictor(with_weights(card, tmp_path, pickle.dumps(Trap())))
    assert not (tmp_path / "sprung").exists()


def test_out_of_memory_on_a_cpu_is_recognised(card: ModelCard) -> None:
    model = predictor(card)
    one = np.zeros(1, np.uint8)
    huge = np.lib.stride_tricks.as_strided(one, (2**34, 3, 256, 256), (0, 0, 0, 0))  # a byte here, petabytes in torch
    with pytest.raises(DeviceMemoryError, match="not enough memory on cpu for a batch of"):
        model.predict(huge)


HEADERS = st.recursive(
    st.integers(-1, 2**65) | st.sampled_from(["F32", "F8_E8M0", "F4", "BOOL", "C64", "x", None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), inner, max_size=4)
    ),
)


@given(st.data(), HEADERS)
def test_no_weights_raise_anything_but_a_model_error(
    card: ModelCard, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, header: object
) -> None:
    written = card.read_weights()
    place = data.draw(st.integers(0, 3000))
    entry = json.dumps({"a": header} if data.draw(st.booleans()) else header).encode()
    small = struct.pack("<Q", len(entry)) + entry + bytes(8)
    for content in (small, written[:place] + data.draw(st.binary(max_size=9)) + written[place + 4 :]):
        with suppress(ModelError):
            predictor(with_weights(card, tmp_path_factory.getbasetemp(), content))


def test_weights_of_types_that_torch_lacks_are_refused(card: ModelCard, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [0, 8]}}).encode()
    with pytest.raises(ModelError, match="not a safetensors file"):
        predictor(with_weights(card, tmp_path, struct.pack("<Q", len(header)) + header + bytes(8)))


def test_wrong_weights_are_refused_before_a_network_takes_memory(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: NetworkConfig) -> Network:
        network = build_network(config)
        assert all(parameter.is_meta for parameter in network.parameters()), "a card may ask for many gigabytes"
        return network

    monkeypatch.setattr(weights, "build_network", refuse)
    with pytest.raises(ModelError, match="SHA-256"):
        predictor(replace(with_weights(card, tmp_path, card.read_weights()), sha256="0" * 64))
    with pytest.raises(ModelError, match="not a safetensors file"):
        predictor(with_weights(card, tmp_path, b"none"))
    wide = replace(card, network=replace(card.network, backbone="resnet101", backbone_width=512))
    with pytest.raises(ModelError, match="does not fit the network"):
        predictor(wide)


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
