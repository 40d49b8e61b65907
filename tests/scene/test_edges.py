from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.scenes import damaged_scene, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene import sample
from lcageo.scene.edges import EdgeMask, _connected_to_border, find_edge, may_have_edge, with_data, without_specks
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.stretch import choose_stretch


def edge_of(path: Path) -> EdgeMask | None:
    with open_scene(path) as scene:
        return find_edge(sample_scene(scene), scene.info)


def slanted(height: int, width: int) -> NDArray[np.bool_]:
    """The upper-left corner, cut off slantwise."""
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(rows + columns < height // 2)


def flood(extreme: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The plain way: from every border pixel, step by step."""
    found = np.zeros_like(extreme)
    rows, columns = extreme.shape
    todo = [(r, c) for r in range(rows) for c in range(columns) if r in (0, rows - 1) or c in (0, columns - 1)]
    while todo:
        r, c = todo.pop()
        if 0 <= r < rows and 0 <= c < columns and extreme[r, c] and not found[r, c]:
            found[r, c] = True
            todo += [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
    return found


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_sweeps_are_a_flood_fill_from_the_border(seed: int, rows: int, columns: int) -> None:
    extreme = np.random.default_rng(seed).random((rows, columns)) < 0.6
    assert (_connected_to_border(extreme) == flood(extreme)).all()


@pytest.mark.parametrize(("value", "name"), [(0, "0"), (4, "0"), (255, "255"), (125, "125")])
def test_a_collar_is_found_to_the_pixel(tmp_path: Path, value: int, name: str) -> None:
    pixels = noise(300, 400)
    collar = slanted(300, 400)
    pixels[:, collar] = value
    pixels[:, 200:210, 200:210] = value  # dark ground inside is not a collar
    edge = edge_of(write_scene(tmp_path / "a.tif", pixels))
    assert edge is not None and edge.name == name
    valid = edge.valid(pixels[:, 0:200, 0:300], 0, 0, 300, 200)
    assert (valid == ~collar[0:200, 0:300]).all()
    assert edge.valid(pixels[:, 200:220, 190:220], 190, 200, 30, 20).all()


def test_probed_scenes_find_it_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    pixels = noise(600, 800)
    collar = slanted(600, 800)
    pixels[:, collar] = 0
    edge = edge_of(write_scene(tmp_path / "a.tif", pixels))
    assert edge is not None
    assert (edge.valid(pixels, 0, 0, 800, 600) == ~collar).all()


@pytest.mark.parametrize("collar", ["none", "slanted", "inside", "unreadable"])
def test_the_border_shows_that_there_is_no_edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collar: str) -> None:
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    pixels = noise(800, 800)
    if collar == "slanted":
        pixels[:, slanted(800, 800)] = 255
    if collar == "inside":
        pixels[:, 200:500, 200:500] = 0
    path = write_scene(tmp_path / "a.tif", pixels)
    with open_scene(path) as scene:
        read, windows = scene.read, []

        def counted(*window: float) -> object:
            windows.append(window)
            if collar == "unreadable":
                raise SceneError("damaged")
            return read(*window)  # type: ignore[arg-type]

        monkeypatch.setattr(scene, "read", counted)
        assert may_have_edge(scene) is (collar in ("slanted", "unreadable"))
    assert len(windows) == 4 * 47
    assert (edge_of(path) is not None) is (collar == "slanted")


def test_the_share_with_data_is_that_of_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(600, 800)
    collar = slanted(600, 800)
    pixels[:, collar] = 0
    path = write_scene(tmp_path / "a.tif", pixels)
    for limit in (10**9, 0):
        monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", limit)
        with open_scene(path) as scene:
            seen = sample_scene(scene)
            share = with_data(seen, find_edge(seen, scene.info)).mean()
        assert share == pytest.approx(1 - collar.mean(), abs=0.01)
        assert with_data(seen, None).all()


def test_scenes_without_a_collar_have_none(tmp_path: Path) -> None:
    assert edge_of(write_scene(tmp_path / "a.tif", noise(100, 100))) is None


def test_specks_are_distinguished_from_areas() -> None:
    invalid = np.zeros((12, 12), np.bool_)
    invalid[0:4, 0:5] = True
    area = invalid.copy()
    invalid[8, 8] = invalid[9, 2] = invalid[9, 3] = True
    assert (without_specks(invalid) == area).all()


@pytest.mark.parametrize("probed", [False, True])
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint16", 0),
        ("uint16", 65535),
        ("uint16", 1),
        ("int16", -32768),
        ("int16", -9999),
        ("float32", -9999),
        ("float32", 0),
        ("float32", 1),
        ("float32", 0.1),
        ("float64", -32768),
    ],
)
def test_a_collar_of_any_value_is_found_to_the_pixel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, value: float, probed: bool
) -> None:
    if probed:
        monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    unit = 200.0 if dtype.startswith("float") else 0.1
    pixels = (noise(600, 800) / unit).astype(dtype)
    collar = slanted(600, 800)
    pixels[:, collar] = value
    pixels[:, 500:510, 500:510] = value  # inside, it is no collar
    edge = edge_of(write_scene(tmp_path / "a.tif", pixels))
    assert edge is not None and float(edge.name) == pytest.approx(value)
    assert (edge.valid(pixels[:, :300], 0, 0, 800, 300) == ~collar[:300]).all()
    assert edge.valid(pixels[:, 480:520, 480:520], 480, 480, 40, 40).all()


@pytest.mark.parametrize(("share", "found"), [(0.2, False), (0.8, True)])
def test_ground_of_one_value_at_the_border_is_no_collar(tmp_path: Path, share: float, found: bool) -> None:
    """Water in a picture of few grey levels; a grey frame has most of the border."""
    pixels = noise(300, 400)
    pixels[:, :, : int(400 * share)] = 70
    assert (edge_of(write_scene(tmp_path / "a.tif", pixels)) is not None) is found


@pytest.mark.parametrize(
    ("dtype", "values", "names"),
    [("uint16", (0, 65535), {"0", "65535"}), ("float32", (-9999, -32768), {"-9999", "-32768"})],
)
def test_two_collars_of_different_values_are_both_left_out(
    tmp_path: Path, dtype: str, values: tuple[int, int], names: set[str]
) -> None:
    pixels = (noise(400, 600).astype(np.float64) * 40 + 100).astype(dtype)
    pixels[:, :, :150], pixels[:, 320:] = values
    ground = np.zeros((400, 600), np.bool_)
    ground[:320, 150:] = True
    with open_scene(write_scene(tmp_path / "a.tif", pixels)) as scene:
        stretch, edge = choose_stretch(scene)
        assert edge is not None and set(edge.name.split(" and of value ")) == names
        assert (edge.valid(pixels, 0, 0, 600, 400) == ground).all()
        assert (with_data(sample_scene(scene), edge)[..., 0] == ground).all()
    low, high = np.percentile(pixels[:, ground].astype(np.float64), [2, 98], axis=1)
    assert stretch.low == pytest.approx(low, rel=0.02) and stretch.high == pytest.approx(high, rel=0.02)


def test_a_collar_may_have_a_colour(tmp_path: Path) -> None:
    pixels = noise(300, 400)
    pixels[:, :, :100] = np.array([255, 0, 255], np.uint8)[:, None, None]
    edge = edge_of(write_scene(tmp_path / "a.tif", pixels))
    assert edge is not None and edge.name == "255, 0, 255"


def test_pixels_that_resampling_mixes_with_the_collar_are_left_out(tmp_path: Path) -> None:
    pixels = noise(300, 400).astype(np.float32)
    pixels[:, :, :101] = -9999
    path = write_scene(tmp_path / "a.tif", pixels)
    edge = edge_of(path)
    with open_scene(path) as scene:
        reduced, valid = scene.read(0, 0, 400, 300, 200, 150)
    assert edge is not None
    valid &= edge.valid(reduced, 0, 0, 400, 300)
    assert reduced[:, valid].min() >= 30 and valid[:, 52:].all()


@pytest.mark.parametrize(
    ("mask", "probed"),
    [("nodata", False), ("nodata", True), ("unused nodata", False), ("alpha", False), ("alpha", True), ("mask", False)],
)
@pytest.mark.parametrize(("dtype", "value"), [("uint8", 255), ("float32", -9999)])
def test_a_collar_inside_of_what_the_file_masks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: str, dtype: str, value: float, probed: bool
) -> None:
    """What gdalwarp leaves of an orthoimage whose own collar no tag marks: a masked corner, and the collar in it."""
    if probed:
        monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    rows, columns = np.mgrid[:600, :800]
    masked = rows + columns < 250
    collar = (rows + columns < 500) & ~masked
    pixels = noise(600, 800).astype(dtype)
    pixels[:, collar], pixels[:, masked] = value, 0
    path = write_scene(tmp_path / "a.tif", pixels, nodata={"nodata": 0, "unused nodata": 7}.get(mask))
    if mask == "alpha":
        alpha = np.where(masked, 0, 255).astype(dtype)[None]
        write_scene(path, np.concatenate([pixels, alpha]), photometric="rgb", alpha="yes")
    if mask == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as out:
            out.write_mask(~masked)
    with open_scene(path) as scene:
        assert may_have_edge(scene)
        edge = find_edge(sample_scene(scene), scene.info)
        valid = scene.read(0, 0, 800, 600, 800, 600)[1]
    assert edge is not None
    names = {float(name) for name in edge.name.split(" and of value ")}
    assert names == ({value, 0.0} if mask == "unused nodata" and dtype != "uint8" else {value})
    valid &= edge.valid(pixels, 0, 0, 800, 600)
    assert (valid[~masked] == ~collar[~masked]).all()


def test_dark_ground_beside_a_mask_is_no_collar(tmp_path: Path) -> None:
    """Without a mask, it would be taken for a collar that lossy compression has blurred."""
    pixels = noise(300, 400)
    pixels[:, :, :200] = np.random.default_rng(1).integers(1, 8, (3, 300, 200))
    assert edge_of(write_scene(tmp_path / "a.tif", pixels)) is not None
    pixels[:, :, :50] = 0
    assert edge_of(write_scene(tmp_path / "a.tif", pixels, nodata=0)) is None


def test_a_collar_may_surround_another(tmp_path: Path) -> None:
    pixels = (noise(300, 400).astype(np.float64) * 40 + 100).astype(np.uint16)
    framed = pixels.copy()
    for width, value in ((40, 65535), (20, 0)):
        framed[:, :width] = framed[:, -width:] = framed[:, :, :width] = framed[:, :, -width:] = value
    path = write_scene(tmp_path / "a.tif", framed)
    with open_scene(path) as scene:
        stretch, edge = choose_stretch(scene)
    assert edge is not None and set(edge.name.split(" and of value ")) == {"0", "65535"}
    assert max(stretch.high) <= pixels.max()


def test_a_scene_of_one_colour_is_no_collar(tmp_path: Path) -> None:
    assert edge_of(write_scene(tmp_path / "a.tif", np.full((3, 50, 50), 90, np.uint8))) is None


def test_what_cannot_be_read_is_not_a_collar(tmp_path: Path) -> None:
    path = damaged_scene(tmp_path / "a.tif", [*range(8), *range(56, 64)])  # the first and last rows of blocks
    with open_scene(path) as scene:
        seen = sample_scene(scene)
        assert 0.6 < seen.valid.mean() < 0.8
        assert find_edge(seen, scene.info) is None
