"""Opens a raster of any kind GDAL reads and reads one window of it, with the mask of its valid pixels."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # some errors of GDAL reach us without rasterio's own class around them
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from lcageo.errors import SceneError
from lcageo.scene.describe import alpha_band, describe, palette
from lcageo.scene.order import CACHE_BYTES

# GDAL's own cache of decoded blocks, 5 % of the machine's memory, would make our memory grow with the scene. Set before
# its first block is read, in megabytes; a user's own setting goes first.
os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_BYTES // 1_000_000))

NO_NUMBER = 1e37
"""Floating-point values from here on are nodata by custom (-3.4e38 and kin), tagged or not."""
GDAL_ERRORS = (RasterioError, CPLE_BaseError, UnicodeDecodeError)
"""The last: rasterio takes GDAL's messages for UTF-8, and they quote what a damaged file says."""
_OPENING = threading.Lock()
"""Held while a file is opened: the warning filters that are changed then belong to the whole process."""


class Scene:
    """An open raster. Reading is safe from several threads: each gets a dataset handle of its own."""

    def __init__(self, path: str, bands: Sequence[int] | None = None) -> None:
        self._path = path
        self._local = threading.local()
        self._handles: list[Any] = []
        self._reads = threading.Condition()
        self._reading = 0
        self._closed = False
        dataset = self._dataset()
        try:
            with rasterio.Env():
                self.info = describe(path, dataset, bands)
                self._lookup = palette(dataset, self.info.bands[0])
        except GDAL_ERRORS as error:
            self.close()
            raise SceneError(f"scene '{path}' cannot be understood: {error}; check it with gdalinfo") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Waits for reads under way, then closes the handles of all threads: GDAL crashes if it is closed in a read."""
        with self._reads:
            self._closed = True
            self._reads.wait_for(lambda: self._reading == 0)
        while self._handles:
            self._handles.pop().close()

    def files(self) -> tuple[str, ...]:
        """Paths of the file and of those that belong to it: masks, overviews, world files, a VRT's sources."""
        return tuple(self._dataset().files)

    def read(
        self, col_off: float, row_off: float, width: float, height: float, out_width: int, out_height: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """One window, resampled to (out_height, out_width) if that differs from its size.

        Args:
            col_off: left edge in scene pixels; may be fractional, as may row_off, width and height (scene pixels).
            row_off: upper edge.
            width: the window must lie inside the scene.
            height: likewise.
            out_width: columns to return. Fewer than the window's are averaged over area, more are interpolated.
            out_height: rows to return.

        Returns:
            (3, out_height, out_width) pixels in the scene's dtype and (out_height, out_width) bool, True where valid.

        Raises:
            SceneError: if the file cannot be decoded there.
        """
        window = Window(col_off, row_off, width, height)
        shape = (out_height, out_width)
        try:
            with self._under_way(), rasterio.Env():
                valid = self._valid(window, shape)
                pixels = self._pixels(window, shape) if valid.any() else np.zeros((3, *shape), self.info.dtype)
        except GDAL_ERRORS as error:
            detail = str(error.__cause__ or error).strip()
            raise SceneError(
                f"scene '{self._path}' cannot be read at column {col_off:.0f}, row {row_off:.0f} "
                f"({width:.0f} x {height:.0f} pixels): {detail}; the file is damaged or incomplete, fetch it again"
            ) from error
        if np.issubdtype(pixels.dtype, np.floating):
            valid &= (np.abs(pixels) < NO_NUMBER).all(axis=0)  # False for NaN as well
        return pixels, valid

    def caching(self, cache_bytes: int) -> AbstractContextManager[Any]:
        """While entered, GDAL keeps so many bytes of decoded blocks, of all scenes together."""
        return rasterio.Env(GDAL_CACHEMAX=cache_bytes)  # type: ignore[no-any-return]  # bytes here, unlike elsewhere

    def is_stored(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether any block of a window is in the file: sparse GeoTIFFs leave out those without data.

        Args:
            left: scene pixels, as top, right and bottom.
        """
        if self.info.driver != "GTiff":
            return True
        dataset, (rows, columns) = self._dataset(), self.info.block_shape
        right, bottom = min(right, self.info.width), min(bottom, self.info.height)
        with self._under_way(), rasterio.Env():
            return any(  # in most files the first one is
                dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", band)
                for row in range(int(top // rows), math.ceil(bottom / rows))
                for column in range(int(left // columns), math.ceil(right / columns))
                for band in set(self.info.bands)
            )

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        with self._reads:
            if self._closed:
                raise SceneError(f"scene '{self._path}' is closed; open it again")
            self._reading += 1
        try:
            yield
        finally:
            with self._reads:
                self._reading -= 1
                self._reads.notify_all()

    def _pixels(self, window: Window, shape: tuple[int, int]) -> NDArray[Any]:
        bands = self.info.bands
        wanted = sorted(set(bands))
        shrinks = window.width > shape[1] or window.height > shape[0]
        resampling = Resampling.average if shrinks else Resampling.bilinear
        if self._lookup is not None:
            resampling = Resampling.nearest  # palette indices have no mean
        # GDAL takes a fractional window whose whole part is as large as the result for that whole part, and does not
        # resample: twice the resolution makes it do so.
        finer = 2 if _is_fractional(window) and (int(window.height), int(window.width)) == shape else 1
        finer_shape = (len(wanted), shape[0] * finer, shape[1] * finer)
        pixels = self._dataset().read(wanted, window=window, out_shape=finer_shape, resampling=resampling)
        if finer > 1:
            pixels = _halved(pixels, mean=self._lookup is None)
        if self._lookup is not None:
            return np.moveaxis(self._lookup[pixels[0]], -1, 0)  # (3, h, w)
        return np.asarray(pixels[[wanted.index(band) for band in bands]])

    def _valid(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The dataset's mask: alpha and mask bands as they are; with nodata, valid where any band has data."""
        if self.info.mask == "none":
            return np.ones(shape, np.bool_)
        dataset = self._dataset()
        alpha = alpha_band(dataset)
        bands = sorted(set(self.info.bands)) if self.info.mask == "nodata" else [self.info.bands[0]]
        if alpha is not None and self.info.mask == "nodata":
            # GDAL would let nodata hide the alpha band (and warn); a pixel must pass both.
            values = dataset.read([*bands, alpha], window=window, out_shape=(len(bands) + 1, *shape))
            return np.asarray((values[:-1] != self.info.nodata).any(axis=0) & (values[-1] > 0), np.bool_)
        masks = dataset.read_masks(bands, window=window, out_shape=(len(bands), *shape))
        return np.asarray(masks.any(axis=0), np.bool_)

    def _dataset(self) -> Any:
        if not hasattr(self._local, "dataset"):
            self._local.dataset = _open(self._path)
            self._handles.append(self._local.dataset)
        return self._local.dataset


def open_scene(path: str | Path, bands: Sequence[int] | None = None) -> Scene:
    """Opens a raster: a file, a VRT, or a GDAL path such as /vsicurl/, /vsis3/, /vsizip/.

    Args:
        path: what rasterio opens.
        bands: three 1-based band numbers to use as red, green, blue (one number: used for all three). By default
            the bands that the file calls so, else its first three, else its first one three times.

    Raises:
        SceneError: if it is missing, not a raster, or has no bands.
        UsageError: if `bands` names a band that it does not have.
    """
    return Scene(str(path), bands)


def _is_fractional(window: Window) -> bool:
    return any(float(value) != int(value) for value in (window.col_off, window.row_off, window.width, window.height))


def _halved(pixels: NDArray[Any], mean: bool) -> NDArray[Any]:
    """(n, 2h, 2w) as the means of 2 x 2 pixels, in the same dtype; palette indices, which have none, by the first."""
    if not mean:
        return pixels[:, ::2, ::2]
    bands, height, width = pixels.shape
    means = pixels.reshape(bands, height // 2, 2, width // 2, 2).mean(axis=(2, 4), dtype=np.float64)
    rounded = np.rint(means) if np.issubdtype(pixels.dtype, np.integer) else means
    return np.asarray(rounded).astype(pixels.dtype)


def _open(path: str) -> Any:
    try:
        path.encode()
    except UnicodeEncodeError as error:  # Python's own text for a name's odd bytes, which GDAL does not know
        raise SceneError(f"scene {path!a} has a name that is no UTF-8, which GDAL cannot open; rename it") from error
    remote = path.startswith("/vsi") or "://" in path or ":" in path[2:]
    if not remote and not Path(path).exists():
        raise SceneError(f"scene '{path}' does not exist; check the path")
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.Env():  # GDAL's own messages go to the log, not to standard error
                return rasterio.open(path)
        except GDAL_ERRORS as error:
            mend = (
                "name a file inside it, as /vsizip/a.zip/a.tif" if path.endswith(".zip") else "check it with gdalinfo"
            )
            raise SceneError(
                f"scene '{path}' is not a raster that GDAL can open ({str(error).strip()}); {mend}"
            ) from error
