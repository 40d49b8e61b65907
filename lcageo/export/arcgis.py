"""Describes an exported model for ArcGIS: the Esri model definition, and the raster function that it names.

Source: Esri's raster-deep-learning, "Esri Model Definition file"; keys that it does not list are our function's own.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lcageo.config import DetectConfig
from lcageo.runtime.catalog import ModelCard

FUNCTION_FILE = "LcaObjectDetector.py"
"""File name of the raster function; ArcGIS looks in it for a class of the same name."""


def function_source() -> str:
    """Source code of the Python raster function, which imports nothing from this package."""
    return Path(__file__).with_name("arcgis_function.py").read_text(encoding="utf-8")


def esri_definition(
    card: ModelCard, overlap_px: int, model_file: str, colour: Callable[[int], tuple[int, int, int]]
) -> dict[str, Any]:
    """Content of the .emd for a graph from `onnx_export.export_yolo`, ready for JSON.

    Args:
        card: the model.
        overlap_px: overlap of neighbouring tiles, pixels.
        model_file: name of the ONNX file beside it.
        colour: red, green, blue of a class, by its number.
    """
    minimum, maximum = card.gsd_m
    return {
        "Framework": "ONNX",
        "ModelConfiguration": "YOLOv9",
        "ModelType": "ObjectDetection",
        "ModelName": card.name,
        "ModelFile": model_file,
        "InferenceFunction": FUNCTION_FILE,
        "Description": f"8-bit red, green, blue at {minimum:g} to {maximum:g} m per pixel: set the Cell Size "
        f"environment accordingly. Licence: {card.licence}",
        "ImageHeight": card.tile_size,
        "ImageWidth": card.tile_size,
        "ExtractBands": [0, 1, 2],
        "BatchSize": 1,
        "Padding": overlap_px // 2,
        "Threshold": round(statistics.median(card.least_scores(None).values()), 2),  # ArcGIS has a single one
        "IouThreshold": DetectConfig.DEFAULT_IOU,
        "Fill": list(card.fill),
        # Values start at 1, as 0 is background in ArcGIS.
        "Classes": [
            {"Value": label + 1, "Name": name, "Color": list(colour(label))} for label, name in enumerate(card.classes)
        ],
    }
