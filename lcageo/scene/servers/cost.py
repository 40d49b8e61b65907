"""How much of a scene on a server is fetched for its tiles: whole blocks, of which tiles may show a small part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.remote import FETCHED_BYTES
from lcageo.scene.blocks import level_at
from lcageo.scene.describe import SceneInfo
from lcageo.scene.opening import open_dataset
from lcageo.scene.raster import Scene
from lcageo.scene.tiles import TileGrid

SAMPLED_BLOCKS = 16
"""Blocks along each side of a scene whose sizes in the file are looked up."""
WASTEFUL = 1.5
"""Ratio of what is fetched to what is needed from which the user is told."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a run fetches of a scene, estimated from the sizes of some blocks."""

    needed_bytes: int
    """Size of the pixels that the tiles show, stored at the resolution at which they are shown."""
    fetched_bytes: int
    """Size of the blocks that hold them."""


def fetched(scene: Scene, passes: Sequence[tuple[TileGrid, NDArray[np.bool_]]]) -> Fetched | None:
    """What a run fetches of a GeoTIFF on a server; None for other scenes.

    Args:
        scene: open.
        passes: tiles of each pass, and (tiles,) True for those that are read.

    Raises:
        SceneError: if the file cannot be opened again.
    """
    info = scene.info
    if not scene.is_remote or info.driver != "GTiff":
        return None
    each = _pixel_bytes(scene)
    kept = info.width * info.height * each <= FETCHED_BYTES  # further passes find the blocks in GDAL's cache
    needed, once, again = 0.0, 0.0, 0.0
    for grid, wanted in passes:
        bounds = np.minimum(grid.bounds()[wanted], [info.width, info.height] * 2)
        scale = min(grid.scale)
        level = level_at(info, scale)
        needed += _area(bounds) / max(1.0, scale) ** 2
        pixels = _area(_of_blocks(bounds, info, level)) / level**2
        if level == 1 and kept:
            once = max(once, pixels)
        else:
            again += pixels
    return Fetched(round(needed * each), round((once + again) * each))


def fetching_note(scene: Scene, passes: Sequence[tuple[TileGrid, NDArray[np.bool_]]]) -> list[str]:
    """A message if a scene on a server is in strips, or if much more of it is fetched than is needed.

    Arguments and errors as in `fetched`.
    """
    cost, info = fetched(scene, passes), scene.info
    if cost is None:
        return []
    rows, columns = info.block_shape
    in_strips = columns == info.width > max(grid.tile_width * grid.scale[0] for grid, _ in passes)
    if not in_strips and cost.fetched_bytes <= WASTEFUL * cost.needed_bytes:
        return []
    kind = "strips" if in_strips else "blocks"
    lacking = "" if info.overviews else ", without overviews"
    return [
        f"scene '{info.path}' is on a server and stored in {kind} of {columns:,} x {rows:,} pixels{lacking}: about "
        f"{_megabytes(cost.fetched_bytes)} MB are fetched for {_megabytes(cost.needed_bytes)} MB that are needed; make "
        "a cloud-optimized copy with gdal_translate -of COG"
    ]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f}" if count < 10_000_000 else f"{count / 1e6:,.0f}"


def _pixel_bytes(scene: Scene) -> float:
    """Mean size of a pixel in the file, in all bands that are fetched with it."""
    info = scene.info
    rows, columns = info.block_shape
    down, across = math.ceil(info.height / rows), math.ceil(info.width / columns)
    if info.is_one_strip:  # its first row stands for all of it
        down = across = 1
    with open_dataset(info.address, info.path) as dataset:
        apart = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "BAND"
        sizes = [
            int(dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", band) or 0)
            for row in np.unique(np.linspace(0, down - 1, SAMPLED_BLOCKS, dtype=int)).tolist()
            for column in np.unique(np.linspace(0, across - 1, SAMPLED_BLOCKS, dtype=int)).tolist()
            for band in (sorted(set(info.bands)) if apart else [1])
        ]
    each = float(np.mean(sizes)) * (len(set(info.bands)) if apart else 1)
    return each * down * across / (info.width * info.height)


def _of_blocks(bounds: NDArray[np.float64], info: SceneInfo, level: int) -> NDArray[np.float64]:
    """(N, 4) the rectangles, extended to whole blocks of a level; scene pixels."""
    side = np.array([info.block_shape[1], info.block_shape[0]], np.float64) * level
    first, last = np.floor(bounds[:, :2] / side) * side, np.ceil(bounds[:, 2:] / side) * side
    return np.hstack([first, np.minimum(last, [info.width, info.height])])


def _area(rectangles: NDArray[np.float64]) -> float:
    """Area of the union of (N, 4) rectangles, x1, y1, x2, y2."""
    xs, ys = np.unique(rectangles[:, [0, 2]]), np.unique(rectangles[:, [1, 3]])
    steps = np.zeros((len(ys), len(xs)))
    left, right = np.searchsorted(xs, rectangles[:, 0]), np.searchsorted(xs, rectangles[:, 2])
    top, bottom = np.searchsorted(ys, rectangles[:, 1]), np.searchsorted(ys, rectangles[:, 3])
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(steps, (row, column), sign)
    covered = steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    return float((covered * np.diff(ys)[:, None] * np.diff(xs)).sum())
