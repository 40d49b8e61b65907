"""Opens any raster that GDAL supports, or says why that is not possible."""

from __future__ import annotations

import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # some errors of GDAL are not wrapped in rasterio's own class
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from lcageo.errors import SceneError, ServerError
from lcageo.paths import on_disk
from lcageo.remote import is_on_server, is_remote, prepare_gdal, public, quoted, without_secrets
from lcageo.scene.order import CACHE_BYTES
from lcageo.scene.servers.faults import ANSWERS, listen, remedy, told
from lcageo.scene.sources import missing_source

# GDAL's default block cache, 5 % of the machine's memory, would make memory use grow with the scene. Set before the
# first block is read, in megabytes; a user's own setting takes precedence.
os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_BYTES // 1_000_000))
prepare_gdal()

GDAL_ERRORS = (RasterioError, CPLE_BaseError, UnicodeDecodeError)
"""UnicodeDecodeError: rasterio decodes GDAL's messages as UTF-8, and they can quote bytes of a damaged file."""
_READDIR = "GDAL_DISABLE_READDIR_ON_OPEN"
"""GDAL's setting with which it does not look for files beside one that it opens."""
_FILTERS = threading.Lock()


def open_dataset(address: str, name: str | None = None) -> Any:
    """A dataset of rasterio: of a file, if there is one of this name, else of a URL or one of GDAL's own paths.

    Args:
        address: of the file.
        name: what messages call it; None: the address without its secrets.

    Raises:
        SceneError: if it is missing or not a raster.
        ServerError: if its server does not deliver it.
    """
    path = name or public(address)
    try:
        address.encode()
    except UnicodeEncodeError as error:  # Python's surrogates for bytes that are not UTF-8
        raise SceneError(f"scene {path!a} has a name that is not UTF-8, which GDAL cannot open; rename it") from error
    file = on_disk(address)  # rasterio takes a Path as it is
    if file is None and not is_remote(address) and ":" not in address[2:]:
        raise SceneError(f"scene '{path}' does not exist; check the path")
    with _Quiet():
        try:
            listen()
            ANSWERS.clear()
            with rasterio.Env():  # GDAL's own messages go to the log, not to standard error
                return rasterio.open(file) if file is not None else _open_remote(address)
        except GDAL_ERRORS as error:
            if (status := ANSWERS.last(error, is_on_server(address))) is not None:
                what = f"scene '{path}' cannot be opened: {told(status)}; {remedy(status)}"
                raise ServerError(what, status) from error
            if lacking := missing_source(address):
                raise SceneError(
                    f"scene '{path}' cannot be opened: its file '{lacking}' does not exist; restore it, or build the "
                    "mosaic again"
                ) from error
            fix = _remedy(path)
            detail = without_secrets(str(error).strip(), [address])
            raise SceneError(f"scene '{path}' is not a raster that GDAL can open ({detail}); {fix}") from error


class _Quiet:
    """Context in which rasterio does not warn of a file without georeference; any number of threads may be in it.

    Warning filters are those of the whole process, so the first thread sets them and the last one restores them.
    """

    _inside = 0
    _before = warnings.catch_warnings()

    def __enter__(self) -> None:
        with _FILTERS:
            if _Quiet._inside == 0:
                _Quiet._before = warnings.catch_warnings()
                _Quiet._before.__enter__()
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _Quiet._inside += 1

    def __exit__(self, *error: object) -> None:
        with _FILTERS:
            _Quiet._inside -= 1
            if _Quiet._inside == 0:
                _Quiet._before.__exit__(None, None, None)


_ODD = re.compile(r"[^!-:<-~]")
"""What a URL needs encoded, and the ';' behind which rasterio drops the rest of a path."""


def _open_remote(address: str) -> Any:
    """A dataset of a URL or one of GDAL's own paths.

    Where a server does not list its folders, GDAL asks for forty files that may lie beside a TIFF, one after the other.
    A cloud-optimized one has everything in itself, and others are opened again, from what has been fetched.
    """
    if address.lower().startswith(("http://", "https://")) and _ODD.search(address):
        address = f"/vsicurl/{quoted(address)}"
    if Path(public(address)).suffix.lower() in (".tif", ".tiff", "") and _READDIR not in os.environ:
        try:
            with rasterio.Env(**{_READDIR: "EMPTY_DIR"}):
                dataset = rasterio.open(address)
                if dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG":
                    return dataset
                dataset.close()
        except GDAL_ERRORS as error:  # else the second attempt tells why it fails
            if ANSWERS.last(error, remote=True) is not None:
                raise
    return rasterio.open(address)


_FORMATS = {
    ".ecw": "ECW", ".sid": "MrSID", ".jp2": "JP2OpenJPEG", ".j2k": "JP2OpenJPEG", ".kmz": "KMLSUPEROVERLAY",
    ".kml": "KMLSUPEROVERLAY", ".pdf": "PDF", ".nc": "netCDF", ".h5": "HDF5", ".hdf5": "HDF5", ".hdf": "HDF4",
    ".mbtiles": "MBTiles", ".grb": "GRIB", ".grib2": "GRIB", ".heic": "HEIF", ".jxl": "JPEGXL", ".webp": "WEBP",
    ".avif": "AVIF", ".img": "HFA", ".gpkg": "GPKG", ".zarr": "Zarr", ".dt2": "DTED", ".nitf": "NITF", ".ntf": "NITF",
}  # fmt: skip
"""GDAL's driver of files with these suffixes; which of them GDAL has depends on who built it."""


def _remedy(path: str) -> str:
    """What a user can do about a file that GDAL does not open."""
    suffix = Path(path).suffix.lower()
    if suffix == ".zip":
        return "name a file inside it, such as /vsizip/a.zip/a.tif"
    driver = _FORMATS.get(suffix)
    with rasterio.Env() as environment:
        if driver is not None and driver not in environment.drivers():
            return (
                f"the GDAL that comes with rasterio cannot read {suffix} files (driver {driver}); convert it to "
                "GeoTIFF with a program that can, such as QGIS or another gdal_translate"
            )
    return "check it with gdalinfo"
