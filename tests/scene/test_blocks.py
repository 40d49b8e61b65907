"""Where blocks are stored, compared with the files' bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from support.scenes import UTM, noise, write_scene

from lcageo.scene.blocks import byte_ranges, is_stored, level_at
from lcageo.scene.raster import open_scene

SIDE, BLOCK = 1500, 256


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of separate bands, not compressed."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    tiled = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band"}
    return write_scene(tmp_path_factory.mktemp("scenes") / "bands.tif", pixels, **tiled)


@pytest.fixture(scope="module")
def cog(bands: Path) -> Path:
    path = bands.with_name("cog.tif")
    rasterio.shutil.copy(bands, path, driver="COG", BLOCKSIZE=BLOCK)
    return path


def test_the_bytes_of_blocks_are_where_they_are_said_to_be(bands: Path) -> None:
    content = bands.read_bytes()
    with open_scene(bands) as scene, rasterio.open(bands) as dataset:
        pixels = dataset.read()
        ranges = byte_ranges(dataset, scene.info, (200.0, 300.0, 600.0, 900.0), 1)
    blocks = [
        pixels[band, row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
        for band in range(3)
        for row in (1, 2, 3)
        for column in (0, 1, 2)
    ]
    assert [content[first:end] for first, end in ranges] == [block.tobytes() for block in blocks]


def test_a_window_beyond_the_scene_has_no_blocks_there(cog: Path) -> None:
    whole = (0.0, 0.0, float(SIDE), float(SIDE))
    with open_scene(cog) as scene, rasterio.open(cog) as dataset:
        inside = byte_ranges(dataset, scene.info, whole, 1)
        assert byte_ranges(dataset, scene.info, (-90.0, -9.0, SIDE + 700.0, SIDE + 9.0), 1) == inside
        assert len(inside) == 36


def test_overviews_have_blocks_of_their_own(bands: Path, cog: Path) -> None:
    whole = (0.0, 0.0, float(SIDE), float(SIDE))
    with open_scene(cog) as scene, rasterio.open(cog) as dataset:
        assert [level_at(scene.info, scale) for scale in (0.5, 1.9, 2.0, 3.9, 4.0, 99.0)] == [1, 1, 2, 2, 4, 8]
        coarse = byte_ranges(dataset, scene.info, whole, 2)
        assert len(coarse) == 9 and not set(coarse) & set(byte_ranges(dataset, scene.info, whole, 1))
    other = bands.with_name("other.tif")  # whose overviews may have blocks of another size
    rasterio.shutil.copy(bands, other, driver="GTiff")
    with rasterio.open(other, "r+") as dataset:
        dataset.build_overviews([2])
    with open_scene(other) as scene, rasterio.open(other) as dataset:
        assert level_at(scene.info, 2.5) == 2 and byte_ranges(dataset, scene.info, whole, 2) == []


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_a_single_strip_is_stored_everywhere(tmp_path: Path, interleave: str) -> None:
    """GDAL splits it into rows, of which it knows the place of the first only."""
    values = noise(2100, 64)
    path = write_scene(tmp_path / "a.tif", values, blockysize=2100, compress="deflate", interleave=interleave)
    with open_scene(path) as scene, rasterio.open(path) as dataset:
        assert dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1) and scene.info.block_shape == (1, 64)
        assert dataset.get_tag_item("BLOCK_OFFSET_0_1", "TIFF", 1) is None
        for top in (0.0, 1.0, 1000.0, 2000.0):
            assert is_stored(dataset, scene.info, (0.0, top, 64.0, top + 64))
            assert byte_ranges(dataset, scene.info, (0.0, top, 64.0, top + 64), 1) == []
    rows = write_scene(tmp_path / "rows.tif", values, blockysize=1, compress="deflate")
    with open_scene(rows) as scene, rasterio.open(rows) as dataset:
        assert not scene.info.is_one_strip and len(byte_ranges(dataset, scene.info, (0.0, 5.0, 64.0, 9.0), 1)) == 4


def test_a_sparse_file_of_rows_is_no_single_strip(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 64, "height": 2100, "count": 3, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(tmp_path / "a.tif", "w", blockysize=1, compress="deflate", transform=UTM, **profile) as dataset:
        for row in (0, 900):
            dataset.write(np.full((3, 1, 64), 9, np.uint8), window=((row, row + 1), (0, 64)))
    with open_scene(tmp_path / "a.tif") as scene, rasterio.open(tmp_path / "a.tif") as dataset:
        assert is_stored(dataset, scene.info, (0.0, 890.0, 64.0, 910.0))
        assert not is_stored(dataset, scene.info, (0.0, 1.0, 64.0, 899.0))


def test_blocks_that_are_left_out_are_not_stored(tmp_path: Path) -> None:
    profile = {
        "driver": "GTiff",
        "width": 512,
        "height": 512,
        "count": 3,
        "dtype": "uint8",
        "sparse_ok": True,
        "transform": UTM,
    }
    with rasterio.open(tmp_path / "a.tif", "w", tiled=True, blockxsize=128, blockysize=128, **profile) as dataset:
        dataset.write(np.full((3, 128, 128), 9, np.uint8), window=((128, 256), (256, 384)))
    with open_scene(tmp_path / "a.tif") as scene, rasterio.open(tmp_path / "a.tif") as dataset:
        assert is_stored(dataset, scene.info, (0.0, 0.0, 512.0, 512.0))
        assert is_stored(dataset, scene.info, (383.0, 255.0, 600.0, 600.0))
        assert not is_stored(dataset, scene.info, (384.0, 256.0, 600.0, 600.0))
        assert len(byte_ranges(dataset, scene.info, (0.0, 0.0, 512.0, 512.0), 1)) in (1, 3)
