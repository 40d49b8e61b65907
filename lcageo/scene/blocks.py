"""Where the blocks of a GeoTIFF are stored: which of them a window needs, and in which bytes of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lcageo.scene.describe import SceneInfo

Bounds = tuple[float, float, float, float]
"""x1, y1, x2, y2 in scene pixels; may extend beyond the scene."""


def level_at(info: SceneInfo, scale: float) -> int:
    """Reduction factor of the overview that GDAL reads at a scale (scene pixels per tile pixel); 1: the scene itself.

    Source:
        GDALBandGetBestOverviewLevel2 in GDAL's rasterio.cpp, for methods other than nearest neighbour.
    """
    return max((factor for factor in info.overviews if factor <= scale), default=1)


def is_stored(dataset: Any, info: SceneInfo, bounds: Bounds) -> bool:
    """Whether any block of a window is in the file: sparse files leave out those without data.

    Args:
        dataset: the open GeoTIFF.
        info: of it.
        bounds: the window.
    """
    if info.is_one_strip:
        return True
    places = _blocks(info, bounds, 1)
    offsets = (_tag(dataset, "OFFSET", place, band, None) for place in places for band in set(info.bands))
    return any(offsets)  # in most files the first one is stored


def byte_ranges(dataset: Any, info: SceneInfo, bounds: Bounds, level: int) -> list[tuple[int, int]]:
    """First byte, and the one after the last, of each block that is stored of a window.

    Args:
        dataset: the open GeoTIFF.
        info: of it.
        bounds: the window.
        level: reduction factor of an overview, or 1. Overviews may have blocks of another size, unless the file is a
            cloud-optimized one: none are returned then.
    """
    if info.is_one_strip:
        return []
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    if level > 1 and structure.get("LAYOUT") != "COG":
        return []
    overview = info.overviews.index(level) if level > 1 else None
    apart = structure.get("INTERLEAVE") == "BAND"  # else the bands share their blocks
    ranges = []
    for band in sorted(set(info.bands)) if apart else [1]:
        for place in _blocks(info, bounds, level):
            if offset := _tag(dataset, "OFFSET", place, band, overview):
                ranges.append((offset, offset + _tag(dataset, "SIZE", place, band, overview)))
    return ranges


def _blocks(info: SceneInfo, bounds: Bounds, level: int) -> Iterator[tuple[int, int]]:
    """Column and row of each block that a window touches."""
    left, top, right, bottom = bounds
    rows, columns = (side * level for side in info.block_shape)
    for row in range(max(0, int(top // rows)), math.ceil(min(bottom, info.height) / rows)):
        for column in range(max(0, int(left // columns)), math.ceil(min(right, info.width) / columns)):
            yield column, row


def _tag(dataset: Any, name: str, place: tuple[int, int], band: int, overview: int | None) -> int:
    """What GDAL's GTiff driver tells of a block; 0 for one that is not stored."""
    column, row = place
    return int(dataset.get_tag_item(f"BLOCK_{name}_{column}_{row}", "TIFF", band, ovr=overview) or 0)
