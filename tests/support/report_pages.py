"""Pages of reports, read back."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from support.scenes import UTM

from lcageo.detections import Detections
from lcageo.vector.features import feature_parts
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

FOUND = Detections(
    np.array([[20, 30, 60, 80], [100, 100, 150, 120], [10, 150, 30, 170]], np.float64),
    np.array([0.9, 0.5, 0.3], np.float32),
    np.array([0, 1, 1]),
)


CLASSES = ("ship", "vehicle")


def write(path: Path, provenance: dict[str, Any] | None = None, objects: Detections = FOUND) -> Path:
    """A layer of what was found in the scenes that write_scene places."""
    to_map = lambda xs, ys: (UTM.c + UTM.a * xs, UTM.f + UTM.e * ys)  # noqa: E731
    parts = feature_parts([objects], CLASSES, to_map, pyproj.CRS(32633), "scene")
    write_layer(parts, RunRecord.from_json(provenance or {"crs": "EPSG:32633"}), FileTarget.of(path))
    return path


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def unpacked(text: str, dtype: str) -> NDArray[Any]:
    """A page's packed column."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)
