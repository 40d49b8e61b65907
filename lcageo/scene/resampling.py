"""Reads windows of an open raster, resampled where GDAL cannot do it by itself."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.windows import Window

SPARE = 8
"""Pixels per side that are copied for one of the result, at most, where GDAL must not resample itself."""
COPIED_PX = 16_000_000
"""Pixels of each band that are copied at a time, at most."""


def read_bands(
    dataset: Any, bands: list[int], window: Window, out_shape: tuple[int, int, int], resampling: Resampling
) -> NDArray[Any]:
    """Bands of a window in one type, which holds the values of all: those of a VRT may differ in theirs."""
    if len({dataset.dtypes[band - 1] for band in bands}) == 1:
        return np.asarray(dataset.read(bands, window=window, out_shape=out_shape, resampling=resampling))
    options = {"window": window, "out_shape": out_shape[1:], "resampling": resampling}
    read = [dataset.read(band, **options) for band in bands]  # together, rasterio refuses them
    return np.stack(read).astype(np.result_type(*read))


def read_unmasked(
    dataset: Any, bands: list[int], window: Window, out_shape: tuple[int, int, int], resampling: Resampling
) -> NDArray[Any]:
    """What `dataset.read` would give if the file had no alpha band: GDAL leaves pixels out of means where that is 0.

    The window is copied, at up to SPARE times the size of the result, into a dataset in memory and resampled there; a
    large one in strips of rows.
    """
    count, result_rows, result_columns = out_shape
    strips = min(window.width * window.height, SPARE**2 * result_rows * result_columns) / COPIED_PX
    if strips > 1 and result_rows > 1:
        ends = np.linspace(0, result_rows, min(result_rows, math.ceil(strips)) + 1).astype(int).tolist()
        each = window.height / result_rows
        parts = [
            (Window(window.col_off, window.row_off + top * each, window.width, (end - top) * each), end - top)
            for top, end in pairwise(ends)
        ]
        read = [read_unmasked(dataset, bands, part, (count, rows, result_columns), resampling) for part, rows in parts]
        return np.concatenate(read, axis=1)
    left, top = math.floor(window.col_off), math.floor(window.row_off)
    width = math.ceil(window.col_off + window.width) - left
    height = math.ceil(window.row_off + window.height) - top
    columns, rows = min(width, SPARE * out_shape[2]), min(height, SPARE * out_shape[1])
    whole = Window(left, top, width, height)
    copied = read_bands(dataset, bands, whole, (len(bands), rows, columns), Resampling.nearest)
    across, down = columns / width, rows / height
    part = Window(
        (window.col_off - left) * across, (window.row_off - top) * down, window.width * across, window.height * down
    )
    profile = {"driver": "GTiff", "width": columns, "height": rows, "count": len(bands), "photometric": "minisblack"}
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile, dtype=copied.dtype, alpha="unspecified") as plain:
            plain.write(copied)
        with memory.open() as plain:
            return np.asarray(plain.read(window=part, out_shape=out_shape, resampling=resampling))


def is_fractional(window: Window) -> bool:
    """Whether a window has parts of pixels."""
    return any(float(value) != int(value) for value in (window.col_off, window.row_off, window.width, window.height))


def margin(window: Window, shape: tuple[int, int]) -> float:
    """Pixels around a window that its interpolated or averaged pixels may depend on."""
    if not is_fractional(window) and (window.height, window.width) == shape:
        return 0.0
    return 2.0 * max(1.0, float(window.width) / shape[1], float(window.height) / shape[0])


def halved(pixels: NDArray[Any], mean: bool) -> NDArray[Any]:
    """(n, 2h, 2w) to (n, h, w): means of 2 x 2 pixels in the same dtype; for palette indices, the first of each."""
    if not mean:
        return pixels[:, ::2, ::2]
    bands, height, width = pixels.shape
    means = pixels.reshape(bands, height // 2, 2, width // 2, 2).mean(axis=(2, 4), dtype=np.float64)
    rounded = np.rint(means) if np.issubdtype(pixels.dtype, np.integer) else means
    return np.asarray(rounded).astype(pixels.dtype)
