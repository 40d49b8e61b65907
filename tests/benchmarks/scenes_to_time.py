"""Generated scenes for timing: the demo's picture, repeated, as a tiled GeoTIFF."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

ROOT = Path(__file__).resolve().parents[2]
PATCH = 2048
BLOCK = 512


def write_scene(path: Path, side: int, compress: str = "jpeg") -> Path:
    """A scene of side x side pixels of 0.5 m with objects of all classes; an existing file is kept.

    Args:
        path: the file.
        side: in pixels.
        compress: how GDAL compresses it: jpeg, none, deflate, ...
    """
    if path.exists():
        return path
    sys.path.insert(0, str(ROOT / "examples"))
    from make_scene import render_scene

    patch = np.asarray(render_scene(PATCH, 0.5, seed=11)[0])
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633",
        "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "tiled": True, "blockxsize": BLOCK,
        "blockysize": BLOCK, "compress": compress, "bigtiff": "if_safer",
        "photometric": "YCBCR" if compress == "jpeg" else "RGB",
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.tif")
    with rasterio.open(part, "w", **profile) as dataset:
        for row in range(0, side, PATCH):
            for column in range(0, side, PATCH):
                width, height = min(PATCH, side - column), min(PATCH, side - row)
                dataset.write(patch[:, :height, :width], window=Window(column, row, width, height))
    part.replace(path)
    return path
