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
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_layers import use_graph_layers
from lcageo.runtime.onnx_structure import PREFIX, without_weights
from lcageo.runtime.weights import load_network

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""First opset with every operator that the exporter writes; ONNX Runtime 1.14 and OpenVINO 2023 support it."""


class Detector(nn.Module):
    """Network with its normalisation: takes bytes, returns scores and boxes."""

    pixel_mean: Tensor  # not "mean", which the exporter also calls the result of such an operation
    pixel_std: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.network = load_network(card)
        self.register_buffer("pixel_mean", torch.tensor(card.mean)[:, None, None])
        self.register_buffer("pixel_std", torch.tensor(card.std)[:, None, None])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) uint8 to scores (B, N, K) and boxes (B, N, 4) in pixels."""
        predictions = self.network.predict((images.float() - self.pixel_mean) / self.pixel_std)
        return predictions.scores, predictions.boxes_xyxy


def export_structure(card: ModelCard) -> onnx.ModelProto:
    """Exports a model's graph without its weights, as `onnx_structure.filled` takes it.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
    """
    images = torch.zeros((1, 3, card.tile_size, card.tile_size), dtype=torch.uint8)
    detector = Detector(card)
    use_graph_layers(detector.network)
    graph = exported(detector, images, "images", ("scores", "boxes"), optimize=False)
    return without_weights(_optimized(graph), card)


def _optimized(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with constants folded, except its weights, which do not become parts of other constants."""
    import onnx
    from onnxscript import optimizer

    weights = [tensor for tensor in graph.graph.initializer if tensor.name.startswith(PREFIX)]
    rest = [tensor for tensor in graph.graph.initializer if not tensor.name.startswith(PREFIX)]
    given = list(graph.graph.input)
    inputs = [onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights]
    _replace(graph.graph.initializer, rest)
    graph.graph.input.extend(inputs)  # the optimiser takes them for values that are not known
    better: onnx.ModelProto = optimizer.optimize(graph)
    used = {name for node in better.graph.node for name in node.input}
    _replace(better.graph.input, given)
    better.graph.initializer.extend(one for one in weights if one.name in used)
    for part in (better, better.graph, *better.graph.node, *better.graph.initializer):
        part.ClearField("metadata_props")  # where in the code each node comes from: most of the file
    better.graph.ClearField("value_info")
    return better


def _replace(field: Any, values: list[Any]) -> None:
    kept = [type(value).FromString(value.SerializeToString()) for value in values]  # before they go with the field
    del field[:]
    field.extend(kept)


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


def exported(
    module: nn.Module, images: Tensor, name: str, outputs: tuple[str, ...], optimize: bool = True
) -> onnx.ModelProto:
    """Exports the graph of a module for images of one shape.

    Args:
        module: takes a tensor, returns one or several.
        images: an example of its input; the values do not matter.
        name: name of the input.
        outputs: names of the outputs.
        optimize: whether constants are folded and operations put together, which may change the weights.
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
            optimize=optimize,
        )
        assert program is not None, "with dynamo, export returns a program"
    model: onnx.ModelProto = program.model_proto
    return model
