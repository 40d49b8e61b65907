"""Weights are checked before a network is built from them."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.errors import ModelError
from lcageo.network_config import NetworkConfig
from lcageo.runtime import weights
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.weights import load_network

HEADERS = st.recursive(
    st.integers(-1, 2**65) | st.sampled_from(["F32", "F8_E8M0", "F4", "BOOL", "C64", "x", None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), inner, max_size=4)
    ),
)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own for damaged weights."""
    return tmp_path_factory.mktemp("fuzzed")


def with_weights(card: ModelCard, folder: Path, content: bytes) -> ModelCard:
    (folder / "model.safetensors").write_bytes(content)
    return replace(card, weights=folder / "model.safetensors", sha256=hashlib.sha256(content).hexdigest())


def test_missing_unknown_and_misshapen_tensors_are_named(card: ModelCard, tmp_path: Path) -> None:
    tensors = safetensors.torch.load(card.read_weights())
    name = sorted(tensors)[0]
    fewer = {key: value for key, value in tensors.items() if key != name}
    with pytest.raises(ModelError, match=f"1 tensors missing .*{name}"):
        load_network(with_weights(card, tmp_path, safetensors.torch.save(fewer)))
    with pytest.raises(ModelError, match=r"1 unexpected .*extra"):
        load_network(with_weights(card, tmp_path, safetensors.torch.save({**tensors, "extra": torch.zeros(1)})))
    with pytest.raises(ModelError, match=r"has shape \(1, 2\)"):
        load_network(with_weights(card, tmp_path, safetensors.torch.save({**tensors, name: torch.zeros(1, 2)})))


def test_a_pickle_is_refused_and_not_run(card: ModelCard, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    with pytest.raises(ModelError, match="not a safetensors file"):
        load_network(with_weights(card, tmp_path, pickle.dumps(Trap())))
    assert not (tmp_path / "sprung").exists()


@given(st.data(), HEADERS)
def test_no_weights_raise_anything_but_a_model_error(
    card: ModelCard, fuzzed: Path, data: st.DataObject, header: object
) -> None:
    written = card.read_weights()
    place = data.draw(st.integers(0, 3000))
    entry = json.dumps({"a": header} if data.draw(st.booleans()) else header).encode()
    small = struct.pack("<Q", len(entry)) + entry + bytes(8)
    for content in (small, written[:place] + data.draw(st.binary(max_size=9)) + written[place + 4 :]):
        with suppress(ModelError):
            load_network(with_weights(card, fuzzed, content))


def test_weights_of_types_that_torch_lacks_are_refused(card: ModelCard, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [0, 8]}}).encode()
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_network(with_weights(card, tmp_path, struct.pack("<Q", len(header)) + header + bytes(8)))


def test_wrong_weights_are_refused_before_a_network_takes_memory(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: NetworkConfig) -> Network:
        network = build_network(config)
        assert all(parameter.is_meta for parameter in network.parameters()), "a card may ask for many gigabytes"
        return network

    monkeypatch.setattr(weights, "build_network", refuse)
    with pytest.raises(ModelError, match="SHA-256"):
        load_network(replace(with_weights(card, tmp_path, card.read_weights()), sha256="0" * 64))
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_network(with_weights(card, tmp_path, b"none"))
    wide = replace(card, network=replace(card.network, backbone="resnet101", backbone_width=512))
    with pytest.raises(ModelError, match="does not fit the network"):
        load_network(wide)


def test_a_network_gets_exactly_the_tensors_of_the_file_and_is_ready_to_run(card: ModelCard) -> None:
    network = load_network(card)
    with safetensors.safe_open(card.weights, framework="pt") as file:
        assert set(file.keys()) == set(network.state_dict())
        assert all(torch.equal(file.get_tensor(name), value) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())


def test_quantised_weights_are_refused(card: ModelCard) -> None:
    quantised = replace(card, weights=Path("model.onnx"))
    assert quantised.is_quantised
    with pytest.raises(ModelError, match=r"is an ONNX graph, which torch cannot run; use --backend openvino or onnx"):
        load_network(quantised)
