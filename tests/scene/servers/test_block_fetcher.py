"""Blocks on a server are fetched ahead of the tiles: several at a time, each once, and what is read stays the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenes import write_scene
from support.servers import FileServer, served

from lcageo.errors import SceneError, ServerError
from lcageo.remote import CACHE_SIZE
from lcageo.scene.order import reading_order
from lcageo.scene.prefetch import TileReader, read_ahead
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.servers import faults
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import TileGrid, plan_tiles

SIDE, BLOCK = 1500, 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes of noise, which cannot be compressed: cloud-optimized, and with separate bands."""
    path = tmp_path_factory.mktemp("shared")
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    tiled = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    write_scene(path / "bands.tif", pixels, interleave="band", **tiled)
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": BLOCK}
    rasterio.shutil.copy(path / "bands.tif", path / "cog.tif", driver="COG", **options)
    return path


def grid_of(scene: Scene, size: int, scale: float = 1.0) -> TileGrid:
    return plan_tiles(scene.info.width, scene.info.height, size, size // 4, (scale, scale))


def read(scene: Scene, grid: TileGrid, ahead: int = 8, threads: int = 1) -> dict[int, bytes]:
    """The pixels of all tiles."""
    reader = TileReader(scene, IDENTITY, None, max(grid.tile_width, grid.tile_height), (0, 0, 0))
    order = reading_order(scene.info, grid, np.arange(len(grid)), threads)
    tiles = filter(None, read_ahead(reader, grid, order, ahead))
    return {tile.index: image.tobytes() for tile, image in tiles if isinstance(image, np.ndarray)}


def repeated(files: FileServer) -> int:
    """Bytes that were fetched more than once."""
    times = np.zeros(10_000_000, np.int64)
    for _, first, end in files.ranges():
        times[first:end] += 1
    return int(np.maximum(times - 1, 0).sum())


@pytest.mark.parametrize(
    ("name", "scale"), [("cog.tif", 1.0), ("cog.tif", 1.6), ("cog.tif", 2.3), ("bands.tif", 1.0), ("bands.tif", 1.6)]
)
def test_several_requests_are_waited_for_at_a_time(folder: Path, name: str, scale: float) -> None:
    with open_scene(folder / name) as scene:
        expected = read(scene, grid_of(scene, 304, scale))
    with served(folder, delay_s=0.1) as files, open_scene(files.url(f"{name}?a=1&sig=x")) as scene:
        opened = len(files.requests()), files.waited_s()
        assert read(scene, grid_of(scene, 304, scale)) == expected
        requests, waited_s = len(files.requests()) - opened[0], files.waited_s() - opened[1]
        assert repeated(files) == 0
    assert requests >= 4 and waited_s < 0.1 * (1 + requests / 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(100, 700), st.sampled_from([0.7, 1.0, 1.3, 2.0, 3.7]), st.integers(1, 9), st.integers(1, 2))
def test_whatever_the_tiles_no_byte_is_fetched_twice(
    folder: Path, size: int, scale: float, ahead: int, threads: int
) -> None:
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, grid_of(scene, size, scale))
    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        assert read(scene, grid_of(scene, size, scale), ahead, threads) == expected
        assert repeated(files) == 0
    files.log.unlink()


@pytest.mark.parametrize("fault", ["unavailable", "drop"])
def test_what_cannot_be_fetched_ahead_is_read_later(folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "PAUSES_S", (0.05, 0.1))
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, grid_of(scene, 304))
    with served(folder, fault, good=3, until=4) as files, open_scene(files.url("cog.tif")) as scene:
        assert read(scene, grid_of(scene, 304)) == expected


def test_what_nobody_can_fetch_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "PAUSES_S", (0.01, 0.01))
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with served(folder, "refuse", good=1) as files, open_scene(files.url("cog.tif")) as scene:
        with pytest.raises(SceneError, match="the server answers 403 Forbidden"):
            read(scene, grid_of(scene, 304))
        assert len(files.requests()) < 40


@pytest.mark.parametrize("size", ["128 MB", "1000"])
def test_without_a_known_cache_the_reader_fetches_itself(
    folder: Path, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, grid_of(scene, 304))
    monkeypatch.setenv(CACHE_SIZE, size)
    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        assert read(scene, grid_of(scene, 304)) == expected


def test_readers_end_when_the_tiles_are_not_wanted_any_more(folder: Path) -> None:
    with served(folder, delay_s=0.3) as files, open_scene(files.url("bands.tif")) as scene:
        grid = grid_of(scene, 304)
        order = reading_order(scene.info, grid, np.arange(len(grid)), 1)
        images = read_ahead(TileReader(scene, IDENTITY, None, 304, (0, 0, 0)), grid, order, 12)
        next(images)
        images.close()
        until = time.monotonic() + 10
        while any(thread.name.startswith("lcageo-read") for thread in threading.enumerate()):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_handle_that_cannot_be_opened_leaves_fetching_to_the_reader(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, grid_of(scene, 304))

    def fails(*arguments: object) -> None:
        raise ServerError("503", 503)

    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        monkeypatch.setattr(scene, "byte_ranges", fails)
        assert read(scene, grid_of(scene, 304)) == expected
