"""An exported model as a STAC item, by which catalogues of models find it and programs learn how to run it.

Source: STAC 1.1, its machine learning model extension (MLM) 1.4 and file extension 2.1.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import onnx

from lcageo.config import DetectConfig, Preset
from lcageo.runtime.catalog import ModelCard

MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
SHA2_256 = b"\x12\x20"
"""What a multihash begins with: the code of SHA-256, and 32 bytes of length."""
BANDS = ("red", "green", "blue")
ARCHITECTURES = {Preset.RETINANET: "RetinaNet", Preset.FCOS: "FCOS"}
"""Of the presets that are not a form of LCA-Det."""


def stac_item(card: ModelCard, overlap_px: int, content: bytes, href: str) -> dict[str, Any]:
    """The item of a graph that `onnx_export.export_yolo` made, JSON-ready.

    It covers the whole globe and all time: nothing binds a detector to a place but what it was trained on.

    Args:
        card: the model.
        overlap_px: of neighbouring tiles.
        content: of the ONNX file.
        href: of the ONNX file, from the item.
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
            "mlm:architecture": ARCHITECTURES.get(card.network.preset, "LCA-Det"),
            "mlm:tasks": ["object-detection"],
            "mlm:framework": "ONNX",
            "mlm:pretrained": card.is_trained,
            "mlm:pretrained_source": card.trained_on or None,
            "mlm:batch_size_suggestion": 1,
            "mlm:accelerator": None,
            "mlm:accelerator_constrained": False,
            "mlm:accelerator_summary": "any that ONNX Runtime supports; none is needed",
            "mlm:input": [_input(card, graph)],
            "mlm:output": [_output(card, graph)],
            "mlm:hyperparameters": {
                "gsd_m": list(card.gsd_m),
                "tile_overlap_px": overlap_px,
                "score_thresholds": card.least_scores(None),
                "iou_threshold": DetectConfig().iou,
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
                "bands": [{"name": band} for band in BANDS],  # STAC allows the item's only where an asset has some
                "file:size": len(content),
                "file:checksum": (SHA2_256 + hashlib.sha256(content).digest()).hex(),
            }
        },
    }


def _input(card: ModelCard, graph: onnx.GraphProto) -> dict[str, Any]:
    (images,) = graph.input
    least, most = card.gsd_m
    return {
        "name": images.name,
        "bands": list(BANDS),
        "input": {
            "shape": _shape(images),
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
        "description": f"A tile of {card.tile_size} pixels of {least:g} to {most:g} m.",
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
        "class. Non-maximum suppression is left to the program, class by class.",
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
    """As MLM allows it: letters, digits and a few signs, the first a letter, the last one of the former."""
    name = re.sub(r"[^a-zA-Z0-9_.\- ]", "-", card.name)
    return name if re.fullmatch(r"[a-zA-Z].+[a-zA-Z0-9]", name) else f"lcageo {name} model"
