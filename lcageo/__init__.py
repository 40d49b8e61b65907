"""lcageo: objects in large georeferenced imagery, found with LCA-Det and given back as map features.

Only the names in `__all__` are public; they are imported when first used, so that `import lcageo` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lcageo.version import __version__

if TYPE_CHECKING:
    from lcageo.config import DetectConfig
    from lcageo.detections import Detections
    from lcageo.errors import LcageoError
    from lcageo.inference.api import detect
    from lcageo.inference.scene import detect_scene
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.predictor import load_predictor
    from lcageo.scene.raster import open_scene

__all__ = [
    "DetectConfig",
    "Detections",
    "LcageoError",
    "__version__",
    "detect",
    "detect_scene",
    "find_card",
    "load_predictor",
    "open_scene",
]

_HOME = {
    "DetectConfig": "lcageo.config",
    "Detections": "lcageo.detections",
    "LcageoError": "lcageo.errors",
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
