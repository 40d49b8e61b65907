"""Python raster function that runs an exported detector in ArcGIS; the .emd beside it refers to it.

It does not need lcageo: numpy and onnxruntime are part of Esri's Deep Learning Libraries for ArcGIS Pro.

Source: Esri's raster-deep-learning, "Writing deep learning Python raster function", which gives the methods' names.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

POLYGON = 4  # Esri's geometry type


class LcaObjectDetector:
    """Object detector for one tile at a time: takes pixels, returns rings with class and confidence."""

    def __init__(self) -> None:
        self.name = "LCA object detector"
        self.description = "Detects objects with a model exported by lcageo"

    def initialize(self, **kwargs: Any) -> None:
        """Reads the model definition, a path or JSON text, and opens the model."""
        model = kwargs.get("model")
        if model is None:
            return
        folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # as ArcGIS's own functions do
        if os.path.isfile(model):  # noqa: PTH113
            folder = os.path.dirname(os.path.abspath(model))  # noqa: PTH100, PTH120
            with open(model, encoding="utf-8") as file:  # noqa: PTH123
                self.about = json.load(file)
        else:
            self.about = json.loads(model)
        self.session = onnxruntime.InferenceSession(
            os.path.join(folder, self.about["ModelFile"]),  # noqa: PTH118
            providers=[
                name
                for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
                if name in onnxruntime.get_available_providers() and (kwargs.get("device", -1) >= 0 or "CPU" in name)
            ],
        )
        self.size = int(self.about["ImageHeight"])
        self.getConfiguration()

    def getParameterInfo(self) -> list[dict[str, Any]]:
        """Parameters of the tool, with defaults."""
        parameters = [
            ("raster", "raster", True, None, "Raster"),
            ("model", "string", True, None, "Model definition (EMD) file"),
            ("device", "numeric", False, None, "Device ID"),
            ("padding", "numeric", False, self.about["Padding"], "Padding: half of the tiles' overlap, pixels"),
            ("threshold", "numeric", False, self.about["Threshold"], "Minimum score, 0 to 1"),
            ("iou_threshold", "numeric", False, self.about["IouThreshold"], "IoU above which two boxes are duplicates"),
        ]
        return [
            {"name": name, "dataType": kind, "required": required, "displayName": text, "description": text}
            | ({} if value is None else {"value": value})
            for name, kind, required, value, text in parameters
        ]

    def getConfiguration(self, **scalars: Any) -> dict[str, Any]:
        """Takes the user's parameters; returns how ArcGIS cuts the raster: `tx` by `ty` pixels and `padding` around."""
        self.padding = int(scalars.get("padding", self.about["Padding"]))
        self.threshold = float(scalars.get("threshold", self.about["Threshold"]))
        self.iou = float(scalars.get("iou_threshold", self.about["IouThreshold"]))
        inner = self.size - 2 * self.padding
        return {
            "extractBands": tuple(self.about["ExtractBands"]),
            "padding": self.padding,
            "tx": inner,
            "ty": inner,
            "fixedTileSize": 1,
            "inputMask": True,
            "inheritProperties": 2 | 4 | 8,
        }

    def getFields(self) -> str:
        """Fields of the feature class."""
        names = {"OID": "OID", "Class": "String", "Confidence": "Double", "Shape": "Geometry"}
        fields = [{"name": name, "type": f"esriFieldType{kind}", "alias": name} for name, kind in names.items()]
        return json.dumps({"fields": fields})

    def getGeometryType(self) -> int:
        """Geometry type of the feature class."""
        return POLYGON

    def vectorize(self, **pixelBlocks: Any) -> dict[str, str]:
        """Objects of one padded block as Esri JSON, in pixels from the corner of its part without padding.

        Only objects with their centre in that part: the others belong to neighbouring blocks.
        """
        boxes, scores, labels = self._found(pixelBlocks["raster_pixels"], pixelBlocks.get("raster_mask"))
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - self.padding
        inside = ((centres >= 0) & (centres < self.size - 2 * self.padding)).all(axis=1)
        features: list[dict[str, Any]] = []
        for box, score, label in zip(boxes[inside] - self.padding, scores[inside], labels[inside], strict=True):
            x1, y1, x2, y2 = box.tolist()
            attributes = {"OID": len(features) + 1, "Class": self.about["Classes"][label]["Name"]}
            attributes["Confidence"] = 100 * float(score)
            ring = [[x1, y1], [x1, y2], [x2, y2], [x2, y1], [x1, y1]]
            features.append({"attributes": attributes, "geometry": {"rings": [ring]}})
        about = {"displayFieldName": "", "geometryType": "esriGeometryPolygon", **json.loads(self.getFields())}
        return {"output_vectors": json.dumps({**about, "features": features})}

    def _found(
        self, pixels: NDArray[Any], mask: NDArray[Any] | None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """(N, 4) boxes x1, y1, x2, y2, (N,) scores and (N,) labels of a block of (3, h, w) pixels, best first."""
        height, width = pixels.shape[1:]
        tile = np.empty((3, self.size, self.size), np.float32)
        tile[:] = np.array(self.about["Fill"], np.float32)[:, None, None]
        known = np.ones(pixels.shape, bool) if mask is None else np.broadcast_to(mask != 0, pixels.shape)
        np.copyto(tile[:, :height, :width], pixels, where=known, casting="unsafe")
        (output,) = self.session.run(None, {self.session.get_inputs()[0].name: tile[None] / 255})
        centre, size, scores = output[0, :2].T, output[0, 2:4].T, output[0, 4:].T
        places, labels = np.nonzero(scores >= self.threshold)
        order = np.argsort(-scores[places, labels], kind="stable")
        places, labels = places[order], labels[order]
        boxes = np.hstack([centre - size / 2, centre + size / 2])[places]
        kept = self._suppressed(boxes, labels)
        return boxes[kept], scores[places, labels][kept], labels[kept]

    def _suppressed(self, boxes: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
        """Indices of the boxes kept by non-maximum suppression per class; boxes are given best first."""
        kept: list[int] = []
        areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
        left = np.flatnonzero(areas > 0)
        while len(left):
            best, left = left[0], left[1:]
            kept.append(int(best))
            sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
            common = np.maximum(sides, 0).prod(axis=1)
            same = (labels[left] == labels[best]) & (common > self.iou * (areas[left] + areas[best] - common))
            left = left[~same]
        return np.array(kept, np.int64)
