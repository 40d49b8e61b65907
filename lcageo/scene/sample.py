"""A small view of a whole scene, cheap at any size: for the stretch, the black edges, the dry run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import SceneError
from lcageo.scene.raster import Scene
from lcageo.scene.servers.faults import is_outage

SAMPLE_SIDE = 1024
"""Longest side of a decimated view, pixels."""
WHOLE_READ_LIMIT = 16_000_000
"""Maximum pixels (4,000 x 4,000) decoded for a sample; scenes without a smaller overview are probed."""
PROBES = 48
"""Probed cells along the longest side of a large scene without overviews: at most 48 x 48 block reads."""
PROBED_PIXELS = 1_000_000_000
"""Maximum pixels decoded by probing, one block per probe: with very large blocks there are fewer probes."""
PROBE_SIDE = 16
"""Pixels along a side of one probe."""
PARTS = 16
"""Parts per side into which a damaged scene is split, to be read one by one."""


@dataclass(frozen=True, slots=True)
class SceneSample:
    """Sample of a whole scene. Element (i, j) represents one cell of a regular grid over the scene."""

    pixels: NDArray[Any]
    """(3, h, w, n) native dtype: n sampled pixels of each cell (1 in a decimated view)."""
    valid: NDArray[np.bool_]
    """(h, w, n)."""


def sample_scene(scene: Scene) -> SceneSample:
    """Samples the scene from its coarsest overview if that is small enough to be decoded, else by a grid of probes."""
    if is_probed(scene):
        return _probe(scene)
    pixels, valid = read_reduced(scene, SAMPLE_SIDE)
    if scene.info.overviews and (not valid.any() or np.ptp(pixels[:, valid], axis=1).max() == 0):
        return _probe(scene)  # overviews are empty if they were made before the pixels
    return SceneSample(pixels[..., None], valid[..., None])


def sample_border(scene: Scene) -> SceneSample | None:
    """The outermost cells of `sample_scene`, all others not valid; None if it does not probe, as that is no cheaper.

    Raises:
        SceneError: if none of them can be read.
    """
    return _probe(scene, border_only=True) if is_probed(scene) else None


def is_probed(scene: Scene) -> bool:
    """Whether a scene is sampled by a grid of probes, which may miss small places with data."""
    info = scene.info
    return info.width * info.height > WHOLE_READ_LIMIT * max(info.overviews, default=1) ** 2


def read_reduced(
    scene: Scene, longest_side: int, pixel_size: tuple[float, float] = (1.0, 1.0)
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The whole scene, at most `longest_side` pixels long: (3, h, w) in its dtype, and (h, w) True where valid.

    Parts that cannot be read are not valid.

    Args:
        scene: open.
        longest_side: pixels.
        pixel_size: width and height of a pixel, in any unit; those of the result are square.

    Raises:
        SceneError: if no part can be read.
    """
    info = scene.info
    width, height = info.width * pixel_size[0], info.height * pixel_size[1]
    shrink = max(min(pixel_size), max(width, height) / longest_side)
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    try:
        return scene.read(0, 0, info.width, info.height, columns, rows)
    except SceneError as error:
        if is_outage(error):
            raise
        return _read_in_parts(scene, columns, rows, error)


def _read_in_parts(scene: Scene, columns: int, rows: int, error: SceneError) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """What can be read of a scene, reduced to (rows, columns); `error` is raised if nothing can."""
    info = scene.info
    pixels, valid = np.zeros((3, rows, columns), info.dtype), np.zeros((rows, columns), np.bool_)
    read = False
    for top, bottom in _parts(rows, info.height, info.block_shape[0]):
        for left, right in _parts(columns, info.width, info.block_shape[1]):
            x, y = left * info.width / columns, top * info.height / rows
            width, height = right * info.width / columns - x, bottom * info.height / rows - y
            try:
                part = scene.read(x, y, width, height, right - left, bottom - top)
            except SceneError as failure:
                if is_outage(failure):
                    raise
                continue
            pixels[:, top:bottom, left:right], valid[top:bottom, left:right] = part
            read = True
    if not read:
        raise error
    return pixels, valid


def _parts(length: int, side: int, block: int) -> list[tuple[int, int]]:
    """One axis of a view in at most PARTS pieces, and no more than there are blocks: a block fails as a whole."""
    parts = min(PARTS, math.ceil(side / block))
    return list(pairwise(np.unique(np.linspace(0, length, parts + 1, dtype=int)).tolist()))


def _probe(scene: Scene, border_only: bool = False) -> SceneSample:
    info = scene.info
    affordable = math.isqrt(max(1, PROBED_PIXELS // math.prod(info.block_shape)))
    cell = max(info.width, info.height) / min(PROBES, affordable)
    columns, rows = max(1, round(info.width / cell)), max(1, round(info.height / cell))
    width, height = min(PROBE_SIDE, info.width), min(PROBE_SIDE, info.height)
    pixels = np.zeros((3, rows, columns, width * height), info.dtype)
    valid = np.zeros((rows, columns, width * height), np.bool_)
    errors: list[SceneError] = []
    wanted = np.ones((rows, columns), np.bool_)
    wanted[1:-1, 1:-1] = not border_only
    for row, column in np.argwhere(wanted):
        left = _probe_start(column, columns, info.width, width)
        top = _probe_start(row, rows, info.height, height)
        try:
            window_pixels, window_valid = scene.read(left, top, width, height, width, height)
        except SceneError as error:
            if is_outage(error):
                raise
            errors.append(error)
            continue
        pixels[:, row, column] = window_pixels.reshape(3, -1)
        valid[row, column] = window_valid.ravel()
    if len(errors) == wanted.sum():
        raise errors[-1]
    return SceneSample(pixels, valid)


def _probe_start(cell: int, cells: int, side: int, length: int) -> int:
    """Where a probe of `length` pixels starts so that it is in the middle of its cell."""
    middle = (cell + 0.5) / cells * side
    return int(min(max(0.0, middle - length / 2), side - length))
