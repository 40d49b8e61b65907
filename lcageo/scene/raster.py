"""Opens any raster that GDAL supports and reads windows of it, with the mask of valid pixels."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.windows import Window

from lcageo.errors import SceneError, ServerError
from lcageo.remote import is_on_server, public, without_secrets
from lcageo.scene.bands import alpha_band, beside_inks, is_picture, nodata_values, palette, transparent
from lcageo.scene.basemap import clipped
from lcageo.scene.blocks import Bounds, byte_ranges, is_stored
from lcageo.scene.describe import describe
from lcageo.scene.located import SceneSource, locate
from lcageo.scene.opening import GDAL_ERRORS, open_dataset
from lcageo.scene.resampling import halved, is_fractional, margin, read_bands, read_unmasked
from lcageo.scene.servers.faults import ANSWERS, in_time, remedy, retried, told
from lcageo.scene.sources import Sources

NODATA_MAGNITUDE = 9e36
"""Floating-point values at least this large are nodata by convention (-3.4e38, NetCDF's 9.97e36), tagged or not."""
CLOSING_S = 10.0
"""How long closing a scene waits for a read that is under way: a server may be waited for much longer."""
_BUSY: list[Any] = []
"""Handles that were read from when their scenes were closed: never closed, as GDAL would crash."""


class Scene:
    """An open raster. Reading is safe from several threads: each gets its own dataset handle.

    A handle that has failed is not used again, nor is one of the process that this one was forked from.
    """

    def __init__(self, source: SceneSource, bands: Sequence[int] | None = None, crs: str | None = None) -> None:
        self._address, self._path = source.address, source.name
        self._local = threading.local()
        self._handles: list[Any] = []
        self._reads = threading.Condition()
        self._reading = 0
        self._closed = False
        self.is_remote = is_on_server(source.address)
        """Whether the file, or one of those that belong to it, is on a server."""
        dataset = self._dataset()
        try:
            with rasterio.Env():
                ANSWERS.clear()
                self._sources = Sources(self._path, dataset, open_dataset)
                self.is_remote |= any(map(is_on_server, self._sources.files))
                info = describe(source, dataset, self._sources.storing, bands, _masking_band(source, dataset), crs)
                notes = *info.notes, *beside_inks(self._path, self._address, dataset, open_dataset)
                self.info = replace(info, missing=self._sources.missing, notes=notes)
                self._lookup = palette(dataset, self.info.bands[0])
                self._holes = transparent(dataset, self.info.bands[0])
                of_all = MaskFlags.per_dataset in dataset.mask_flag_enums[self.info.bands[0] - 1]
                self._wanted = sorted(set(self.info.bands))
                self._masked = [self.info.bands[0]] if of_all else self._wanted
                self._nodata = np.array(nodata_values(dataset, self._wanted), np.float64)[:, None, None]
        except GDAL_ERRORS as error:
            self.close()
            if (status := ANSWERS.last(error, self.is_remote)) is not None:
                what = f"scene '{self._path}' cannot be opened: {told(status)}; {remedy(status)}"
                raise ServerError(what, status) from error
            detail = without_secrets(str(error), [self._address])
            raise SceneError(f"scene '{self._path}' cannot be interpreted: {detail}; check it with gdalinfo") from error
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
        """Waits for running reads, then closes the handles of all threads: GDAL crashes if closed during a read.

        Handles that are still read from after CLOSING_S stay open until the process ends.
        """
        with self._reads:
            self._closed = True
            if not self._reads.wait_for(lambda: self._reading == 0, CLOSING_S):
                _BUSY.extend(self._handles)
                self._handles.clear()
        while self._handles:
            self._handles.pop().close()

    @property
    def nodata(self) -> tuple[float, ...]:
        """The nodata value of red, green and blue; NaN for none."""
        return tuple(float(self._nodata[self._wanted.index(band), 0, 0]) for band in self.info.bands)

    @property
    def gdal_path(self) -> str:
        """Path by which GDAL reads its file, with the secrets of a URL; empty if there is no file."""
        return next(iter(self._sources.files), "")

    def files(self) -> tuple[str, ...]:
        """Paths of the file and of those that belong to it: masks, overviews, world files, the sources of mosaics.

        URLs are without their secrets.
        """
        return tuple(map(public, self._sources.files))

    def read(
        self, col_off: float, row_off: float, width: float, height: float, out_width: int, out_height: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """One window, resampled to (out_height, out_width) if that differs from its size.

        Args:
            col_off: left edge in scene pixels; may be fractional, as may row_off, width and height (scene pixels).
            row_off: upper edge.
            width: the window must be inside the scene.
            height: likewise.
            out_width: columns to return. Fewer than the window's are averaged over area, more are interpolated (in
                both directions, if that is so in one).
            out_height: rows to return.

        Returns:
            (3, out_height, out_width) pixels in the scene's dtype and (out_height, out_width) bool, True where valid.

        Raises:
            SceneError: if the file cannot be decoded there.
            ServerError: if its server does not deliver it, after several attempts.
        """
        window = Window(col_off, row_off, width, height)
        pixels, valid = retried(lambda settings: self._read(window, (out_height, out_width), settings))
        if np.issubdtype(pixels.dtype, np.floating):
            valid &= (np.abs(pixels) < NODATA_MAGNITUDE).all(axis=0)  # False for NaN as well
        return pixels, valid

    def _read(
        self, window: Window, shape: tuple[int, int], settings: Mapping[str, str]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        left, top, around = window.col_off, window.row_off, margin(window, shape)
        right, bottom = left + window.width, top + window.height
        try:
            with self._under_way(), self._renewed_after_errors(), rasterio.Env(**settings):
                self._sources.check(left - around, top - around, right + around, bottom + around)
                ANSWERS.clear()
                valid = self._valid(window, shape)
                pixels = self._pixels(window, shape) if valid.any() else np.zeros((3, *shape), self.info.dtype)
        except GDAL_ERRORS as error:
            told_by_gdal = str(error.__cause__ or error).strip()
            detail = without_secrets(told_by_gdal, [self._address])
            where = (
                f"scene '{self._path}' cannot be read at column {window.col_off:.0f}, row {window.row_off:.0f} "
                f"({window.width:.0f} x {window.height:.0f} pixels)"
            )
            if (status := ANSWERS.last(error, self.is_remote)) is not None:
                raise ServerError(f"{where}: {told(status)}; {remedy(status)}", status) from error
            raise SceneError(f"{where}: {detail}; {self._sources.remedy}") from error
        return pixels, valid

    def caching(self, cache_bytes: int) -> AbstractContextManager[Any]:
        """Context in which GDAL's block cache has this size, for all scenes together."""
        return rasterio.Env(GDAL_CACHEMAX=cache_bytes)  # type: ignore[no-any-return]  # bytes, unlike the variable

    def is_stored(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether any block of a window (scene pixels) is in the file; True for others than GeoTIFFs."""
        if self.info.driver != "GTiff":
            return True
        with self._under_way(), rasterio.Env():
            return is_stored(self._dataset(), self.info, (left, top, right, bottom))

    def byte_ranges(self, bounds: Bounds, level: int) -> list[tuple[int, int]]:
        """See `lcageo.scene.blocks.byte_ranges`; of a GeoTIFF."""
        with self._under_way(), rasterio.Env():
            return byte_ranges(self._dataset(), self.info, bounds, level)

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

    @contextmanager
    def _renewed_after_errors(self) -> Iterator[None]:
        """Context that closes this thread's handle if GDAL reports an error, which it may do only once per handle."""
        try:
            yield
        except GDAL_ERRORS:
            dataset = self._local.__dict__.pop("dataset", None)
            with self._reads:
                if dataset in self._handles:  # else the scene is being closed
                    self._handles.remove(dataset)
                    dataset.close()
            raise

    def _pixels(self, window: Window, shape: tuple[int, int]) -> NDArray[Any]:
        bands, wanted = self.info.bands, self._wanted
        shrinks = window.width > shape[1] or window.height > shape[0]
        enlarges = window.width < shape[1] or window.height < shape[0]  # by the mean, that would repeat pixels
        resampling = Resampling.average if shrinks and not enlarges else Resampling.bilinear
        if self._lookup is not None:
            resampling = Resampling.nearest  # palette indices have no mean
        # If the integer part of a fractional window has the size of the result, GDAL reads that part and does not
        # resample; at twice the resolution it does.
        finer = 2 if is_fractional(window) and (int(window.height), int(window.width)) == shape else 1
        finer_shape = (len(wanted), shape[0] * finer, shape[1] * finer)
        if self.info.ignores_alpha and resampling is not Resampling.nearest:
            pixels = read_unmasked(self._dataset(), wanted, window, finer_shape, resampling)
        else:
            pixels = read_bands(self._dataset(), wanted, window, finer_shape, resampling)
        if finer > 1:
            pixels = halved(pixels, mean=self._lookup is None)
        if self._lookup is not None:
            return np.moveaxis(self._lookup[pixels[0]], -1, 0)  # (3, h, w)
        return np.asarray(pixels[[wanted.index(band) for band in bands]])

    def _valid(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The scene's mask: alpha, a mask and palettes as they are; of masks and nodata per band, where any has data.

        Where there are alpha and nodata, a pixel must be valid in both.
        """
        dataset, alpha = self._dataset(), self.info.alpha
        valid = np.ones(shape, np.bool_)
        if alpha is not None:  # GDAL takes it for a mask only if it is the last of two or four bands
            valid &= dataset.read(alpha, window=window, out_shape=shape) > 0
        if alpha is not None and self.info.mask == "nodata":
            # GDAL lets nodata override the alpha band, and rasterio warns of it.
            values = read_bands(dataset, self._wanted, window, (len(self._wanted), *shape), Resampling.nearest)
            valid &= (values != self._nodata).any(axis=0)
        elif self.info.mask in ("nodata", "mask"):
            masks = dataset.read_masks(self._masked, window=window, out_shape=(len(self._masked), *shape))
            valid &= masks.any(axis=0)
        if self._holes is not None:
            valid &= ~self._holes[dataset.read(self.info.bands[0], window=window, out_shape=shape)]
        return valid

    def take_handle(self) -> None:
        """Makes the handle that the scene was opened with this thread's, after the thread that opened it has ended."""
        self._local.dataset, self._local.process = self._handles[0], os.getpid()

    def _dataset(self) -> Any:
        if getattr(self._local, "process", None) != os.getpid() or not hasattr(self._local, "dataset"):
            self._local.dataset, self._local.process = open_dataset(self._address, self._path), os.getpid()
            self._handles.append(self._local.dataset)
        return self._local.dataset


def open_scene(path: str | Path, bands: Sequence[int] | None = None, crs: str | None = None) -> Scene:
    """Opens a raster: a file, a VRT, a GDAL path such as /vsicurl/, /vsis3/, /vsizip/, or a STAC item.

    Args:
        path: what rasterio opens, or the file or URL of a STAC item, whose visual asset is the scene.
        bands: three 1-based band numbers to use as red, green, blue (one number: used for all three). By default
            the bands with these colour interpretations, else the first three, else the first one three times.
        crs: CRS of a raster that has a transform but no CRS, such as EPSG:32633.

    Raises:
        SceneError: if it is missing, not a raster, or has no bands.
        ServerError: if its server does not deliver it, or not in time.
        UsageError: if `bands` names a band that it does not have, or the CRS is unknown.
    """
    source = locate(str(path))
    if not is_on_server(source.address):
        return Scene(source, bands, crs)
    scene = in_time(lambda: Scene(source, bands, crs), f"scene '{source.name}'")
    scene.take_handle()
    return scene


def open_basemap(
    address: str,
    area: tuple[float, float, float, float],
    crs: pyproj.CRS | None,
    gsd_m: float,
    option: str,
    bands: Sequence[int] | None = None,
) -> Scene:
    """Opens a part of a basemap as a scene, at its resolution nearest to `gsd_m`; see `lcageo.scene.basemap`.

    Raises:
        UsageError: if the area, named by `option`, is not on it; the rest as in `open_scene`.
    """
    source = locate(address)
    with open_dataset(source.address, source.name) as dataset:
        part = clipped(address, dataset, area, crs, gsd_m, option)
    return Scene(replace(source, address=part), bands)


def _masking_band(source: SceneSource, dataset: Any) -> int | None:
    """Number of the alpha band; None if there is none, or it is a picture."""
    band = alpha_band(dataset)
    if band is None:
        return None
    # A handle of its own: errors that GDAL reports only once are left to the dataset that is used.
    with open_dataset(source.address, source.name) as fresh:
        return None if is_picture(fresh, band) else band
