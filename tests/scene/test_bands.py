"""What the bands of a file mean: by names, wavelengths and marks, compared with what was written."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from PIL import Image, ImageCms
from rasterio.enums import ColorInterp
from support.rasters import read_all
from support.scenes import noise, write_scene

from lcageo.errors import SceneError, UsageError
from lcageo.scene.bands import alpha_band, palette, transparent
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene
from lcageo.scene.stretch import choose_stretch


def info_of(path: Path) -> SceneInfo:
    with open_scene(path) as scene:
        return scene.info


def seen(path: Path) -> NDArray[np.uint8]:
    """The whole scene as a model sees it."""
    with open_scene(path) as scene:
        stretch, _ = choose_stretch(scene)
        return stretch.apply(read_all(path)[0])


def ramps(count: int, side: int = 128) -> NDArray[np.uint8]:
    """(count, side, side) smooth pictures, 10 to 245, that differ from band to band."""
    rows, columns = np.mgrid[:side, :side] / (side - 1)
    parts = [(rows + turn * columns) % 1 for turn in np.linspace(0.3, 1.7, count)]
    return np.asarray(10 + 235 * np.array(parts)).astype(np.uint8)


@pytest.mark.parametrize(
    ("bands", "meaning", "used"),
    [
        (1, [ColorInterp.gray], (1, 1, 1)),
        (2, [ColorInterp.gray, ColorInterp.alpha], (1, 1, 1)),
        (4, [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined], (3, 2, 1)),
        (5, [ColorInterp.undefined] * 5, (1, 2, 3)),
        (4, [ColorInterp.alpha, *[ColorInterp.undefined] * 3], (2, 3, 4)),
    ],
)
def test_bands_are_chosen_by_colour_then_by_order(
    tmp_path: Path, bands: int, meaning: list[ColorInterp], used: tuple[int, ...]
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(20, 20, bands))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = meaning
    with open_scene(path) as scene:
        assert scene.info.bands == used


def test_bands_as_asked_in_their_order(tmp_path: Path) -> None:
    pixels = noise(20, 20, 4)
    window, _ = read_all(write_scene(tmp_path / "a.tif", pixels), bands=[4, 3, 2])
    assert (window == pixels[[3, 2, 1]]).all()


@pytest.mark.parametrize("bands", [[1, 2, 4], [0, 1, 2], [1, 2]])
def test_bands_that_do_not_fit_are_refused(tmp_path: Path, bands: list[int]) -> None:
    with pytest.raises(UsageError, match="has 3 band"):
        open_scene(write_scene(tmp_path / "a.tif", noise(20, 20)), bands)


@pytest.mark.parametrize(
    ("names", "used", "told"),
    [
        (("nir", "red", "green", "blue"), (2, 3, 4), False),
        (("Near infra red", "Blue", "Green", "Red"), (4, 3, 2), False),
        (("B8 - NIR", "Red Edge", "red (B04)", "green", "B02_blue"), (3, 4, 5), False),
        (("N", "R", "G", "B"), (2, 3, 4), False),
        (("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"), (6, 4, 2), False),
        (("Coastal aerosol blue", "Deep blue", "Blue", "Green", "Yellow", "Red"), (6, 4, 3), False),
        (("Blue-444", "Blue-475", "Green-531", "Green-560", "Red-650", "Red-668"), (6, 4, 2), False),
        (("panchromatic (blue green red)", "red", "green", "blue"), (2, 3, 4), False),
        (("blue 2", "green 2", "red 2", "blue 3", "green 3", "red 3"), (3, 2, 1), False),
        (("nir", "red", "green"), (1, 2, 3), True),
        (("Band 1", "Band 2", "Band 3", "Band 4"), (1, 2, 3), False),  # written as RGB
        (("temperature", "slope", "aspect"), (1, 2, 3), False),
    ],
)
def test_descriptions_say_more_than_the_marks_that_gdal_gives_any_file(
    tmp_path: Path, names: tuple[str, ...], used: tuple[int, ...], told: bool
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(20, 20, len(names)), photometric="rgb", tags={"descriptions": names})
    info = info_of(path)
    assert info.bands == used and bool([line for line in info.notes if "does not say which" in line]) is told
    if told:
        assert "bands 1 (nir), 2 (red), 3 (green) are taken (--bands chooses others)" in info.notes[0]


@pytest.mark.parametrize(
    ("key", "unit", "domain"),
    [("wavelength", 1.0, None), ("wavelength", 1e-3, None), ("CENTRAL_WAVELENGTH_UM", 1e-3, "IMAGERY")],
)
def test_wavelengths_choose_among_two_hundred_bands(tmp_path: Path, key: str, unit: float, domain: str | None) -> None:
    waves = np.linspace(400, 2400, 200)
    path = write_scene(tmp_path / "cube.tif", noise(8, 8, 200))
    with rasterio.open(path, "r+") as dataset:
        for band, wave in enumerate(waves, 1):
            dataset.update_tags(band, ns=domain, **{key: f"{wave * unit:.5f}"})
    closest = tuple(int(np.abs(waves - wave).argmin()) + 1 for wave in (660, 555, 475))
    assert info_of(path).bands == closest and info_of(path).notes == ()


@pytest.mark.parametrize("unit", [" Nanometers", "nm", " (nm)"])
def test_a_wavelength_may_have_a_unit(tmp_path: Path, unit: str) -> None:
    path = write_scene(tmp_path / "a.tif", noise(8, 8, 4))
    with rasterio.open(path, "r+") as dataset:
        for band, wave in enumerate((475, 555.5, 660, 840), 1):
            dataset.update_tags(band, wavelength=f"{wave}{unit}")
    assert info_of(path).bands == (3, 2, 1)


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 4), ("uint8", 8), ("uint16", 16)])
def test_a_palette_gives_its_colours_however_many_bits_its_numbers_have(tmp_path: Path, dtype: str, bits: int) -> None:
    numbers = noise(64, 64, 1) // 16
    colours = {number: (number * 16, 255 - number * 16, 40, 255) for number in range(16)}
    path = write_scene(tmp_path / "a.tif", numbers.astype(dtype), photometric="palette", nbits=bits)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    with open_scene(path) as scene:
        stretch, _ = choose_stretch(scene)
        pixels, _ = scene.read(0, 0, 64, 64, 64, 64)
        assert scene.info.dtype == "uint8" and scene.info.notes == ()
    expected = np.array([colours[int(number)][:3] for number in numbers.ravel()], np.uint8).T.reshape(3, 64, 64)
    assert (stretch.apply(pixels) == expected).all()


@pytest.mark.parametrize(("count", "said"), [(1, None), (2, "band 1 is taken"), (3, "1, 2, 3"), (200, "its 200 bands")])
def test_what_is_taken_is_told_where_the_file_does_not_say(tmp_path: Path, count: int, said: str | None) -> None:
    notes = info_of(write_scene(tmp_path / "a.tif", noise(8, 8, count), photometric="minisblack")).notes
    assert notes == () if said is None else said in notes[0]
    with open_scene(tmp_path / "a.tif", [1]) as scene:
        assert scene.info.notes == ()  # as the user asked


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.3, 0.5])
def test_infrared_that_is_marked_as_alpha_is_no_mask(tmp_path: Path, scale: float) -> None:
    pixels = noise(200, 200)
    infrared = np.where(ramps(1, 200) < 100, 0, ramps(1, 200))
    marked = write_scene(tmp_path / "a.tif", np.concatenate([pixels, infrared]), photometric="rgb", alpha="yes")
    plain = write_scene(tmp_path / "b.tif", pixels)
    info = info_of(marked)
    assert info.mask == "none" and "band 4" in info.notes[0] and "is not used as a mask" in info.notes[0]
    out = int(120 / scale)
    with open_scene(marked) as one, open_scene(plain) as other:
        for x, y, side in ((0, 0, 120.0), (13.5, 7.25, 120.0), (0, 0, 200.0)):
            (read, valid), (expected, _) = (scene.read(x, y, side, side, out, out) for scene in (one, other))
            assert valid.all()
            assert np.abs(read.astype(int) - expected)[:, 1:-1, 1:-1].max() <= 1  # means are rounded


def mask(kind: str, side: int = 200) -> NDArray[np.uint8]:
    """(side, side) an alpha band: 0 and 255, 0 and 1, opaque, half transparent, or with a feathered edge."""
    columns = np.tile(np.arange(side), (side, 1))
    made = {
        "usual": np.where(columns < 80, 0, 255),
        "one": np.where(columns < 80, 0, 1),
        "opaque": np.full((side, side), 255),
        "half": np.where(columns < 80, 0, 128),
        "feathered": np.clip((columns - 80) * 8, 0, 255),
        "nothing": np.zeros((side, side)),
    }
    return np.asarray(made[kind]).astype(np.uint8)


@pytest.mark.parametrize("kind", ["usual", "one", "opaque", "half", "feathered", "nothing"])
@pytest.mark.parametrize("place", [1, 2, 4, 5])
def test_an_alpha_band_masks_wherever_it_is(tmp_path: Path, kind: str, place: int) -> None:
    count = max(4, place)
    pixels, order = (
        noise(200, 200, count),
        [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined],
    )
    order = order[: count - 1]
    order.insert(place - 1, ColorInterp.alpha)
    pixels[place - 1] = mask(kind)
    path = write_scene(tmp_path / "a.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = order
    info = info_of(path)
    assert (info.mask, info.alpha) == ("alpha", place)
    assert info.bands == tuple(
        order.index(colour) + 1 for colour in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    )
    assert (read_all(path)[1] == (mask(kind) > 0)).all()


def test_an_alpha_band_that_is_asked_for_is_no_mask(tmp_path: Path) -> None:
    pixels = np.concatenate([noise(50, 50), mask("usual", 50)[None]])
    with open_scene(write_scene(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes"), [4, 1, 2]) as scene:
        read, valid = scene.read(0, 0, 50, 50, 50, 50)
        reduced, _ = scene.read(0, 0, 50, 50, 25, 25)
    assert valid.all() and (read == pixels[[3, 0, 1]]).all()
    means = pixels[[3, 0, 1]].reshape(3, 25, 2, 25, 2).mean(axis=(2, 4))
    assert np.abs(reduced - means).max() <= 1  # also where the fourth band, which GDAL takes for a mask, is 0


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
def test_few_bits_span_the_whole_range(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    stored = (ramps(3) / 255 * top).round().astype(np.uint8)
    path = write_scene(tmp_path / "a.tif", stored, nbits=bits, photometric="rgb")
    assert info_of(path).bits == bits
    assert np.abs(seen(path) - stored / top * 255).max() <= 0.51


@pytest.mark.parametrize(
    ("dtype", "options"), [("uint8", {}), ("uint16", {}), ("int16", {}), ("float32", {}), ("uint8", {"nbits": 4})]
)
def test_white_at_the_least_value_is_white(tmp_path: Path, dtype: str, options: dict[str, int]) -> None:
    picture = ramps(1)
    stored = (255 - picture) // 16 if options else (255 - picture.astype(int)) * (1 if dtype == "uint8" else 40)
    path = write_scene(tmp_path / "a.tif", stored.astype(dtype), photometric="miniswhite", **options)
    assert info_of(path).min_is_white
    assert np.corrcoef(seen(path)[0].ravel(), picture.ravel())[0, 1] > 0.99
    assert np.abs(seen(path).astype(int) - picture).max() < 25  # stretched to percentiles, or in 16 steps


def test_bilevel_pictures_have_a_palette_that_says_what_is_white(tmp_path: Path) -> None:
    stored = (ramps(1) < 100).astype(np.uint8)
    path = write_scene(tmp_path / "a.tif", stored, photometric="miniswhite", nbits=1)
    assert (seen(path) == np.where(stored == 0, 255, 0)).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_at_the_least_value_in_files_of_other_programs(tmp_path: Path, dtype: str) -> None:
    """GDAL makes a palette of them, of eight bits, unless it wrote the file itself, which then says that it is grey."""
    picture = ramps(1)
    stored = (255 - picture).astype(dtype) * (1 if dtype == "uint8" else 16)
    path = write_scene(tmp_path / "a.tif", stored, photometric="minisblack")
    content = bytearray(path.read_bytes())
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)  # PhotometricInterpretation: least value is black
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    info = info_of(path)
    assert info.min_is_white and info.dtype == dtype
    assert np.abs(seen(path).astype(int) - picture).max() < 25


def test_a_palette_that_is_missing_is_none(tmp_path: Path) -> None:
    picture = ramps(1)
    write_scene(tmp_path / "a.tif", picture)
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="128" rasterYSize="128"><VRTRasterBand dataType="Byte" band="1">'
        '<ColorInterp>Palette</ColorInterp><SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert (seen(tmp_path / "a.vrt") == picture).all()


@pytest.mark.parametrize("text", ["none", "0,0,0", "0 0"])
def test_nodata_values_that_gdal_does_not_take_are_none(tmp_path: Path, text: str) -> None:
    path = write_scene(tmp_path / "a.tif", ramps(3))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(NODATA_VALUES=text)
    with open_scene(path) as scene:
        assert np.isnan(scene.nodata).all() and scene.read(0, 0, 9, 9, 9, 9)[1].all()


@pytest.mark.parametrize(
    ("names", "told"),
    [(("B2", "B3", "B4"), True), (("SR_B2", "SR_B3", "SR_B4"), True), (("B4", "B3", "B2"), False),
     (("B04", "B03", "B02"), False), (("Band 1", "Band 2", "Band 3"), False), (("B2", "B3", "x"), False)],
)  # fmt: skip
def test_bands_that_are_numbered_from_blue_to_red_are_told(tmp_path: Path, names: tuple[str, ...], told: bool) -> None:
    path = write_scene(tmp_path / "a.tif", ramps(3))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    notes = [line for line in info_of(path).notes if "does not say which of its 3 bands are red, green and" in line]
    assert told is bool(notes)


@pytest.mark.parametrize("mode", ["LAB", "CMYK"])
def test_colours_of_print_are_seen_as_red_green_and_blue(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(np.moveaxis(ramps(3) // 2 + 60, 0, -1))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        stored = ImageCms.applyTransform(picture, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
        assert stored is not None
    else:
        stored = picture.convert("CMYK")
    stored.save(tmp_path / "a.tif")
    path = tmp_path / "a.tif"
    for band, expected in zip(seen(path), np.moveaxis(np.asarray(picture), -1, 0), strict=True):
        assert np.corrcoef(band.ravel(), expected.ravel())[0, 1] > 0.97
    assert bool([line for line in info_of(path).notes if "CIELab" in line]) is (mode == "LAB")


def test_inks_that_gdal_does_not_convert_are_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(20, 20, 4).astype(np.uint16), photometric="cmyk")
    with pytest.raises(SceneError, match=r"CMYK file of type uint16.* export it as RGB"):
        open_scene(path)
    with open_scene(path, [4]) as scene:  # as asked
        assert scene.info.bands == (4, 4, 4)


@pytest.mark.parametrize(("bands", "noted"), [(4, False), (5, True)])
def test_a_mask_beside_inks_is_missed_aloud(tmp_path: Path, bands: int, noted: bool) -> None:
    """GDAL converts the first four bands, and hides the others."""
    path = write_scene(tmp_path / "a.tif", noise(20, 20, bands), photometric="cmyk")
    with rasterio.open(path) as dataset:
        assert dataset.count == 4
    notes = [line for line in info_of(path).notes if "has 5 bands, of which GDAL reads only 4" in line]
    assert bool(notes) is noted


@pytest.mark.parametrize("form", ["a.png", "a.vrt"])
@pytest.mark.parametrize("reduced", [1, 2])
def test_transparent_colours_of_a_palette_are_holes(tmp_path: Path, form: str, reduced: int) -> None:
    """Several, as GDAL takes a single one for nodata; Pillow says which pixels they are."""
    picture = Image.fromarray(np.kron(np.arange(64).reshape(8, 8), np.ones((8, 8))).astype(np.uint8), "P")
    picture.putpalette(noise(1, 768, 1).ravel().tolist())
    opacity = [255, 0, 128, 0, *[255] * 60]
    picture.save(tmp_path / "a.png", transparency=bytes(opacity))
    if form == "a.vrt":
        rasterio.shutil.copy(tmp_path / "a.png", tmp_path / "a.vrt", driver="VRT")
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))[::reduced, ::reduced, 3] > 0
    with open_scene(tmp_path / form) as scene:
        _, valid = scene.read(0, 0, 64, 64, 64 // reduced, 64 // reduced)
        assert scene.info.mask == "palette"
    assert (valid == expected).all() and not valid.all()


def test_a_palette_without_any_opacity_is_a_picture(tmp_path: Path) -> None:
    """Its writer left the opacity out; and what a palette lacks is no hole."""
    for name, opacity, holes in (("none.vrt", (0, 0), 0), ("one.vrt", (0, 255), 1)):
        entries = "".join(f'<Entry c1="9" c2="9" c3="9" c4="{value}"/>' for value in opacity)
        band = f"<ColorInterp>Palette</ColorInterp><ColorTable>{entries}</ColorTable>"
        (tmp_path / name).write_text(
            '<VRTDataset rasterXSize="4" rasterYSize="4"><GeoTransform>0, 1, 0, 4, 0, -1</GeoTransform>'
            f'<VRTRasterBand dataType="Byte" band="1">{band}'
            "</VRTRasterBand></VRTDataset>"
        )
        with rasterio.open(tmp_path / name) as dataset:
            found = transparent(dataset, 1)
        assert (0 if found is None else found.sum()) == holes


def test_a_paletted_scene_is_described_by_its_colours(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", np.array([[[0, 1], [2, 0]]], np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 255: (1, 2, 3, 0)})
    with rasterio.open(path) as dataset:
        colours = palette(dataset, 1)
        assert colours is not None and colours.shape == (256, 3)
        assert colours[0].tolist() == [10, 20, 30] and colours[255].tolist() == [1, 2, 3]
        assert alpha_band(dataset) is None
    assert info_of(path).bands == (1, 1, 1)
    with rasterio.open(write_scene(tmp_path / "grey.tif", noise(2, 2, 1))) as dataset:
        assert palette(dataset, 1) is None


def test_the_alpha_band_is_found_wherever_it_is(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(8, 8, 4))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.alpha, ColorInterp.green, ColorInterp.blue]
    with rasterio.open(path) as dataset:
        assert alpha_band(dataset) == 2
    assert info_of(path).bands == (1, 3, 4)
