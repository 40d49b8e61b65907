"""Writes small GeoTIFFs for tests."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

UTM = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def write_scene(
    path: Path,
    pixels: NDArray[Any],
    crs: str | None = "EPSG:32633",
    transform: rasterio.Affine | None = UTM,
    tags: Mapping[str, Any] = MappingProxyType({}),
    **profile: Any,
) -> Path:
    """Writes (bands, h, w) pixels as a GeoTIFF and returns its path; `tags` are set on the open dataset."""
    placed = {} if transform is None else {"transform": transform}
    bands, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some tests need such files
        with rasterio.open(
            path, "w", **{"driver": "GTiff", "crs": crs, **placed, **profile},
            width=width, height=height, count=bands, dtype=pixels.dtype,
        ) as dataset:  # fmt: skip
            for name, value in tags.items():
                setattr(dataset, name, value)
            dataset.write(pixels)
    return path


def noise(height: int, width: int, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """(bands, height, width) uint8, 30 to 120: neither black nor white nor bright."""
    return np.random.default_rng(seed).integers(30, 120, (bands, height, width), dtype=np.uint8)


def squares(height: int, width: int, places: Sequence[tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    """Noise with bright squares at (x, y, side, brightness)."""
    pixels = noise(height, width)
    for x, y, side, brightness in places:
        pixels[:, y : y + side, x : x + side] = brightness
    return pixels


def damaged_scene(path: Path, blocks: list[int], places: Sequence[tuple[int, int, int, int]] = ()) -> Path:
    """A deflated scene of 512 x 512 pixels with some of its blocks of 64 x 64 (row by row) overwritten."""
    write_scene(path, squares(512, 512, places), tiled=True, blockxsize=64, blockysize=64, compress="deflate",
                interleave="pixel")  # fmt: skip
    content = bytearray(path.read_bytes())
    with rasterio.open(path) as dataset:
        for block in blocks:
            row, column = divmod(block, 512 // 64)
            offset, size = (
                int(dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE")
            )
            content[offset : offset + size] = bytes(size)
    path.write_bytes(content)
    return path
