"""A model as an ONNX graph, by torch's exporter."""

from __future__ import annotations

import logging
import warnings

import torch
from torch import Tensor, nn

from lcageo.detector.fold import fold_batch_norm
from lcageo.detector.network import Network
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.weights import load_network

OPSET = 18
"""The first in which every operator that the exporter writes exists; ONNX Runtime 1.14 and OpenVINO 2023 read it."""


class Detector(nn.Module):
    """A network with its normalisation: bytes in, scores and boxes out."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, card: ModelCard) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(card.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(card.std)[:, None, None])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) uint8 to scores (B, N, K) and boxes (B, N, 4) in pixels."""
        predictions = self.network.predict((images.float() - self.mean) / self.std)
        return predictions.scores, predictions.boxes_xyxy


def export_detector(card: ModelCard) -> bytes:
    """The graph that `onnx_graph.onnx_graph` describes.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
    """
    network = load_network(card)
    fold_batch_norm(network)
    images = torch.zeros((1, 3, card.tile_size, card.tile_size), dtype=torch.uint8)
    return exported(Detector(network, card), images, "images", ("scores", "boxes"))


def exported(module: nn.Module, images: Tensor, name: str, outputs: tuple[str, ...]) -> bytes:
    """The graph of a module for images of one shape.

    Args:
        module: takes a tensor, gives one or several.
        images: an input; its values do not matter.
        name: of the input.
        outputs: names.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of torchvision's absence
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter to its own authors
        program = torch.onnx.export(
            module.eval(),
            (images,),
            dynamo=True,
            input_names=[name],
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None, "with dynamo, export gives a program"
    content: bytes = program.model_proto.SerializeToString()
    return content
