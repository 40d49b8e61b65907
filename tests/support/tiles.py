"""A picture of four by four tiles, as the server of a basemap has them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray
from PIL import Image

from lcageo.scene.basemap import HALF_WORLD_M

ZOOM, LEFT, TOP = 18, 134_000, 86_000
SIDE_M = 2 * HALF_WORLD_M / 2**ZOOM
"""Side of a tile, metres of Web Mercator; the tiles below are those of the columns and rows from LEFT and TOP."""
MERCATOR = pyproj.CRS(3857)


def picture() -> NDArray[np.uint8]:
    """(1024, 1024, 3), four by four tiles."""
    return np.random.default_rng(0).integers(30, 220, (1024, 1024, 3), dtype=np.uint8)


def write_tiles(folder: Path, pixels: NDArray[np.uint8], zoom: int = ZOOM) -> None:
    for row in range(pixels.shape[0] // 256):
        for column in range(pixels.shape[1] // 256):
            path = folder / str(zoom) / str(LEFT + column) / f"{TOP + row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            part = pixels[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
            Image.fromarray(part).save(path)


def bounds_m(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """Left, bottom, right, top on the map of pixels of the picture."""
    x = [-HALF_WORLD_M + (LEFT + at / 256) * SIDE_M for at in (left, right)]
    y = [HALF_WORLD_M - (TOP + at / 256) * SIDE_M for at in (bottom, top)]
    return x[0], y[0], x[1], y[1]


def gsd_m(zoom: float = ZOOM) -> float:
    """Metres on the ground of a pixel at a zoom level, in the picture's latitude (the sphere's)."""
    northing = HALF_WORLD_M - (TOP + 2) * SIDE_M
    return 2 * HALF_WORLD_M / 256 / 2**zoom / math.cosh(northing / 6378137)
