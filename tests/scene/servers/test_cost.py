"""How often and how much a scene on a server is fetched, counted by a real server, and what of that is foretold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from numpy.typing import NDArray
from support.scenes import noise, write_scene
from support.servers import served

from lcageo.inference.runner import REMOTE_THREADS
from lcageo.scene.order import reading_order
from lcageo.scene.prefetch import TileReader, read_ahead
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.servers.cost import fetched, fetching_note
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import TileGrid, plan_tiles

SIDE, TILE = 1536, 304


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cloud-optimized scene of 9 MB and the same in strips; noise cannot be compressed."""
    path = tmp_path_factory.mktemp("shared")
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    write_scene(path / "strips.tif", pixels, blockysize=1, interleave="pixel")
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": 256}
    rasterio.shutil.copy(path / "strips.tif", path / "cog.tif", driver="COG", **options)
    return path


def whole(scene: Scene) -> tuple[TileGrid, NDArray[np.bool_]]:
    grid = plan_tiles(scene.info.width, scene.info.height, TILE, TILE // 4)
    return grid, np.ones(len(grid), np.bool_)


def part(scene: Scene) -> tuple[TileGrid, NDArray[np.bool_]]:
    """The tiles of a part of 450 pixels in the middle."""
    grid, _ = whole(scene)
    left, top, right, bottom = grid.bounds().T
    return grid, (left < 900) & (right > 700) & (top < 900) & (bottom > 700)


def read(scene: Scene, grid: TileGrid, wanted: NDArray[np.bool_]) -> dict[int, bytes]:
    """The pixels of all tiles."""
    reader = TileReader(scene, IDENTITY, None, grid.tile_width, (0, 0, 0))
    order = reading_order(scene.info, grid, np.flatnonzero(wanted), REMOTE_THREADS)
    tiles = filter(None, read_ahead(reader, grid, order, ahead=8))
    return {tile.index: image.tobytes() for tile, image in tiles if isinstance(image, np.ndarray)}


def repeated(ranges: list[tuple[str, int, int]]) -> int:
    """Bytes that were fetched more than once."""
    times = np.zeros(max(end for _, _, end in ranges), np.int64)
    for _, first, end in ranges:
        times[first:end] += 1
    return int(np.maximum(times - 1, 0).sum())


def test_a_cloud_optimized_scene_is_fetched_once_in_few_requests(folder: Path) -> None:
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, *whole(scene))
    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        assert len(files.requests()) == 1 and files.heads() == ["/cog.tif"]
        found = read(scene, *whole(scene))
        coarse = plan_tiles(SIDE, SIDE, TILE, TILE // 4, (2.0, 2.0))
        read(scene, coarse, np.ones(len(coarse), np.bool_))
        read(scene, *whole(scene))  # as a further pass does
        ranges = files.ranges()
    assert found == expected
    size = (folder / "cog.tif").stat().st_size
    assert len(ranges) <= 30  # for 36 blocks and 9 of the overview
    assert size > 9_000_000 and repeated(ranges) == 0 and sum(end - first for _, first, end in ranges) <= size
    assert files.heads() == ["/cog.tif"]


def test_a_part_of_it_is_fetched_alone(folder: Path) -> None:
    with open_scene(folder / "cog.tif") as scene:
        expected = read(scene, *part(scene))
    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        assert read(scene, *part(scene)) == expected
        ranges = files.ranges()
    assert repeated(ranges) == 0
    assert sum(end - first for _, first, end in ranges) < 0.7 * (folder / "cog.tif").stat().st_size


def test_files_beside_another_scene_are_still_found(folder: Path, tmp_path: Path) -> None:
    mask = np.zeros((1, 600, 600), np.uint8)
    mask[:, :300] = 255
    write_scene(tmp_path / "a.tif", noise(600, 600), tiled=True, blockxsize=256, blockysize=256)
    write_scene(tmp_path / "a.tif.msk", mask)
    with rasterio.open(tmp_path / "a.tif.msk", "r+") as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")
    with served(tmp_path) as files, open_scene(files.url("a.tif")) as scene:
        _, valid = scene.read(0, 0, 600, 600, 600, 600)
    assert scene.info.mask == "mask" and valid[:300].all() and not valid[300:].any()


def test_strips_cost_whole_rows(folder: Path) -> None:
    with served(folder) as files, open_scene(files.url("strips.tif")) as scene:
        grid, wanted = part(scene)
        cost = fetched(scene, [(grid, wanted)])
        (note,) = fetching_note(scene, [(grid, wanted)])
    left, top, right, bottom = grid.bounds()[wanted].T
    high, wide = bottom.max() - top.min(), right.max() - left.min()
    assert cost is not None
    assert cost.needed_bytes == pytest.approx(3 * high * wide, rel=0.01)
    assert cost.fetched_bytes == pytest.approx(3 * high * SIDE, rel=0.01)
    assert "in strips of 1,536 x 1 pixels, without overviews: about" in note and "gdal_translate -of COG" in note


def test_a_single_strip_costs_its_size(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 2100, 64), np.uint8)
    path = write_scene(folder / "one.tif", pixels, blockysize=2100, compress="deflate")
    with served(folder) as files, open_scene(files.url("one.tif")) as scene:
        grid, wanted = whole(scene)
        cost = fetched(scene, [(grid, wanted)])
    assert cost is not None and cost.fetched_bytes == pytest.approx(path.stat().st_size, rel=0.01)


def test_a_cloud_optimized_scene_costs_what_is_needed(folder: Path) -> None:
    with served(folder) as files, open_scene(files.url("cog.tif")) as scene:
        grid = plan_tiles(SIDE, SIDE, TILE, TILE // 4, (2.0, 2.0))
        passes = [whole(scene), (grid, np.ones(len(grid), np.bool_))]
        cost = fetched(scene, passes)
        assert fetching_note(scene, passes) == []
    assert cost is not None
    # Noise takes as many bytes for a pixel in the overview, which has a quarter of them.
    assert cost.needed_bytes == pytest.approx(1.25 * 3 * SIDE**2, rel=0.15)
    assert cost.fetched_bytes == pytest.approx(cost.needed_bytes, rel=0.05)


def test_files_on_a_disk_cost_nothing(folder: Path) -> None:
    with open_scene(folder / "strips.tif") as scene:
        assert fetched(scene, [whole(scene)]) is None and fetching_note(scene, [whole(scene)]) == []
