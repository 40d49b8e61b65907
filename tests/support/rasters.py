"""Rasters written with rasterio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lcageo.scene.raster import open_scene


def read_all(path: Path, **options: Any) -> tuple[Any, Any]:
    with open_scene(path, **options) as scene:
        return scene.read(0, 0, scene.info.width, scene.info.height, scene.info.width, scene.info.height)
