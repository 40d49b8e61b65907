"""A model's graph without its weights: made once by torch, filled with the card's weights where there is no torch.

The structure depends on the network, the tile size and the normalisation only, so it stays valid when the network is
trained again, and weighs a hundredth of the weights.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lcageo.errors import DeviceError, ModelError
from lcageo.extras import require
from lcageo.runtime.catalog import ModelCard

if TYPE_CHECKING:
    import onnx

STRUCTURE_VERSION = 4
"""To be incremented when the same card gives another graph."""
KEY = "lcageo_structure"
"""Metadata entry that says what a structure was made from."""
DIGEST = "lcageo_sha256"
"""Metadata entry with the SHA-256 of nodes and tensors: with zeros in them, a graph may run and give other boxes."""
PREFIX = "network."
"""What the graph's weights are called before their name in the weights file."""


def structure_path(card: ModelCard) -> Path:
    """Where a model's structure lies: beside its weights; the one for its larger tiles has their size in its name."""
    size = f".{card.tile_size}" if card.tile_size == card.larger_tile_size else ""
    return card.weights.parent / f"{card.name}{size}.graph.onnx"


def of_every_size(card: ModelCard) -> tuple[ModelCard, ...]:
    """The card, and the card as it is for the model's larger tiles, if it has any: each has its own structure."""
    return (card,) if card.larger_tile_size is None else (card, replace(card, tile_size=card.larger_tile_size))


def structure_key(card: ModelCard) -> str:
    """Hash of everything that determines a model's structure: all of its graph but the weights."""
    parts = [STRUCTURE_VERSION, asdict(card.own_network), card.tile_size, card.mean, card.std]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_structure(card: ModelCard) -> onnx.ModelProto | None:
    """The structure that lies beside a model's weights; None if there is none, a damaged one, or another network's.

    Raises:
        DeviceError: if the package that reads it is not installed.
    """
    try:
        content = structure_path(card).read_bytes()
    except OSError:
        return None
    require("reading the model's graph", None, "onnx", error=DeviceError)
    import onnx
    from google.protobuf.message import DecodeError

    with suppress(DecodeError):
        structure: onnx.ModelProto = onnx.ModelProto.FromString(content)
        says = {entry.key: entry.value for entry in structure.metadata_props}
        if says.get(KEY) == structure_key(card) and says.get(DIGEST) == _digest(structure):
            return structure
    return None


def _digest(structure: onnx.ModelProto) -> str:
    return hashlib.sha256(structure.graph.SerializeToString(deterministic=True)).hexdigest()


def without_weights(graph: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """A graph whose weights are only named, marked as the structure of a card's network.

    Args:
        graph: its weights are called PREFIX + their name in the weights file; it is changed.
        card: the model.
    """
    import onnx

    for tensor in _weights(graph):
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
    graph.metadata_props.add(key=KEY, value=structure_key(card))
    graph.metadata_props.add(key=DIGEST, value=_digest(graph))
    return graph


def filled(structure: onnx.ModelProto, card: ModelCard, weights: bytes) -> bytes:
    """A model's complete graph, serialised.

    Args:
        structure: of the card's network; it is changed.
        card: the model.
        weights: content of its weights file (safetensors).

    Raises:
        ModelError: if the weights do not fit.
    """
    import onnx
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(weights)
    except (safetensors.SafetensorError, KeyError, TypeError, AttributeError) as error:
        # The latter three: a type that numpy does not have, such as bfloat16.
        raise ModelError(f"{card.weights} cannot be read as safetensors ({error}); no code in it was run") from error
    for tensor in _weights(structure):
        array = arrays.get(tensor.name.removeprefix(PREFIX))
        if array is None or list(array.shape) != list(tensor.dims):
            found = "is missing" if array is None else f"has shape {array.shape}, not {tuple(tensor.dims)}"
            raise ModelError(
                f"{card.weights} does not fit the network of model '{card.name}': "
                f"{tensor.name.removeprefix(PREFIX)} {found}"
            )
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = array.astype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).tobytes()
    content: bytes = structure.SerializeToString()
    return content


def _weights(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [tensor for tensor in graph.graph.initializer if tensor.name.startswith(PREFIX)]
