"""Polygons and numbers as text that a page holds: a tenth of what JSON would take."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcageo.vector.polygons import Geometries

UNIT = 16
"""Steps of a packed coordinate in a pixel; page.js has the same."""
FAR_PX = 5e7
"""Coordinates end here, so that every step fits 32 bits."""


def pack_polygons(shapes: Geometries) -> dict[str, str]:
    """(N,) polygons and multipolygons as three columns for page.js.

    `rings` holds how many rings each has, `sizes` how many corners each ring has (the first not repeated), `steps` x
    and y from corner to corner in UNITs of a pixel, through all of them.
    """
    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(ring[1:] != ring[:-1], True)[: len(ring)]  # repeats the ring's first
    steps = np.rint(np.clip(corners[~last], -FAR_PX, FAR_PX) * UNIT).astype(np.int64)
    return {
        "rings": pack(np.bincount(owner[part], minlength=len(shapes)), "<u4"),
        "sizes": pack(np.bincount(ring[~last], minlength=len(rings)), "<u4"),
        "steps": pack(np.diff(steps, axis=0, prepend=np.zeros((1, 2), np.int64)), "<i4"),
    }


def pack(numbers: NDArray[Any], dtype: str) -> str:
    """Numbers in a little-endian dtype, deflated (zlib), in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(numbers, dtype).tobytes(), 9)).decode("ascii")
