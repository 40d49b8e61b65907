from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenes import noise, write_scene

from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import Georeference
from lcageo.scene.order import CACHE_BYTES, MAX_CACHE_BYTES, reading_order
from lcageo.scene.tiles import plan_tiles

READ_ALL = """
import sys
from pathlib import Path
import numpy as np
from lcageo.scene.order import reading_order
from lcageo.scene.prefetch import TileReader, read_ahead
from lcageo.scene.raster import open_scene
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import plan_tiles

def characters():
    return int(Path("/proc/self/io").read_text().split()[1])

with open_scene(sys.argv[1]) as scene:
    grid = plan_tiles(scene.info.width, scene.info.height, 256, 64, (float(sys.argv[2]),) * 2)
    order = reading_order(scene.info, grid, np.arange(len(grid)), 2)
    before = characters()
    for tile, image in filter(None, read_ahead(TileReader(scene, IDENTITY, None, 256, (0, 0, 0)), grid, order, 4)):
        assert isinstance(image, np.ndarray)
    print(characters() - before, order.fits)
"""


def info_of(width: int, height: int, block: tuple[int, int]) -> SceneInfo:
    return SceneInfo(
        "a.tif",
        "GTiff",
        width,
        height,
        3,
        "uint8",
        (1, 2, 3),
        Georeference(None),
        None,
        None,
        "none",
        block,
        (),
        None,
        "a.tif",
    )


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 40_000),
    height=st.integers(1, 4_000),
    block=st.sampled_from([(1, None), (16, None), (256, 256), (512, 512), (2048, 2048)]),
    threads=st.integers(1, 5),
    seed=st.integers(0, 5),
)
def test_every_tile_is_read_once_by_one_thread(
    width: int, height: int, block: tuple[int, int | None], threads: int, seed: int
) -> None:
    grid = plan_tiles(width, height, 256, 64)
    random = np.random.default_rng(seed)
    todo = np.flatnonzero(random.random(len(grid)) < 0.7)
    order = reading_order(info_of(width, height, (block[0], block[1] or width)), grid, todo, threads)
    lengths = [len(run) for run in order.runs]
    assert np.sort(np.concatenate(order.runs)).tolist() == todo.tolist()
    assert max(lengths) - min(lengths) <= 1 and len(lengths) <= threads
    assert CACHE_BYTES <= order.cache_bytes <= MAX_CACHE_BYTES


def test_rows_are_as_long_as_the_cache_holds_their_blocks() -> None:
    grid = plan_tiles(200_000, 5_000, 512, 128)
    (run,) = reading_order(info_of(200_000, 5_000, (512, 512)), grid, np.arange(len(grid)), 1).runs
    across = len(grid.col_starts)
    columns = int(np.argmax(run // across != 0))  # tiles before the second row starts
    expected = ((columns - 1) * 384 + 512 + 2 * 512) * (512 + 512) * 3  # bytes of blocks, wherever the tiles start
    assert 10 < columns < across and 0.9 * CACHE_BYTES < expected < 1.05 * CACHE_BYTES


def test_strips_that_no_cache_holds_are_reported() -> None:
    grid = plan_tiles(2_000_000, 5_000, 512, 128)
    order = reading_order(info_of(2_000_000, 5_000, (1, 2_000_000)), grid, np.arange(len(grid)), 4)
    assert not order.fits and len(order.runs) == 1


@pytest.mark.parametrize(
    "profile",
    [
        {"blockysize": 1, "compress": "deflate"},
        {"blockysize": 16, "compress": "deflate", "interleave": "pixel"},
        {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"},
        {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "jpeg", "photometric": "ycbcr"},
    ],
    ids=["strips of a row", "strips of 16 rows", "tiled", "jpeg"],
)
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_blocks_are_decoded_nearly_once(tmp_path: Path, profile: dict[str, Any], scale: float) -> None:
    # As GDAL reads a block's bytes whenever it decodes it, the bytes read show how often; 2,600 x 12,000 pixels are
    # 94 MB, more than the cache holds.
    path = write_scene(tmp_path / "a.tif", np.tile(noise(650, 1_000), (1, 4, 12)), **profile)
    command = [sys.executable, "-c", READ_ALL, str(path), str(scale)]
    read, fits = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert fits == "True" and 0.95 < int(read) / path.stat().st_size < 1.25
