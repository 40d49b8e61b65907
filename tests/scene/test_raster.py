from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from support.rasters import read_all
from support.scenes import UTM, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene.located import locate
from lcageo.scene.raster import Scene, open_scene


def test_a_window_equals_what_was_written(tmp_path: Path) -> None:
    pixels = noise(60, 80)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        window, valid = scene.read(10, 20, 30, 15, 30, 15)
    assert (window == pixels[:, 20:35, 10:40]).all() and valid.all()


def test_bands_of_several_types_are_read_in_one_that_holds_all(tmp_path: Path) -> None:
    """As in a VRT of files of different sensors."""
    pixels = noise(20, 30).astype(np.float64) * np.array([1, 400, -0.5])[:, None, None]
    bands = ""
    for number, (dtype, name) in enumerate((("uint8", "Byte"), ("uint16", "UInt16"), ("float32", "Float32")), 1):
        write_scene(tmp_path / f"{number}.tif", pixels[[number - 1]].astype(dtype))
        source = f'<SourceFilename relativeToVRT="1">{number}.tif</SourceFilename><SourceBand>1</SourceBand>'
        bands += (
            f'<VRTRasterBand dataType="{name}" band="{number}"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
        )
    place = ", ".join(map(str, UTM.to_gdal()))
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="30" rasterYSize="20"><GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>'
    )
    with open_scene(tmp_path / "a.vrt") as scene:
        assert scene.info.dtype == "float32"
        window, _ = scene.read(10, 5, 20, 10, 20, 10)
        reduced, _ = scene.read(0, 0, 30, 20, 15, 10)
    assert window.dtype == np.float32 and (window == pixels[:, 5:15, 10:30]).all()
    assert reduced[1] == pytest.approx(pixels[1].reshape(10, 2, 15, 2).mean(axis=(1, 3)), abs=0.51)


def test_nodata_is_invalid_only_where_all_bands_have_it(tmp_path: Path) -> None:
    pixels = noise(20, 20)
    pixels[:, 5, 5] = 0
    pixels[0, 6, 6] = 0
    _, valid = read_all(write_scene(tmp_path / "a.tif", pixels, nodata=0))
    assert not valid[5, 5] and valid.sum() == 399


def test_alpha_internal_mask_and_mask_file_say_what_is_valid(tmp_path: Path) -> None:
    hole = np.full((20, 20), 255, np.uint8)
    hole[3:7, 8:12] = 0
    rgba = write_scene(
        tmp_path / "alpha.tif", np.concatenate([noise(20, 20), hole[None]]), photometric="RGB", alpha="YES"
    )
    paths = {"alpha": rgba}
    for internal in (True, False):
        path = tmp_path / f"mask-{internal}.tif"
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal),
            rasterio.open(
                path, "w", driver="GTiff", width=20, height=20, count=3, dtype="uint8", crs="EPSG:32633", transform=UTM
            ) as dataset,
        ):
            dataset.write(noise(20, 20))
            dataset.write_mask(hole)
        paths[f"mask{internal}"] = path
    assert Path(f"{paths['maskFalse']}.msk").exists()
    for kind, path in paths.items():
        with open_scene(path) as scene:
            assert kind.startswith(scene.info.mask)
        assert (read_all(path)[1] == (hole > 0)).all()


def test_alpha_and_nodata_must_both_hold(tmp_path: Path) -> None:
    alpha = np.full((1, 20, 20), 255, np.uint8)
    alpha[0, 0, 0] = 0
    pixels = noise(20, 20)
    pixels[:, 1, 1] = 7
    path = write_scene(tmp_path / "a.tif", np.concatenate([pixels, alpha]), nodata=7, photometric="RGB", alpha="YES")
    _, valid = read_all(path)
    assert not valid[1, 1] and not valid[0, 0] and valid.sum() == 398


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("form", ["NODATA_VALUES", "vrt"])
def test_each_band_has_its_own_nodata_value(tmp_path: Path, alpha: bool, form: str) -> None:
    pixels = noise(20, 20, 4 if alpha else 3) // 2 + 64
    pixels[3:] = 255
    pixels[:3, :, :5] = np.array([0, 255, 32])[:, None, None]
    pixels[0, :, 5] = 0  # in one band only
    path = write_scene(tmp_path / "a.tif", pixels, photometric="rgb", **({"alpha": "yes"} if alpha else {}))
    if form == "vrt":
        rasterio.shutil.copy(path, tmp_path / "a.vrt", driver="VRT")
        text = (tmp_path / "a.vrt").read_text()
        for band, value in enumerate((0, 255, 32), 1):
            start = text.index(">", text.index(f'band="{band}"')) + 1
            text = f"{text[:start]}<NoDataValue>{value}</NoDataValue>{text[start:]}"
        path = tmp_path / "a.vrt"
        path.write_text(text)
    else:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(NODATA_VALUES="0 255 32" + (" 255" if alpha else ""))
    _, valid = read_all(path)
    assert not valid[:, :5].any() and valid[:, 5:].all()


def test_masks_of_single_bands_are_holes_where_all_have_them(tmp_path: Path) -> None:
    masks = np.full((3, 20, 20), 255, np.uint8)
    masks[:, :, :5] = 0
    masks[1, :, 5:9] = 0
    path = write_scene(tmp_path / "a.tif", noise(20, 20))
    with rasterio.open(write_scene(tmp_path / "mask.tif", masks), "r+") as dataset:
        dataset.update_tags(**{f"INTERNAL_MASK_FLAGS_{band}": "0" for band in (1, 2, 3)})
    (tmp_path / "mask.tif").rename(tmp_path / "a.tif.msk")
    with rasterio.open(path) as dataset:
        expected = dataset.read_masks().any(axis=0)
    with open_scene(path) as scene:
        assert scene.info.mask == "mask"
    _, valid = read_all(path)
    assert (valid == expected).all() and not valid[:, :5].any() and valid[:, 5:].all()


def test_values_that_are_not_numbers_are_invalid(tmp_path: Path) -> None:
    pixels = noise(20, 20).astype(np.float32)
    pixels[1, 4, 4] = np.nan
    _, valid = read_all(write_scene(tmp_path / "a.tif", pixels))
    assert not valid[4, 4] and valid.sum() == 399


def test_shrinking_averages_over_area_at_any_ratio(tmp_path: Path) -> None:
    pixels = noise(60, 60)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        window, _ = scene.read(0, 0, 60, 60, 20, 20)
        fractional, _ = scene.read(1.5, 0, 3.0, 1.0, 2, 1)
    expected = pixels.reshape(3, 20, 3, 20, 3).mean(axis=(2, 4))
    assert np.abs(window - expected).max() <= 1
    # Columns 1.5 to 3 and 3 to 4.5: half of pixel 1 and pixel 2; pixel 3 and half of pixel 4.
    row = pixels[:, 0].astype(float)
    expected = np.stack([(row[:, 1] / 2 + row[:, 2]) / 1.5, (row[:, 3] + row[:, 4] / 2) / 1.5], axis=1)
    assert np.abs(fractional[:, 0] - expected).max() <= 1


def test_threads_read_the_same(tmp_path: Path) -> None:
    pixels = noise(200, 200)
    path = write_scene(tmp_path / "a.tif", pixels, compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    with open_scene(path) as scene, ThreadPoolExecutor(4) as pool:
        windows = list(pool.map(lambda k: scene.read(k, k, 50, 50, 50, 50)[0], range(0, 150, 3)))
    assert all(
        (window == pixels[:, k : k + 50, k : k + 50]).all() for k, window in zip(range(0, 150, 3), windows, strict=True)
    )


def test_truncated_file_says_where(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(300, 300))
    path.write_bytes(path.read_bytes()[:100_000])
    with open_scene(path) as scene, pytest.raises(SceneError, match=r"column 0, row 0 .* damaged or incomplete"):
        scene.read(0, 0, 300, 300, 300, 300)


def test_closing_closes_all_handles(tmp_path: Path) -> None:
    scene = Scene(locate(str(write_scene(tmp_path / "a.tif", noise(20, 20)))))
    scene.close()
    with pytest.raises(SceneError, match="is closed"):
        scene.read(0, 0, 5, 5, 5, 5)
