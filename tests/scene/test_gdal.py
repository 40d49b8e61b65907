"""What GDAL and PROJ can do, against their own command line programs and lists."""

from __future__ import annotations

import pyproj
import rasterio
from rasterio.drivers import raster_driver_extensions

from lcageo.scene import gdal


def test_drivers_are_those_that_gdal_lists() -> None:
    has = gdal.has_driver()
    assert set(has) == set(gdal.DRIVERS) and has["GTiff"] and has["VRT"]
    assert {name for name in gdal.DRIVERS if name in raster_driver_extensions().values()} <= {
        name for name, is_there in has.items() if is_there
    }


def test_versions_are_those_of_the_libraries() -> None:
    assert gdal.gdal_version() == rasterio.__gdal_version__ and gdal.proj_version() == pyproj.proj_version_str


def test_grids_in_the_user_s_folder_are_found(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(pyproj.datadir, "get_user_data_dir", lambda: str(tmp_path))
    (tmp_path / "nl_nsgi_rdtrans2018.tif").touch()
    (tmp_path / "readme.txt").touch()
    assert "nl_nsgi_rdtrans2018.tif" in gdal.proj_grids() and "readme.txt" not in gdal.proj_grids()
