"""Exports a model as an ONNX graph, with torch's exporter: for our own backends, and for other programs."""

from __future__ import annotations

import json
import logging
import math
import statistics
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lcageo.config import DetectConfig
from lcageo.detector.layers import fold_batch_norm
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.weights import load_network

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""First opset with every operator that the exporter writes; ONNX Runtime 1.14 and OpenVINO 2023 support it."""


class Detector(nn.Module):
    """Network with its normalisation: takes bytes, returns scores and boxes."""

    mean: Tensor
    std: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.network = load_network(card)
        fold_batch_norm(self.network)
        self.register_buffer("mean", torch.tensor(card.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(card.std)[:, None, None])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) uint8 to scores (B, N, K) and boxes (B, N, 4) in pixels."""
        predictions = self.network.predict((images.float() - self.mean) / self.std)
        return predictions.scores, predictions.boxes_xyxy


def export_detector(card: ModelCard) -> bytes:
    """Exports the graph described in `onnx_graph.onnx_graph`.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
    """
    images = torch.zeros((1, 3, card.tile_size, card.tile_size), dtype=torch.uint8)
    content: bytes = exported(Detector(card), images, "images", ("scores", "boxes")).SerializeToString()
    return content


class YoloDetector(nn.Module):
    """The same network with the input and output of YOLO models, which other programs run."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.detector = Detector(card)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) red, green, blue, 0 to 1, to (B, 4 + K, N): centre x, y, width, height in pixels, scores."""
        scores, boxes = self.detector(images * 255)
        corners, opposite = boxes[..., :2], boxes[..., 2:]
        centred = torch.cat([(corners + opposite) / 2, opposite - corners, scores], dim=-1)
        return centred.transpose(1, 2)


def export_yolo(card: ModelCard, overlap_px: int) -> bytes:
    """Exports a graph that the QGIS plugin Deepness, GeoDeep and others run as a YOLOv9 detector, with its metadata.

    Args:
        card: the model.
        overlap_px: overlap of neighbouring tiles, pixels.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.

    Source:
        Deepness's documentation, "Adding metadata to ONNX model", and GeoDeep's `inference.py`: names and JSON of the
        metadata.
    """
    images = torch.zeros((1, 3, card.tile_size, card.tile_size))
    model = exported(YoloDetector(card), images, "images", ("output",))
    for name, value in yolo_metadata(card, overlap_px).items():
        model.metadata_props.add(key=name, value=json.dumps(value))
    content: bytes = model.SerializeToString()
    return content


def yolo_metadata(card: ModelCard, overlap_px: int) -> dict[str, Any]:
    """Metadata that these programs read from the graph; `resolution` in cm per pixel, `tiles_overlap` in per cent."""
    scores = [card.threshold(name) for name in card.classes]
    return {
        "model_type": "Detector",
        "det_type": "YOLO_v9",
        "class_names": {str(index): name for index, name in enumerate(card.classes)},
        "resolution": round(100 * math.sqrt(math.prod(card.gsd_m)), 1),
        "tile_size": card.tile_size,
        "tiles_size": card.tile_size,
        "tiles_overlap": round(100 * overlap_px / card.tile_size, 1),
        "det_conf": round(statistics.median(scores), 2),  # these programs have one for all classes
        "det_iou_thresh": DetectConfig.DEFAULT_IOU,
        "det_remove_overlap": True,
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
        "licence": card.licence,
        "restriction": card.restriction,
        "trained_on": card.trained_on,
        "model": f"{card.name} {card.sha256}",
    }


def exported(module: nn.Module, images: Tensor, name: str, outputs: tuple[str, ...]) -> onnx.ModelProto:
    """Exports the graph of a module for images of one shape.

    Args:
        module: takes a tensor, returns one or several.
        images: an example of its input; the values do not matter.
        name: name of the input.
        outputs: names of the outputs.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # about the exporter's own code
        program = torch.onnx.export(
            module.eval(),
            (images,),
            dynamo=True,
            input_names=[name],
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None, "with dynamo, export returns a program"
    model: onnx.ModelProto = program.model_proto
    return model
