from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from support.scenes import noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene import prefetch
from lcageo.scene.order import ReadingOrder, reading_order
from lcageo.scene.prefetch import TileReader, read_ahead
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import TileGrid, plan_tiles

FILL = (9, 8, 7)


def reader_of(scene: Scene, size: int) -> TileReader:
    return TileReader(scene, IDENTITY, None, size, FILL)


def grid_of(scene: Scene, size: int, scale: float = 1.0) -> TileGrid:
    return plan_tiles(scene.info.width, scene.info.height, size, size // 4, (scale, scale))


def order_of(scene: Scene, grid: TileGrid, threads: int) -> ReadingOrder:
    return reading_order(scene.info, grid, np.arange(len(grid)), threads)


def test_the_threads_tiles_come_in_turn_with_their_pixels(tmp_path: Path) -> None:
    pixels = noise(230, 170)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        grid = grid_of(scene, 64)
        order = order_of(scene, grid, 3)
        read = list(filter(None, read_ahead(reader_of(scene, 64), grid, order, ahead=5)))
    assert len(grid) == 20 and [len(run) for run in order.runs] == [7, 7, 6]
    first, second, third = (run.tolist() for run in order.runs)
    in_turn = [index for three in zip(first, second, third, strict=False) for index in three]
    assert [tile.index for tile, _ in read] == [*in_turn, first[6], second[6]]
    for tile, image in read:
        rows, columns = slice(tile.row_off, tile.row_off + 64), slice(tile.col_off, tile.col_off + 64)
        assert image is not None and (image == pixels[:, rows, columns]).all()


def test_small_scenes_are_padded_with_the_fill(tmp_path: Path) -> None:
    pixels = noise(30, 40)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        image = reader_of(scene, 64).read(grid_of(scene, 64)[0])
    assert image is not None and (image[:, :30, :40] == pixels).all()
    assert (image[:, 30:] == np.array(FILL)[:, None, None]).all() and (np.array(FILL) == image[:, :, 40:].T).all()


def test_pixels_without_data_are_filled_and_tiles_without_any_are_none(tmp_path: Path) -> None:
    pixels = noise(64, 192)
    pixels[:, :, 20:140] = 0
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=0)) as scene:
        reader = reader_of(scene, 64)
        first, second = (reader.read(tile) for tile in list(plan_tiles(192, 64, 64, 0))[:2])
    assert second is None
    assert (
        first is not None
        and (np.array(FILL) == first[:, :, 20:].T).all()
        and (first[:, :, :20] == pixels[:, :, :20]).all()
    )


def test_single_pixels_that_have_the_nodata_value_by_coincidence_keep_it(tmp_path: Path) -> None:
    pixels = noise(64, 64)
    pixels[:, 30, 30] = 255
    pixels[:, :10, :10] = 255
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=255)) as scene:
        image = reader_of(scene, 64).read(grid_of(scene, 64)[0])
    assert image is not None and image[:, 30, 30].tolist() == [255] * 3 and image[:, 5, 5].tolist() == list(FILL)


@pytest.mark.parametrize("scale", [0.37, 1.02, 1.7, 2.0, 3.3])
def test_a_resampled_tile_shows_the_ground_it_claims(tmp_path: Path, scale: float) -> None:
    # A ramp: the value at a position gives that position, at any scale.
    columns = np.arange(300, dtype=np.float32) + 0.5
    ramp = np.broadcast_to(columns, (3, 300, 300)).copy()
    with open_scene(write_scene(tmp_path / "a.tif", ramp)) as scene:
        for tile in grid_of(scene, 48, scale):
            left, _, right, _ = tile.bounds
            if right > 300:
                continue  # the test below looks at the border
            pixels, _ = scene.read(left, 0, right - left, right - left, tile.width, tile.width)
            expected = left + (np.arange(tile.width) + 0.5) * scale
            inner = slice(2, -2) if scale < 1 else slice(None)  # the scene's border repeats when it is enlarged
            # Pixels are steps, not a line: a mean over parts of them is off by at most 1/8 of a pixel over the scale.
            assert np.abs(pixels[0, 0] - expected)[inner].max() <= 0.126 / max(scale, 1)


@pytest.mark.parametrize("scale", [0.7, 3.0])
def test_the_fraction_of_a_pixel_at_the_border_is_read_as_well(tmp_path: Path, scale: float) -> None:
    pixels = noise(100, 100)
    pixels[:, :, 99] = 250
    pixels[:, 99, :] = 250
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        grid = grid_of(scene, 160, scale)
        image = reader_of(scene, 160).read(grid[0])
    side = grid.tile_width
    assert side == int(np.ceil(100 / scale)) and image is not None
    # The last pixel shows the last scene pixels: one, or as many as the other pixels do, exactly.
    last = round(max(1.0, scale))
    assert np.abs(image[:, side - 1, side - 1] - pixels[:, -last:, -last:].mean(axis=(1, 2))).max() <= 1
    before = pixels[:, : last * (side - 1), -last:] if scale > 1 else pixels[:, :1, -1:]
    column = before.reshape(3, -1, last, last).mean(axis=(2, 3))
    assert np.abs(image[:, : column.shape[1], side - 1] - column).max() <= 1
    fill = np.array(FILL)[:, None, None]
    assert (image[:, :, side:] == fill).all() and (image[:, side:] == fill).all()


def test_reading_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(400, 400))) as scene:
        grid, started = grid_of(scene, 32), []
        read = scene.read
        monkeypatch.setattr(scene, "read", lambda *window: started.append(window) or read(*window))
        images = read_ahead(reader_of(scene, 32), grid, order_of(scene, grid, 2), ahead=4)
        next(images)
        assert len(started) <= 5 < len(grid)
        images.close()
    for thread in threading.enumerate():
        if thread.name.startswith("lcageo-read"):
            thread.join(5)
            assert not thread.is_alive()


def test_a_tile_that_cannot_be_read_comes_with_its_error_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    path = write_scene(tmp_path / "a.tif", noise(300, 300))
    path.write_bytes(path.read_bytes()[:150_000])
    with open_scene(path) as scene:
        grid = grid_of(scene, 64)
        read = list(filter(None, read_ahead(reader_of(scene, 64), grid, order_of(scene, grid, 2), ahead=4)))
    errors = [image for _, image in read if isinstance(image, SceneError)]
    assert 0 < len(errors) < len(read) and "damaged" in str(errors[0])


def test_a_read_that_fails_once_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    with open_scene(write_scene(tmp_path / "a.tif", noise(64, 64))) as scene:
        whole, tries = scene.read, iter([True, False])

        def stumbling(*window: float) -> object:
            if next(tries, False):
                raise SceneError("the network stumbled")
            return whole(*window)  # type: ignore[arg-type]

        monkeypatch.setattr(scene, "read", stumbling)
        grid = grid_of(scene, 64)
        ((_, image),) = filter(None, read_ahead(reader_of(scene, 64), grid, order_of(scene, grid, 1), ahead=1))
    assert isinstance(image, np.ndarray)


@pytest.mark.parametrize("nodata", [None, 0])
def test_tiles_whose_blocks_a_sparse_file_leaves_out_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodata: int | None
) -> None:
    path = tmp_path / "a.tif"
    profile = {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": True, "nodata": nodata}
    pixels = np.zeros((3, 512, 512), np.uint8)
    pixels[:, 130:180, 140:180] = noise(50, 40)
    with open_scene(write_scene(path, pixels, **profile)) as scene:
        grid, read, windows = grid_of(scene, 64), scene.read, []
        monkeypatch.setattr(scene, "read", lambda *window: windows.append(window) or read(*window))
        images = list(filter(None, read_ahead(reader_of(scene, 64), grid, order_of(scene, grid, 2), ahead=4)))
    seen = {tile.index for tile, image in images if image is not None}
    stored = {tile.index for tile in grid if tile.bounds[0] < 192 and tile.bounds[2] > 128
              and tile.bounds[1] < 192 and tile.bounds[3] > 128}  # fmt: skip
    assert seen and seen <= stored and len(windows) == len(stored) < len(grid) / 4
