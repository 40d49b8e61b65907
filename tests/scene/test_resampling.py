"""Windows that GDAL does not resample by itself, compared with plain loops over pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.enums import Resampling
from rasterio.windows import Window
from support.scenes import noise, write_scene

from lcageo.scene import resampling
from lcageo.scene.resampling import halved, is_fractional, margin, read_bands, read_unmasked


@given(
    arrays.arrays(np.int16, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)).map(
        lambda shape: (shape[0], 2 * shape[1], 2 * shape[2])
    ))
)  # fmt: skip
def test_halving_takes_the_mean_of_four_pixels_or_the_first(pixels: np.ndarray) -> None:
    bands, height, width = pixels.shape
    means, firsts = halved(pixels, mean=True), halved(pixels, mean=False)
    for band in range(bands):
        for y in range(height // 2):
            for x in range(width // 2):
                four = pixels[band, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
                assert abs(float(means[band, y, x]) - sum(four) / 4) <= 0.5 and firsts[band, y, x] == four[0]
    assert means.dtype == pixels.dtype


@pytest.mark.parametrize(
    ("window", "shape", "expected"),
    [
        (Window(3, 4, 20, 10), (10, 20), 0.0),
        (Window(3.5, 4, 20, 10), (10, 20), 2.0),
        (Window(0, 0, 80, 10), (10, 20), 8.0),
        (Window(0, 0, 5, 5), (10, 10), 2.0),
    ],
)
def test_the_margin_is_what_interpolation_and_means_may_reach(
    window: Window, shape: tuple[int, int], expected: float
) -> None:
    assert margin(window, shape) == expected
    assert is_fractional(window) == (window.col_off == 3.5)


def test_bands_are_read_in_a_type_that_holds_them_all(tmp_path: Path) -> None:
    pixels = noise(20, 30)
    write_scene(tmp_path / "bytes.tif", pixels)
    write_scene(tmp_path / "deep.tif", pixels.astype(np.uint16) * 200)
    vrt = '<VRTDataset rasterXSize="30" rasterYSize="20"><GeoTransform>0, 1, 0, 20, 0, -1</GeoTransform>' + "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">{name}.tif'
        f"</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, (name, kind) in enumerate((("bytes", "Byte"), ("deep", "UInt16")), 1)
    )
    (tmp_path / "both.vrt").write_text(f"{vrt}</VRTDataset>")
    with rasterio.open(tmp_path / "both.vrt") as dataset:
        read = read_bands(dataset, [1, 2], Window(5, 6, 10, 8), (2, 8, 10), Resampling.nearest)
    assert read.dtype == np.uint16
    assert np.array_equal(read[0], pixels[0, 6:14, 5:15]) and np.array_equal(read[1] / 200, pixels[0, 6:14, 5:15])


def test_pixels_beneath_a_transparent_alpha_count_in_means(tmp_path: Path) -> None:
    pixels = np.concatenate([noise(16, 16), np.zeros((1, 16, 16), np.uint8)])
    write_scene(tmp_path / "rgba.tif", pixels, photometric="rgb", alpha="yes")
    with rasterio.open(tmp_path / "rgba.tif") as dataset:
        read = read_unmasked(dataset, [1, 2, 3], Window(4, 4, 8, 8), (3, 4, 4), Resampling.average)
    expected = pixels[:3, 4:12, 4:12].reshape(3, 4, 2, 4, 2).mean(axis=(2, 4))
    assert np.abs(read - expected).max() <= 0.5


@pytest.mark.parametrize("window", [Window(0, 0, 96, 96), Window(8, 16, 64, 72), Window(3.5, 2.25, 80, 90)])
def test_a_large_window_is_copied_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: Window) -> None:
    pixels = np.concatenate([noise(96, 96), np.zeros((1, 96, 96), np.uint8)])
    write_scene(tmp_path / "rgba.tif", pixels, photometric="rgb", alpha="yes")
    with rasterio.open(tmp_path / "rgba.tif") as dataset:
        whole = read_unmasked(dataset, [1, 2, 3], window, (3, 24, 16), Resampling.average)
        monkeypatch.setattr(resampling, "COPIED_PX", 1000)
        strips = read_unmasked(dataset, [1, 2, 3], window, (3, 24, 16), Resampling.average)
    assert strips.shape == whole.shape and np.abs(strips.astype(int) - whole).max() <= 1
