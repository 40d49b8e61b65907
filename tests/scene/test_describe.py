"""What a raster file says of itself: bands, colours, what cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from support.rasters import read_all
from support.scenes import noise, write_scene

from lcageo.errors import SceneError, UsageError
from lcageo.scene.raster import open_scene


@pytest.mark.parametrize(
    ("bands", "meaning", "used"),
    [
        (1, [ColorInterp.gray], (1, 1, 1)),
        (2, [ColorInterp.gray, ColorInterp.alpha], (1, 1, 1)),
        (4, [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined], (3, 2, 1)),
        (5, [ColorInterp.undefined] * 5, (1, 2, 3)),
        (4, [ColorInterp.alpha, *[ColorInterp.undefined] * 3], (2, 3, 4)),
    ],
)
def test_bands_are_chosen_by_colour_then_by_order(
    tmp_path: Path, bands: int, meaning: list[ColorInterp], used: tuple[int, ...]
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(20, 20, bands))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = meaning
    with open_scene(path) as scene:
        assert scene.info.bands == used


def test_bands_as_asked_in_their_order(tmp_path: Path) -> None:
    pixels = noise(20, 20, 4)
    window, _ = read_all(write_scene(tmp_path / "a.tif", pixels), bands=[4, 3, 2])
    assert (window == pixels[[3, 2, 1]]).all()


@pytest.mark.parametrize("bands", [[1, 2, 4], [0, 1, 2], [1, 2]])
def test_bands_that_do_not_fit_are_refused(tmp_path: Path, bands: list[int]) -> None:
    with pytest.raises(UsageError, match="has 3 band"):
        open_scene(write_scene(tmp_path / "a.tif", noise(20, 20)), bands)


def test_palette_becomes_colour(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", np.array([[[0, 1], [2, 0]]], np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 1: (1, 2, 3, 255), 2: (200, 100, 50, 255)})
    window, _ = read_all(path)
    assert window[:, 0, 0].tolist() == [10, 20, 30] and window[:, 1, 0].tolist() == [200, 100, 50]


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
    with pytest.raises(SceneError, match=r"no bands; it contains several rasters, choose one: GPKG:"):
        open_scene(container)
