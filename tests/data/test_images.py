from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.makers import annotation, labelled_set, write_image
from support.scenes import noise, write_scene

from lcageo.data.annotations import ProblemKind
from lcageo.data.check import image_problems
from lcageo.data.images import ImageStore, image_size, is_file, read_image, reduced_size
from lcageo.errors import DataError


def test_pixels_are_rows_columns_channels(tmp_path: Path) -> None:
    image = np.zeros((3, 5, 3), np.uint8)
    image[0, 4] = (255, 128, 0)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), image)
    assert image_size(tmp_path / "a.png") == (5, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_usual_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (6, 4)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", "uint16"), ("a.tif", "uint16"), ("a.tif", "int32"), ("a.tif", "float32"), ("a.jp2", "uint16")],
)
def test_values_that_would_be_clipped_are_refused_with_a_way_out(tmp_path: Path, name: str, dtype: str) -> None:
    grey = (np.random.default_rng(0).integers(30, 160, (30, 40)) * 257).astype(dtype)
    Image.fromarray(grey).save(tmp_path / name)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=r"more than eight bits, .* clipped at 255; .* 'gdal_translate -ot Byte"):
            read(tmp_path / name)
    labelled = labelled_set(annotation(tmp_path / name))
    for decode in (True, False):
        (problem,) = image_problems(labelled, decode)
        assert problem.kind is ProblemKind.UNREADABLE_IMAGE


@pytest.mark.parametrize(
    ("bands", "dtype"), [(3, "uint16"), (3, "float32"), (5, "uint8"), (1, "uint16"), (1, "float32")]
)
def test_no_geotiff_is_clipped_in_silence(tmp_path: Path, bands: int, dtype: str) -> None:
    pixels = noise(30, 40, bands).astype(dtype) * (257 if dtype != "uint8" else 1)
    path = write_scene(tmp_path / "a.tif", pixels)
    with pytest.raises(DataError, match=r"'gdal_translate -ot Byte -scale"):
        read_image(path)


def test_colours_of_sixteen_bits_are_halved_not_clipped(tmp_path: Path) -> None:
    pixels = noise(30, 40)
    write_scene(tmp_path / "a.png", pixels.astype(np.uint16) * 257, None, None, driver="PNG")
    assert (read_image(tmp_path / "a.png") == np.moveaxis(pixels, 0, -1)).all()


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_reducing_keeps_the_shape_to_a_pixel_and_never_enlarges(width: int, height: int) -> None:
    new = reduced_size(width, height, 800)
    if max(width, height) <= 800:
        assert new == (width, height)
    else:
        assert max(new) == 800
        assert (
            abs(new[0] - width * 800 / max(width, height)) <= 1 and abs(new[1] - height * 800 / max(width, height)) <= 1
        )


def test_a_large_jpeg_is_reduced_to_the_mean_of_its_pixels(tmp_path: Path) -> None:
    halves = np.zeros((400, 800, 3), np.uint8)
    halves[:, 400:] = 200
    Image.fromarray(halves).save(tmp_path / "a.jpg")
    small = read_image(tmp_path / "a.jpg", longest_side=100)
    assert small.shape == (50, 100, 3)
    assert small[:, :45].max() < 10 and small[:, 55:].min() > 190


def test_a_reduced_jpeg_keeps_the_detail_that_its_size_can_show(tmp_path: Path) -> None:
    stripes = np.zeros((400, 800, 3), np.uint8)
    stripes[:, np.arange(800) % 16 < 8] = 200
    Image.fromarray(stripes).save(tmp_path / "a.jpg", quality=95)
    small = read_image(tmp_path / "a.jpg", longest_side=390)
    assert small.std() > 0.85 * stripes.std()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged tags, whether or not it then gives up
@given(st.sampled_from(["png", "jpg", "tif"]), st.integers(0, 2000), st.binary(max_size=8))
def test_damaged_images_raise_nothing_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, ending: str, cut: int, junk: bytes
) -> None:
    path = write_image(tmp_path_factory.getbasetemp() / f"fuzz.{ending}", 20, 15)
    content = path.read_bytes()
    for damaged in (
        content[: cut % len(content)],
        content[: cut % len(content)] + junk + content[cut % len(content) :],
    ):
        path.write_bytes(damaged)
        try:
            read_image(path)
        except DataError as error:
            assert "cannot be decoded" in str(error) and "\n" not in str(error)


def test_names_that_no_file_can_have_are_not_files() -> None:
    assert not any(is_file(Path(name)) for name in ("x" * 5000, "a\0b", ".", "/nowhere/a.png"))


def test_a_store_gives_the_same_pixels_with_and_without_memory(tmp_path: Path) -> None:
    images = [write_image(tmp_path / f"{i}.jpg", 90, 60, seed=i) for i in range(5)]
    annotations = [annotation(image, (90, 60)) for image in images]
    fresh, kept = ImageStore(annotations, 45), ImageStore(annotations, 45)
    seen: list[int] = []
    kept.fill(progress=seen.append)
    assert sum(seen) == len(kept) == 5
    assert kept.bytes_needed == sum(kept.load(i).nbytes for i in range(5)) == 5 * 45 * 30 * 3
    for image in images:
        image.rename(image.with_suffix(".bak"))
    with pytest.raises(DataError, match="cannot be opened"):
        fresh.load(0)
    for index, image in enumerate(images):
        image.with_suffix(".bak").rename(image)
        assert np.array_equal(fresh.load(index), kept.load(index)) and kept.size(index) == (45, 30)
    with pytest.raises(ValueError, match="read-only"):
        kept.load(0)[:] = 0


def test_a_store_refuses_an_image_of_another_size_than_its_record_says(tmp_path: Path) -> None:
    store = ImageStore([annotation(write_image(tmp_path / "a.png", 41, 30))], 800)
    with pytest.raises(DataError, match="has 41 x 30 pixels, but its record says 40 x 30"):
        store.fill()
