"""The coarse sample of a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from support.scenes import damaged_scene, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene import sample
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import read_reduced, sample_border, sample_scene
from lcageo.scene.stretch import estimate_stretch


def test_probes_of_a_large_scene_estimate_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 3000, (3, 700, 500)).astype(np.uint16)
    path = write_scene(tmp_path / "a.tif", pixels, tiled=True, blockxsize=128, blockysize=128)
    with open_scene(path) as scene:
        whole = estimate_stretch(sample_scene(scene), None)
        monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
        probed = sample_scene(scene)
    assert probed.pixels.shape == (3, 48, 34, 256) and probed.valid.all()
    assert estimate_stretch(probed, None).high == pytest.approx(whole.high, rel=0.02)


def test_a_small_scene_is_its_own_sample(tmp_path: Path) -> None:
    pixels = noise(30, 40)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        seen = sample_scene(scene)
        assert sample_border(scene) is None  # that would be no cheaper
    assert (seen.pixels[..., 0] == pixels).all() and seen.pixels.shape == (3, 30, 40, 1)
    assert seen.valid.shape == (30, 40, 1) and seen.valid.all()


@pytest.mark.parametrize(
    ("height", "width", "reduced"), [(400, 200, (50, 25)), (200, 400, (25, 50)), (1, 400, (1, 50)), (50, 50, (50, 50))]
)
def test_the_longest_side_is_limited_and_the_shape_kept(
    tmp_path: Path, height: int, width: int, reduced: tuple[int, int]
) -> None:
    ground = noise(height, width)
    with open_scene(write_scene(tmp_path / "a.tif", ground)) as scene:
        pixels, valid = read_reduced(scene, 50)
    assert pixels.shape == (3, *reduced) and valid.shape == reduced and valid.all()
    rows, columns = reduced
    blocks = ground.reshape(3, rows, height // rows, columns, width // columns)
    assert np.abs(pixels - blocks.mean(axis=(2, 4))).max() <= 1


def test_a_probe_holds_the_pixels_in_the_middle_of_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    ground = noise(960, 1920)  # 48 cells of 40 pixels along the longest side
    with open_scene(write_scene(tmp_path / "a.tif", ground)) as scene:
        seen = sample_scene(scene)
    assert seen.pixels.shape == (3, 24, 48, 16 * 16) and seen.valid.all()
    for row in (0, 11, 23):
        for column in (0, 30, 47):
            top, left = 40 * row + 12, 40 * column + 12
            probe = ground[:, top : top + 16, left : left + 16].reshape(3, -1)
            assert (seen.pixels[:, row, column] == probe).all()


def test_the_border_is_that_of_the_sample_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    with open_scene(write_scene(tmp_path / "a.tif", noise(300, 400))) as scene:
        seen, border = sample_scene(scene), sample_border(scene)
    assert border is not None
    outer = np.ones(seen.valid.shape[:2], np.bool_)
    outer[1:-1, 1:-1] = False
    assert (border.pixels[:, outer] == seen.pixels[:, outer]).all()
    assert border.valid[outer].all() and not border.valid[~outer].any()


def test_an_overview_spares_the_probing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 100 * 100)
    path = write_scene(tmp_path / "a.tif", noise(400, 400), tiled=True, blockxsize=64, blockysize=64)
    with open_scene(path) as scene:
        assert sample_scene(scene).valid.shape[2] == 16 * 16
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4])
    with open_scene(path) as scene:
        assert sample_scene(scene).valid.shape == (400, 400, 1)


@pytest.mark.parametrize("limit", [10**9, 0])
def test_a_scene_of_which_nothing_can_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", limit)
    with (
        open_scene(damaged_scene(tmp_path / "a.tif", [*range(64)])) as scene,
        pytest.raises(SceneError, match="damaged or incomplete"),
    ):
        sample_scene(scene)


def test_a_damaged_part_is_not_valid_and_the_rest_is(tmp_path: Path) -> None:
    with open_scene(damaged_scene(tmp_path / "a.tif", [9])) as scene:  # the second block of the second row
        _, valid = read_reduced(scene, 512)
    expected = np.ones((512, 512), np.bool_)
    expected[64:128, 64:128] = False
    assert (valid == expected).all()


@pytest.mark.parametrize("nodata", [0, None])
def test_empty_overviews_are_no_sample(tmp_path: Path, nodata: int | None) -> None:
    """As those that were made before the pixels were written."""
    values = np.random.default_rng(0).integers(300, 3000, (1, 2100, 2100)).astype(np.uint16)
    path = write_scene(tmp_path / "a.tif", np.zeros_like(values), nodata=nodata, tiled=True)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8])
        dataset.write(values)
    with open_scene(tmp_path / "a.tif") as scene:
        stretch = estimate_stretch(sample_scene(scene), None)
    assert stretch.low == pytest.approx((354,) * 3, rel=0.05) and stretch.high == pytest.approx((2946,) * 3, rel=0.05)
