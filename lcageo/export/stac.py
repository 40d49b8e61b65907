"""Describes an exported model as a STAC item, so that model catalogues can list it and programs know how to run it.

Source: STAC 1.1, its machine learning model extension (MLM) 1.4 and file extension 2.1.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import onnx

from lcageo.config import DetectConfig
from lcageo.network_config import Preset
from lcageo.runtime.catalog import ModelCard

MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
SHA2_256 = b"\x12\x20"
"""Prefix of a multihash: the code of SHA-256, and the length, 32 bytes."""
BANDS = ("red", "green", "blue")
ARCHITECTURES = {Preset.RETINANET: "RetinaNet", Preset.FCOS: "FCOS"}
"""Architectures of the presets that are not a variant of LCA-Det."""


def stac_item(card: ModelCard, overlap_px: int, content: bytes, href: str) -> dict[str, Any]:
    """STAC item of a graph from `onnx_export.export_yolo`, ready for JSON.

    It covers the whole globe and all time: only its training data ties a detector to a location.

    Args:
        card: the model.
        overlap_px: overlap of neighbouring tiles, pixels.
        content: bytes of the ONNX file.
        href: location of the ONNX file, relative to the item.
    """
    graph = onnx.load_from_string(content).graph
    world = [[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0], [-180.0, -90.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, FILE],
        "id": card.name,
        "geometry": {"type": "Polygon", "coordinates": [world]},
        "bbox": [-180.0, -90.0, 180.0, 90.0],
        "properties": {
            "title": f"{card.name}: finds {', '.join(card.classes)}",
            "description": f"Trained on: {card.trained_on or 'nothing'}. Licence: {card.licence}.",
            "license": "other",  # a card's licence is a sentence, not an SPDX identifier
            "datetime": None,
            "start_datetime": "1900-01-01T00:00:00Z",
            "end_datetime": "9999-12-31T23:59:59Z",
            "bands": [{"name": band} for band in BANDS],
            "mlm:name": _name(card),
            "mlm:architecture": ARCHITECTURES.get(card.own_network.preset, "LCA-Det"),
            "mlm:tasks": ["object-detection"],
            "mlm:framework": "ONNX",
            "mlm:pretrained": card.is_trained,
            "mlm:pretrained_source": card.trained_on or None,
            "mlm:batch_size_suggestion": 1,
            "mlm:accelerator": None,
            "mlm:accelerator_constrained": False,
            "mlm:accelerator_summary": "optional; any that ONNX Runtime supports",
            "mlm:input": [_input(card, graph)],
            "mlm:output": [_output(card, graph)],
            "mlm:hyperparameters": {
                "gsd_m": list(card.gsd_m),
                "tile_overlap_px": overlap_px,
                "score_thresholds": card.least_scores(None),
                "iou_threshold": DetectConfig.DEFAULT_IOU,
            },
        },
        "links": [],
        "assets": {
            "model": {
                "href": href,
                "title": "ONNX graph with the weights",
                "type": "application/octet-stream; framework=onnx",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "onnx",
                "bands": [{"name": band} for band in BANDS],  # STAC allows bands of the item only if an asset has some
                "file:size": len(content),
                "file:checksum": (SHA2_256 + hashlib.sha256(content).digest()).hex(),
            }
        },
    }


def _input(card: ModelCard, graph: onnx.GraphProto) -> dict[str, Any]:
    (images,) = graph.input
    minimum, maximum = card.gsd_m
    return {
        "name": images.name,
        "bands": list(BANDS),
        "input": {
            "shape": _shape(images),
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
        "description": f"A square tile of {card.tile_size} pixels at {minimum:g} to {maximum:g} m per pixel.",
        "value_scaling": [{"type": "min-max", "minimum": 0, "maximum": 255}],
        "resize_type": None,
        "pre_processing_function": None,
    }


def _output(card: ModelCard, graph: onnx.GraphProto) -> dict[str, Any]:
    (boxes,) = graph.output
    return {
        "name": boxes.name,
        "tasks": ["object-detection"],
        "result": {"shape": _shape(boxes), "dim_order": ["batch", "channel", "point"], "data_type": "float32"},
        "description": "Channels: centre x, centre y, width and height in tile pixels, then a score of 0 to 1 for each "
        "class. Non-maximum suppression per class is left to the program.",
        "classification:classes": [
            # The classification extension allows no spaces in a name.
            {"value": label, "name": re.sub("[^0-9A-Za-z_-]", "-", name), "description": name}
            for label, name in enumerate(card.classes)
        ],
        "post_processing_function": None,
    }


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def _name(card: ModelCard) -> str:
    """Name of the model as MLM allows it: letters, digits and a few signs, from a letter to a letter or digit."""
    name = re.sub(r"[^a-zA-Z0-9_.\- ]", "-", card.name)
    return name if re.fullmatch(r"[a-zA-Z].+[a-zA-Z0-9]", name) else f"lcageo {name} model"
