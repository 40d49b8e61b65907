"""lcageo: detects objects in large georeferenced imagery with LCA-Det and returns them as map features.

Only the names in `__all__` are public; they are imported on first use, so that `import lcageo` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lcageo.version import __version__

if TYPE_CHECKING:
    from lcageo.appearance import Appearance
    from lcageo.calibration import Calibration, Expected
    from lcageo.config import Backend, DetectConfig, DetectOptions, EdgeNodata, Engine, MergeMetric, Precision
    from lcageo.detections import Detections
    from lcageo.errors import LcageoError
    from lcageo.inference.api import detect
    from lcageo.inference.record import Hole, SceneSummary
    from lcageo.inference.scene import Progress, SceneResult, detect_scene
    from lcageo.network_config import NetworkConfig, Norm, Preset
    from lcageo.runtime.catalog import ModelCard, find_card
    from lcageo.runtime.layouts import Layout
    from lcageo.runtime.predictor import Predictor, load_predictor
    from lcageo.scene.describe import SceneInfo
    from lcageo.scene.georef import Georeference
    from lcageo.scene.raster import Scene, open_scene
    from lcageo.scene.stretch import Stretch
    from lcageo.vector.record import RunRecord, SceneGrid, TileCounts, ValueRange

__all__ = [
    "Appearance",
    "Backend",
    "Calibration",
    "DetectConfig",
    "DetectOptions",
    "Detections",
    "EdgeNodata",
    "Engine",
    "Expected",
    "Georeference",
    "Hole",
    "Layout",
    "LcageoError",
    "MergeMetric",
    "ModelCard",
    "NetworkConfig",
    "Norm",
    "Precision",
    "Predictor",
    "Preset",
    "Progress",
    "RunRecord",
    "Scene",
    "SceneGrid",
    "SceneInfo",
    "SceneResult",
    "SceneSummary",
    "Stretch",
    "TileCounts",
    "ValueRange",
    "__version__",
    "detect",
    "detect_scene",
    "find_card",
    "load_predictor",
    "open_scene",
]

_HOME = {
    "Appearance": "lcageo.appearance",
    "Backend": "lcageo.config",
    "Calibration": "lcageo.calibration",
    "DetectConfig": "lcageo.config",
    "DetectOptions": "lcageo.config",
    "Detections": "lcageo.detections",
    "EdgeNodata": "lcageo.config",
    "Engine": "lcageo.config",
    "Expected": "lcageo.calibration",
    "Georeference": "lcageo.scene.georef",
    "Hole": "lcageo.inference.record",
    "Layout": "lcageo.runtime.layouts",
    "LcageoError": "lcageo.errors",
    "MergeMetric": "lcageo.config",
    "ModelCard": "lcageo.runtime.catalog",
    "NetworkConfig": "lcageo.network_config",
    "Norm": "lcageo.network_config",
    "Precision": "lcageo.config",
    "Predictor": "lcageo.runtime.predictor",
    "Preset": "lcageo.network_config",
    "Progress": "lcageo.inference.scene",
    "RunRecord": "lcageo.vector.record",
    "Scene": "lcageo.scene.raster",
    "SceneGrid": "lcageo.vector.record",
    "SceneInfo": "lcageo.scene.describe",
    "SceneResult": "lcageo.inference.scene",
    "SceneSummary": "lcageo.inference.record",
    "Stretch": "lcageo.scene.stretch",
    "TileCounts": "lcageo.vector.record",
    "ValueRange": "lcageo.vector.record",
    "detect": "lcageo.inference.api",
    "detect_scene": "lcageo.inference.scene",
    "find_card": "lcageo.runtime.catalog",
    "load_predictor": "lcageo.runtime.predictor",
    "open_scene": "lcageo.scene.raster",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lcageo' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
