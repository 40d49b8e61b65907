from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support.scenes import UTM, noise, write_scene

from lcageo.config import EdgeNodata
from lcageo.errors import UsageError
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.stretch import (
    IDENTITY,
    Stretch,
    choose_stretch,
    estimate_stretch,
    parse_stretch,
    reduced_image,
    stretch_note,
)


def test_uint8_is_left_unchanged(tmp_path: Path) -> None:
    pixels = noise(50, 50)
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        stretch = estimate_stretch(sample_scene(scene), None)
    assert stretch == IDENTITY and stretch.apply(pixels) is pixels


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_other_types_span_their_percentiles(tmp_path: Path, dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(100, 4000, (3, 200, 200)).astype(dtype)
    pixels[:, :50] = 0  # nodata must not count
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=0)) as scene:
        stretch = estimate_stretch(sample_scene(scene), None)
    low, high = np.percentile(pixels[:, 50:].reshape(3, -1), [2, 98], axis=1)
    assert stretch.low == pytest.approx(low) and stretch.high == pytest.approx(high)
    image = stretch.apply(pixels)
    expected = np.clip(
        np.round((pixels.astype(float) - low[:, None, None]) / (high - low)[:, None, None] * 255), 0, 255
    )
    assert image.dtype == np.uint8 and np.abs(image.astype(float) - expected).max() <= 1


def test_values_beyond_the_range_are_clipped_and_missing_ones_are_black() -> None:
    pixels = np.array([-1e9, 0.0, 0.5, 1.0, 1e9, np.nan]).reshape(1, 1, 6).repeat(3, axis=0)
    assert Stretch((0.0,) * 3, (1.0,) * 3).apply(pixels)[0, 0].tolist() == [0, 0, 128, 255, 255, 0]


@pytest.mark.parametrize(
    ("dtype", "nodata", "tagged"),
    [
        ("float32", -3.4028235e38, True),
        ("float32", -3.4028235e38, False),
        ("float64", -1.7976931e308, True),
        ("float64", -1.7976931e308, False),
        ("int32", -(2**31), True),
    ],
)
def test_nodata_at_the_end_of_the_range_disturbs_nothing(
    tmp_path: Path, dtype: str, nodata: float, tagged: bool
) -> None:
    pixels = np.random.default_rng(0).integers(0, 1000, (3, 60, 60)).astype(dtype)
    pixels[:, :20] = nodata
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=nodata if tagged else None)) as scene:
        stretch = estimate_stretch(sample_scene(scene), None)
        read, valid = scene.read(0, 0, 60, 60, 60, 60)
    assert not valid[:20].any() and valid[20:].all()
    assert all(0 <= low < 100 and 900 < high < 1000 for low, high in zip(stretch.low, stretch.high, strict=True))
    assert stretch.apply(read)[:, 20:].std() > 50


def test_large_integers_keep_their_differences() -> None:
    base = 2**30
    pixels = np.array([base, base + 50, base + 100], np.int64).reshape(1, 1, 3).repeat(3, axis=0)
    assert Stretch((base,) * 3, (base + 100,) * 3).apply(pixels)[0, 0].tolist() == [0, 128, 255]


def test_a_constant_scene_and_one_without_data_do_not_divide_by_zero(tmp_path: Path) -> None:
    for value, nodata in ((7, None), (7, 7)):
        path = write_scene(tmp_path / f"{nodata}.tif", np.full((3, 20, 20), value, np.uint16), nodata=nodata)
        with open_scene(path) as scene:
            stretch = estimate_stretch(sample_scene(scene), None)
        assert np.isfinite(stretch.apply(np.full((3, 2, 2), value, np.uint16))).all()


def test_a_scene_whose_data_no_probe_meets_is_told(tmp_path: Path) -> None:
    """Small places in a large raster of more than eight bits."""
    values = np.zeros((1, 4200, 4200), np.uint16)
    values[:, 10:14, 10:14] = 3000
    with open_scene(write_scene(tmp_path / "a.tif", values, nodata=0, compress="deflate")) as scene:
        stretch, _ = choose_stretch(scene)
        (line,) = stretch_note(scene, stretch)
        assert "no pixel with data was met" in line and "--stretch MIN,MAX" in line
        assert stretch_note(scene, Stretch((1.0,) * 3, (2.0,) * 3)) == []
        assert stretch_note(scene, choose_stretch(scene, "none")[0]) == []
        assert stretch_note(scene, choose_stretch(scene, "0,255")[0]) == []
    with open_scene(write_scene(tmp_path / "b.tif", noise(20, 20))) as scene:
        assert stretch_note(scene, choose_stretch(scene)[0]) == []


@pytest.mark.parametrize(
    ("text", "stretch"), [("auto", None), ("none", IDENTITY), ("10,20", Stretch((10.0,) * 3, (20.0,) * 3))]
)
def test_stretch_as_text(text: str, stretch: Any) -> None:
    assert parse_stretch(text) == stretch


@pytest.mark.parametrize("text", ["", "1", "2,1", "1,1", "a,b", "0,nan", "1,2,3"])
def test_stretch_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError, match="MIN,MAX"):
        parse_stretch(text)


def test_reduced_image_is_the_whole_scene_with_black_for_no_data(tmp_path: Path) -> None:
    pixels = noise(100, 60)
    pixels[:, 50:] = 3
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=3)) as scene:
        image = reduced_image(scene, IDENTITY, 50)
    assert image.shape == (3, 50, 30) and (image[:, 26:] == 0).all() and (image[:, :24] > 0).all()


@pytest.mark.parametrize(("dtype", "value"), [("float32", -9999), ("uint16", 65535), ("int16", -32768)])
def test_a_collar_that_no_tag_marks_is_not_part_of_the_stretch(tmp_path: Path, dtype: str, value: int) -> None:
    ground = noise(500, 600).astype(dtype)
    collar = ground.copy()
    collar[:, np.add(*np.mgrid[:500, :600]) < 450] = value
    stretches = []
    for name, pixels, tags in (("none", collar, {}), ("tagged", collar, {"nodata": value}), ("ground", ground, {})):
        with open_scene(write_scene(tmp_path / f"{name}.tif", pixels, **tags)) as scene:
            stretches.append(choose_stretch(scene)[0])
    assert stretches[0] == stretches[1] == stretches[2]
    with open_scene(tmp_path / "none.tif") as scene:
        without = choose_stretch(scene, edge_nodata=EdgeNodata.NONE)[0]
        assert without == stretches[0] and without.left_out == (value,)


@pytest.mark.parametrize("collar", [False, True])
@pytest.mark.parametrize(("dtype", "value"), [("float32", -9999), ("uint16", 65535), ("int16", -32768)])
def test_a_hole_that_no_tag_marks_is_not_part_of_the_stretch(
    tmp_path: Path, dtype: str, value: int, collar: bool
) -> None:
    ground = noise(500, 600).astype(dtype)
    holed = ground.copy()
    holed[:, 200:300, 250:400] = value
    if collar:
        holed[:, :, :40] = value
    with open_scene(write_scene(tmp_path / "holed.tif", holed)) as scene:
        stretch, edge = choose_stretch(scene)
        notes = stretch_note(scene, stretch)
    with open_scene(write_scene(tmp_path / "ground.tif", ground)) as scene:
        expected, _ = choose_stretch(scene)
    assert stretch.low == pytest.approx(expected.low, abs=2) and stretch.high == pytest.approx(expected.high, abs=2)
    assert collar is (edge is not None)
    if not collar:
        assert f"have the value {value}, far from all others" in notes[0] and "gdal_edit -a_nodata" in notes[0]


def test_holes_of_two_values_are_left_out(tmp_path: Path) -> None:
    holed = noise(300, 300).astype(np.int32)
    holed[:, 100:150, 100:150], holed[:, 200:250, 100:150] = -32768, 65535
    with open_scene(write_scene(tmp_path / "a.tif", holed)) as scene:
        stretch, _ = choose_stretch(scene)
    assert stretch.left_out == (-32768, 65535) and 25 < min(stretch.low) < max(stretch.high) < 125


def test_dark_and_bright_ground_are_part_of_the_stretch(tmp_path: Path) -> None:
    """Shadows of 0 and roofs of 4095 are the ends of the ground's range, not far from it."""
    ground = np.random.default_rng(0).integers(300, 3000, (3, 300, 300)).astype(np.uint16)
    ground[:, 100:130, 100:130], ground[:, 200:230, 100:130] = 0, 4095
    with open_scene(write_scene(tmp_path / "a.tif", ground)) as scene:
        assert choose_stretch(scene)[0].left_out == ()


def test_nodata_of_one_band_alone_is_not_part_of_its_stretch(tmp_path: Path) -> None:
    """As where bands of different footprints are put together."""
    ground = np.random.default_rng(0).integers(100, 300, (3, 300, 300)).astype(np.uint16)
    holed = ground.copy()
    holed[2, :, :15] = 20  # near the ground's values
    with open_scene(write_scene(tmp_path / "a.tif", holed, nodata=20)) as scene:
        assert choose_stretch(scene)[0].low == pytest.approx((104, 104, 104), abs=2)


def test_values_that_are_not_finite_in_one_band_are_not_part_of_its_stretch(tmp_path: Path) -> None:
    ground = noise(100, 100).astype(np.float32)
    ground[1, 20:40], ground[2, 50:52] = np.nan, 9.96921e36  # the latter is NetCDF's
    with open_scene(write_scene(tmp_path / "a.tif", ground)) as scene:
        stretch, _ = choose_stretch(scene)
    assert np.isfinite([stretch.low, stretch.high]).all() and max(stretch.high) < 256


@pytest.mark.parametrize(("across", "down"), [(1, 2), (4, 1), (1, 1)])
def test_a_reduced_image_shows_square_ground(tmp_path: Path, across: int, down: int) -> None:
    transform = UTM @ rasterio.Affine.scale(across, down)
    with open_scene(write_scene(tmp_path / "a.tif", noise(200 // down, 400 // across), transform=transform)) as scene:
        image = reduced_image(scene, IDENTITY, 100)
    assert image.shape == (3, 50, 100)
