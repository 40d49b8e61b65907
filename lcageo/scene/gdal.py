"""What this installation's GDAL and PROJ can do."""

from __future__ import annotations

import os
from pathlib import Path

import pyproj
import rasterio
from pyproj.network import is_network_enabled  # type: ignore[attr-defined]  # imported there

DRIVERS = ("GTiff", "COG", "VRT", "JP2OpenJPEG", "JPEG", "PNG", "HFA", "netCDF", "ECW", "MrSID")
"""Drivers of the formats that scenes usually have."""


def gdal_version() -> str:
    """Version of the GDAL that reads scenes."""
    return str(rasterio.__gdal_version__)


def has_driver() -> dict[str, bool]:
    """For each of DRIVERS, whether this GDAL has it."""
    with rasterio.Env() as environment:
        known = environment.drivers()
    return {name: name in known for name in DRIVERS}


def proj_version() -> str:
    """Version of the PROJ that transforms coordinates."""
    return str(pyproj.proj_version_str)


def proj_grids() -> list[str]:
    """Names of the grids of transformations that are installed."""
    own: str = pyproj.datadir.get_user_data_dir()  # type: ignore[attr-defined]  # imported there
    folders = (*pyproj.datadir.get_data_dir().split(os.pathsep), own)
    found = (path.name for folder in folders for path in Path(folder).glob("*") if path.suffix in (".tif", ".gsb"))
    return sorted(set(found))


def fetches_grids() -> bool:
    """Whether PROJ fetches the grids that it lacks."""
    return bool(is_network_enabled())
