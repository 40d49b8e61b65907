"""Images that are read as `detect` reads scenes, compared with the scene's own reader and plain formulas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rasterio.enums import ColorInterp
from support.makers import annotation
from support.scenes import noise, write_scene

from lcageo.data import pixels
from lcageo.data.images import FILL, ImageStore, image_size, read_image
from lcageo.data.pixels import with_stretch
from lcageo.errors import DataError
from lcageo.scene.raster import open_scene
from lcageo.scene.stretch import choose_stretch

DEEP: Mapping[str, tuple[int, str, dict[str, Any]]] = MappingProxyType(
    {
        "grey 16.tif": (1, "uint16", {}), "rgb 16.tif": (3, "uint16", {}), "float.tif": (3, "float32", {}),
        "bands.tif": (5, "uint16", {}), "eight bands.tif": (8, "uint8", {}),
        "rgb 16.jp2": (3, "uint16", {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}),
        "infrared.jp2": (4, "uint8", {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"}),
        "grey 16.png": (1, "uint16", {"driver": "PNG"}), "rgb 16.png": (3, "uint16", {"driver": "PNG"}),
    }
)  # fmt: skip


def written(path: Path, bands: int, dtype: str, more: dict[str, Any], seed: int = 0, **tags: Any) -> Path:
    values = noise(30, 40, bands, seed).astype(dtype) * (1 if dtype == "uint8" else 257)
    placed = {"crs": None, "transform": None} if more.get("driver") == "PNG" else {}
    return write_scene(path, values, **placed, **more, **tags)


@pytest.mark.parametrize("name", DEEP)
def test_pixels_are_those_that_detect_sees(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, *DEEP[name])
    with open_scene(path) as scene:
        seen = choose_stretch(scene)[0].apply(scene.read(0, 0, 40, 30, 40, 30)[0])
    read = read_image(path)
    assert (read == np.moveaxis(seen, 0, -1)).all() and image_size(path) == (40, 30)
    assert read.std() > 20 and (read == 255).mean() < 0.05  # neither black nor clipped
    assert read_image(path, 20).shape == (15, 20, 3)


def test_a_set_has_one_stretch_so_that_dark_images_stay_dark(tmp_path: Path) -> None:
    names = ("dark", "bright")
    for name, level in zip(names, (1000, 9000), strict=True):
        values = np.full((1, 30, 40), level, np.uint16) + noise(30, 40, 1, seed=level)
        write_scene(tmp_path / f"{name}.tif", values.astype(np.uint16))
    plain = [annotation(tmp_path / f"{name}.tif") for name in names]
    both = with_stretch(plain)
    low, high = np.percentile(np.concatenate([_values(one.image) for one in both]), [2, 98])
    store = ImageStore(both, None)
    for index, one in enumerate(both):
        expected = (np.clip(_values(one.image).astype(float), low, high) - low) / (high - low) * 255
        assert np.abs(store.load(index)[:, :, 0].ravel() - expected).max() <= 1
    dark, bright = (store.load(index).mean() for index in range(2))
    assert dark < 10 and bright > 240
    alone = [read_image(one.image).mean() for one in plain]
    assert abs(alone[0] - alone[1]) < 20  # each by its own values


def _values(path: Path) -> np.ndarray:
    with open_scene(path) as scene:
        return scene.read(0, 0, 40, 30, 40, 30)[0][0].ravel()


def test_images_of_eight_bits_have_no_stretch_of_the_set(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(30, 40))
    Image.fromarray(np.moveaxis(noise(30, 40), 0, -1)).save(tmp_path / "b.png")
    Image.fromarray(np.moveaxis(noise(30, 40), 0, -1)).save(tmp_path / "c.jpg")
    (tmp_path / "d.tif").write_bytes(b"II*\0junk")
    ones = with_stretch([annotation(path) for path in sorted(tmp_path.iterdir())])
    assert all(one.stretch is None for one in ones)
    written(tmp_path / "e.tif", 3, "uint16", {})
    *rest, deep = with_stretch([annotation(path) for path in sorted(tmp_path.iterdir())])
    assert deep.stretch is not None and rest[2].stretch is None  # no JPEG is deep
    # One of eight bits beside it is left as it is.
    assert (ImageStore(rest, None).load(0) == np.moveaxis(noise(30, 40), 0, -1)).all()


@pytest.mark.parametrize("fill", [FILL, (1, 2, 3)])
def test_pixels_without_data_get_the_fill(tmp_path: Path, fill: tuple[int, int, int]) -> None:
    """By a nodata value, by an alpha band of a GeoTIFF, and by one of a PNG."""
    values = noise(30, 40)
    hidden = np.zeros((30, 40), bool)
    hidden[5:20, 10:30] = True
    values[:, hidden] = 7
    write_scene(tmp_path / "nodata.tif", values, nodata=7)
    alpha = np.where(hidden, 0, 255).astype(np.uint8)[None]
    colours = {"colorinterp": [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]}
    write_scene(tmp_path / "alpha.tif", np.concatenate([values, alpha]), tags=colours)
    Image.fromarray(np.moveaxis(np.concatenate([values, alpha]), 0, -1)).save(tmp_path / "alpha.png")
    for name in ("nodata.tif", "alpha.tif", "alpha.png"):
        read = read_image(tmp_path / name, fill=fill)
        assert (read[hidden] == fill).all(), name
        assert (read[~hidden] == np.moveaxis(values, 0, -1)[~hidden]).all(), name


def test_infrared_is_no_alpha_and_named_bands_are_found(tmp_path: Path) -> None:
    values = noise(30, 40, 4)
    order = {"descriptions": ("nir", "red", "green", "blue")}
    write_scene(tmp_path / "a.tif", values, tags=order, photometric="minisblack")
    assert (read_image(tmp_path / "a.tif") == np.moveaxis(values[1:], 0, -1)).all()


def test_without_rasterio_a_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = written(tmp_path / "a.tif", 3, "uint16", {})
    monkeypatch.setitem(sys.modules, "lcageo.scene.raster", None)
    with pytest.raises(DataError, match="cannot be opened without rasterio: install it, or make three bands of eight"):
        read_image(path)
    assert pixels.with_stretch([annotation(path)])[0].stretch is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged tags before it gives up
def test_a_damaged_raster_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0junk")
    with pytest.raises(DataError, match=r"a\.tif' cannot be decoded: scene"):
        read_image(tmp_path / "a.tif")
