"""Loads the weights of a card into the network that it describes, checked before anything is built."""

from __future__ import annotations

import safetensors
import safetensors.torch
import torch

from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.errors import ModelError
from lcageo.runtime.catalog import ModelCard


def load_network(card: ModelCard) -> Network:
    """The network of a card with its weights, in float32, in evaluation mode.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
    """
    if card.is_graph:
        raise ModelError(
            f"model '{card.name}' is an ONNX graph, which torch cannot run; use --backend openvino or onnx"
        )
    weights = _checked_weights(card)
    network = build_network(card.own_network)
    network.load_state_dict(weights)
    return network.eval()


def _checked_weights(card: ModelCard) -> dict[str, torch.Tensor]:
    """The weights, checked to fit the card's network before that takes memory, which may be gigabytes."""
    content = card.read_weights()
    try:
        weights = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError) as error:  # KeyError: a type that torch does not have
        raise ModelError(f"{card.weights} is not a safetensors file ({error}); no code in it was run") from error
    with torch.device("meta"):
        wanted = build_network(card.own_network).state_dict()
    missing, unexpected = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    if missing or unexpected:
        raise ModelError(
            f"{card.weights} does not fit the network of model '{card.name}': "
            f"{len(missing)} tensors missing {missing[:3]}, {len(unexpected)} unexpected {unexpected[:3]}"
        )
    wrong = [name for name in wanted if wanted[name].shape != weights[name].shape]
    if wrong:
        name = wrong[0]
        raise ModelError(
            f"{card.weights} does not fit the network of model '{card.name}': {name} has shape "
            f"{tuple(weights[name].shape)}, not {tuple(wanted[name].shape)}"
        )
    return weights
