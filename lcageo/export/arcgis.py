"""An exported model for ArcGIS: the Esri model definition, and the function that it names.

Source: Esri's raster-deep-learning, "Esri Model Definition file"; keys that it does not have are our function's own.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcageo.config import DetectConfig
from lcageo.runtime.catalog import ModelCard

FUNCTION_FILE = "LcaObjectDetector.py"
"""ArcGIS looks for a class of the file's name."""


def function_source() -> str:
    """The Python raster function, which needs nothing of this package."""
    return Path(__file__).with_name("arcgis_function.py").read_text(encoding="utf-8")


def esri_definition(
    card: ModelCard, overlap_px: int, model_file: str, colour: Callable[[int], tuple[int, int, int]]
) -> dict[str, Any]:
    """The .emd of a graph that `onnx_export.export_yolo` made, JSON-ready.

    Args:
        card: the model.
        overlap_px: of neighbouring tiles.
        model_file: name of the ONNX file beside it.
        colour: red, green, blue of a class, by its number.
    """
    least, most = card.gsd_m
    return {
        "Framework": "ONNX",
        "ModelConfiguration": "YOLOv9",
        "ModelType": "ObjectDetection",
        "ModelName": card.name,
        "ModelFile": model_file,
        "InferenceFunction": FUNCTION_FILE,
        "Description": f"8-bit red, green, blue at {least:g} to {most:g} m per pixel: set the cell size of the "
        f"environment so. Licence: {card.licence}",
        "ImageHeight": card.tile_size,
        "ImageWidth": card.tile_size,
        "ExtractBands": [0, 1, 2],
        "BatchSize": 1,
        "Padding": overlap_px // 2,
        "Threshold": round(statistics.median(card.least_scores(None).values()), 2),  # ArcGIS asks for one
        "IouThreshold": DetectConfig().iou,
        "Fill": list(card.fill),
        # Values count from 1: to ArcGIS 0 is background.
        "Classes": [
            {"Value": label + 1, "Name": name, "Color": list(colour(label))} for label, name in enumerate(card.classes)
        ],
    }
