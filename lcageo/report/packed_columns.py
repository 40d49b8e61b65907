"""Polygons and numbers as compressed text inside a page, a tenth of the size of JSON."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcageo.vector.polygons import Geometries

UNIT = 16
"""Steps of a packed coordinate per pixel; page.js has the same constant."""
FAR_PX = 5e7
"""Coordinates are clipped to this, so that every step fits into 32 bits."""


def pack_polygons(shapes: Geometries) -> dict[str, str]:
    """Packs (N,) polygons and multipolygons into three columns for page.js.

    `rings` holds the number of rings of each shape, `sizes` the number of corners of each ring (the first not
    repeated), `steps` the x and y offsets from each corner to the next, through all rings, in steps of 1/UNIT pixel.
    """
    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(ring[1:] != ring[:-1], True)[: len(ring)]  # repeats the ring's first corner
    steps = np.rint(np.clip(corners[~last], -FAR_PX, FAR_PX) * UNIT).astype(np.int64)
    return {
        "rings": pack(np.bincount(owner[part], minlength=len(shapes)), "<u4"),
        "sizes": pack(np.bincount(ring[~last], minlength=len(rings)), "<u4"),
        "steps": pack(np.diff(steps, axis=0, prepend=np.zeros((1, 2), np.int64)), "<i4"),
    }


def pack(numbers: NDArray[Any], dtype: str) -> str:
    """Packs numbers: a little-endian dtype, deflated (zlib), in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(numbers, dtype).tobytes(), 9)).decode("ascii")
