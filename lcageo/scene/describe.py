"""What is known about a scene before any pixel is read: size, location, bands, mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags

from lcageo.errors import SceneError, UsageError
from lcageo.scene.georef import Georeference, pixel_size_m

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
MAX_BLOCK_BYTES = 512_000_000
"""Maximum size of one block; GDAL always decodes complete blocks, however small the window."""
BLOCK_ENTRY_BYTES = 4
"""Minimum size of a GeoTIFF's entry per block, even for blocks that it leaves out: an offset and a length."""


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """What is known about a scene before any pixel is read."""

    path: str
    driver: str
    width: int
    height: int
    count: int
    dtype: str
    bands: tuple[int, int, int]
    """1-based indices of the bands that the detector sees as red, green, blue."""
    georeference: Georeference
    pixel_size_m: tuple[float, float] | None
    """Ground length of a column step and a row step in metres; None if the scene cannot be located."""
    nodata: float | None
    mask: str
    """Source of the mask of valid pixels: 'alpha', 'mask', 'nodata' or 'none'."""
    block_shape: tuple[int, int]
    overviews: tuple[int, ...]
    compression: str | None
    missing: tuple[str, ...] = ()
    """Files that it refers to, as a mosaic does, and that do not exist."""

    @property
    def gsd_m(self) -> float | None:
        """Ground sampling distance: the geometric mean of the two pixel lengths, in metres."""
        return None if self.pixel_size_m is None else float(np.sqrt(self.pixel_size_m[0] * self.pixel_size_m[1]))

    @property
    def nodata_is_a_colour(self) -> bool:
        """Whether a valid pixel can have the nodata value by coincidence."""
        return self.mask == "nodata" and np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""
        return Path(self.path).stem

    def warnings(self) -> list[str]:
        """Warnings about missing files, and about the result's location on the map."""
        return [*self._missing_files(), *self._location()]

    def _missing_files(self) -> list[str]:
        if not self.missing:
            return []
        others = f" and {len(self.missing) - 1:,} other files" if len(self.missing) > 1 else ""
        verb = "do" if others else "does"
        return [
            f"scene '{self.path}' refers to '{self.missing[0]}'{others}, which {verb} not exist; what they show cannot "
            "be read: restore them, or build the mosaic again"
        ]

    def _location(self) -> list[str]:
        kind = self.georeference.kind
        if kind == "none":
            return [
                f"scene '{self.path}' has no {self.georeference.lacks}, so results are in pixels; "
                "assign one with gdal_edit or rio edit-info"
            ]
        if self.pixel_size_m is None:
            return [
                f"scene '{self.path}' is outside its CRS's area, so its resolution, lengths and areas are unknown; "
                "check its coordinates with 'lcageo info'"
            ]
        if kind != "affine":
            return [f"scene '{self.path}' has no transform; it is located by its {kind.upper()}, which is approximate"]
        return []


def describe(path: str, dataset: Any, bands: Sequence[int] | None) -> SceneInfo:
    """The description of an open dataset.

    Raises:
        SceneError: if it has no bands, complex pixels, an impossible size, or an unusable CRS.
        UsageError: if `bands` names a band that it does not have.
    """
    if dataset.count == 0:
        inside = f"; it contains several rasters, choose one: {dataset.subdatasets[0]}" if dataset.subdatasets else ""
        raise SceneError(f"scene '{path}' has no bands{inside}")
    chosen = _choose_bands(path, dataset, bands)
    dtype = dataset.dtypes[chosen[0] - 1]
    if dtype.startswith("complex"):
        raise SceneError(f"scene '{path}' has complex pixels ({dtype}); convert it to amplitude first")
    _check_blocks(path, dataset, chosen[0])
    georeference = Georeference.of_dataset(dataset)
    return SceneInfo(
        path=path,
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        count=dataset.count,
        dtype="uint8" if palette(dataset, chosen[0]) is not None else dtype,
        bands=chosen,
        georeference=georeference,
        pixel_size_m=pixel_size_m(georeference, dataset.width, dataset.height),
        nodata=dataset.nodata,
        mask=_mask_kind(dataset, chosen),
        block_shape=dataset.block_shapes[chosen[0] - 1],
        overviews=tuple(dataset.overviews(chosen[0])),
        compression=dataset.compression.value if dataset.compression else None,
    )


def _choose_bands(path: str, dataset: Any, bands: Sequence[int] | None) -> tuple[int, int, int]:
    if bands:
        outside = [band for band in bands if not 1 <= band <= dataset.count]
        if outside or len(bands) not in (1, 3):
            raise UsageError(
                f"--bands {','.join(map(str, bands))} does not fit scene '{path}', which has {dataset.count} band(s); "
                f"give one or three numbers from 1 to {dataset.count}"
            )
        return (bands[0], bands[0], bands[0]) if len(bands) == 1 else (bands[0], bands[1], bands[2])
    meaning = _meanings(dataset)
    if all(color in meaning for color in RGB):
        red, green, blue = (meaning.index(color) + 1 for color in RGB)
        return red, green, blue
    colours = [band for band in dataset.indexes if meaning[band - 1] is not ColorInterp.alpha] or [1]
    return (colours[0], colours[1], colours[2]) if len(colours) >= 3 else (colours[0], colours[0], colours[0])


def palette(dataset: Any, band: int) -> NDArray[np.uint8] | None:
    """(256, 3) colours of a paletted band, or None."""
    if _meanings(dataset)[band - 1] is not ColorInterp.palette or dataset.dtypes[band - 1] != "uint8":
        return None
    colours = dataset.colormap(band)
    return np.array([colours.get(index, (0, 0, 0, 0))[:3] for index in range(256)], np.uint8)


def alpha_band(dataset: Any) -> int | None:
    """Number of the alpha band, or None."""
    meaning = _meanings(dataset)
    return meaning.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in meaning else None


def _meanings(dataset: Any) -> list[ColorInterp]:
    """Colour interpretation of the bands.

    rasterio raises earlier errors of GDAL here, such as overviews cut off by a download, but only once.
    """
    with suppress(CPLE_BaseError):
        return list(dataset.colorinterp)
    return list(dataset.colorinterp)


def _check_blocks(path: str, dataset: Any, band: int) -> None:
    """Rejects sizes that only a damaged header gives, or that do not fit in memory."""
    rows, columns = dataset.block_shapes[band - 1]
    together = dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    block_bytes = rows * columns * together * np.dtype(dataset.dtypes[band - 1]).itemsize
    if block_bytes > MAX_BLOCK_BYTES:
        raise SceneError(
            f"scene '{path}' is stored in blocks of {columns:,} x {rows:,} pixels, which take {block_bytes / 1e6:,.0f} "
            f"MB each when decoded (at most {MAX_BLOCK_BYTES / 1e6:.0f} MB are allowed); "
            "make a copy with gdal_translate -co TILED=YES"
        )
    blocks = math.ceil(dataset.width / columns) * math.ceil(dataset.height / rows)
    if dataset.driver == "GTiff" and Path(path).is_file():
        file_bytes = Path(path).stat().st_size
        if blocks * BLOCK_ENTRY_BYTES > file_bytes:
            raise SceneError(
                f"scene '{path}' claims to have {dataset.width:,} x {dataset.height:,} pixels in {blocks:,} blocks, "
                f"but the file has only {file_bytes:,} bytes; it is damaged or incomplete, download it again"
            )


def _mask_kind(dataset: Any, bands: Sequence[int]) -> str:
    flags = dataset.mask_flag_enums[bands[0] - 1]
    if MaskFlags.alpha in flags:
        return "alpha"
    if MaskFlags.per_dataset in flags:
        return "mask"
    return "nodata" if MaskFlags.nodata in flags else "none"
