"""What a raster file says of itself: bands, colours, what cannot be used."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.control import GroundControlPoint
from support.rasters import read_all
from support.scenes import UTM, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene


def test_palette_becomes_colour(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", np.array([[[0, 1], [2, 0]]], np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 1: (1, 2, 3, 255), 2: (200, 100, 50, 255)})
    window, _ = read_all(path)
    assert window[:, 0, 0].tolist() == [10, 20, 30] and window[:, 1, 0].tolist() == [200, 100, 50]


def test_complex_pixels_of_whole_numbers_are_refused(tmp_path: Path) -> None:
    """As Sentinel-1's SLC has them; numpy has no such type."""
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=20, height=20, count=1, dtype="complex_int16", transform=UTM
    ) as dataset:
        assert dataset.dtypes == ("complex_int16",)
    with pytest.raises(SceneError, match=r"has complex pixels \(complex_int16\); convert it to amplitude first"):
        open_scene(tmp_path / "a.tif")


def test_complex_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="complex"):
        open_scene(write_scene(tmp_path / "a.tif", noise(20, 20, 1).astype(np.complex64)))


def test_a_container_without_bands_names_what_it_holds(tmp_path: Path) -> None:
    one, two = (write_scene(tmp_path / f"{name}.tif", noise(20, 20)) for name in "ab")
    with rasterio.open(one) as source:
        profile = source.profile
    container = tmp_path / "c.gpkg"
    for table, path in (("first", one), ("second", two)):
        with (
            rasterio.open(path) as source,
            rasterio.open(
                container, "w", **{**profile, "driver": "GPKG"}, RASTER_TABLE=table, APPEND_SUBDATASET=table == "second"
            ) as target,
        ):
            target.write(source.read())
    names = r"GPKG:\S+:first, GPKG:\S+:second$"
    with pytest.raises(SceneError, match=rf"no bands; it contains several rasters, choose one: {names}"):
        open_scene(container)


def test_further_pages_are_named(tmp_path: Path) -> None:
    pages = [Image.fromarray(noise(size, size).transpose(1, 2, 0)) for size in (20, 40, 40, 40, 40, 40)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (note,) = [line for line in info_of(tmp_path / "a.tif").notes if "contains 6 rasters" in line]
    assert note.endswith(f"GTIFF_DIR:5:{tmp_path / 'a.tif'} and 1 more") and "GTIFF_DIR:2:" in note


def test_a_compression_that_rasterio_does_not_know_is_no_obstacle(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(20, 20))
    rasterio.shutil.copy(path, tmp_path / "a.mrf", driver="MRF", compress="PNG")
    assert info_of(tmp_path / "a.mrf").compression
    assert (read_all(tmp_path / "a.mrf")[0] == read_all(path)[0]).all()


def info_of(path: Path) -> SceneInfo:
    with open_scene(path) as scene:
        return scene.info


def test_size_type_and_storage_are_those_of_the_file(tmp_path: Path) -> None:
    pixels = noise(64, 96).astype(np.uint16)
    path = write_scene(tmp_path / "a.b.tif", pixels, tiled=True, blockxsize=32, blockysize=16, compress="lzw")
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    info = info_of(path)
    assert (info.name, info.driver, info.dtype, info.compression) == ("a.b", "GTiff", "uint16", "LZW")
    assert (info.width, info.height, info.count) == (96, 64, 3)
    assert info.block_shape == (16, 32) and info.overviews == (2, 4)
    (of_bands,) = info.warnings()
    assert "does not say which of its 3 bands are red, green and blue: bands 1, 2, 3 are taken" in of_bands


def test_the_resolution_is_the_geometric_mean_of_both_sides(tmp_path: Path) -> None:
    oblong = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0)  # on UTM's central meridian: scale 0.9996
    info = info_of(write_scene(tmp_path / "a.tif", noise(8, 8), transform=oblong))
    assert info.pixel_size_m == pytest.approx((0.5 / 0.9996, 2.0 / 0.9996), rel=1e-4)
    assert info.gsd_m == pytest.approx(math.sqrt(0.5 * 2.0) / 0.9996, rel=1e-4)


@pytest.mark.parametrize(
    ("dtype", "nodata", "colour"), [("uint8", 0, True), ("int16", -1, True), ("float32", -9999, False)]
)
def test_only_whole_numbers_can_be_nodata_by_coincidence(tmp_path: Path, dtype: str, nodata: int, colour: bool) -> None:
    info = info_of(write_scene(tmp_path / "a.tif", noise(8, 8).astype(dtype), nodata=nodata))
    assert (info.mask, info.nodata, info.nodata_is_a_colour) == ("nodata", nodata, colour)
    without = info_of(write_scene(tmp_path / "b.tif", noise(8, 8).astype(dtype)))
    assert (without.mask, without.nodata, without.nodata_is_a_colour) == ("none", None, False)


def test_a_scene_in_an_uncertain_position_warns(tmp_path: Path) -> None:
    corners = [GroundControlPoint(row, col, 5e5 + col, 5e6 - row) for row in (0, 8) for col in (0, 8)]
    tags = {"gcps": (corners, rasterio.CRS.from_epsg(32633))}
    (approximate,) = info_of(write_scene(tmp_path / "gcps.tif", noise(8, 8), None, None, tags)).warnings()
    assert "has no transform; it is located by its GCPS, which is approximate" in approximate
    beyond = rasterio.Affine(0.5, 0, 1e12, 0, -0.5, 1e12)
    info = info_of(write_scene(tmp_path / "beyond.tif", noise(8, 8), transform=beyond))
    assert info.gsd_m is None
    assert "is outside its CRS's area, so its resolution, lengths and areas are unknown" in info.warnings()[0]
