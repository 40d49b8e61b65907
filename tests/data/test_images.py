from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from support.makers import annotation, labelled_set, write_image
from support.scenes import noise

from lcageo.data.check import image_problems
from lcageo.data.images import ImageStore, image_size, is_file, is_turned, read_image, reduced_size
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


# How a photograph that shows `upright` is stored, by its orientation tag, as numpy turns it.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def photograph(path: Path, upright: np.ndarray, turn: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.ascontiguousarray(STORED[turn](upright))).save(path, exif=exif)
    return path


@pytest.mark.parametrize("turn", STORED)
def test_photographs_are_turned_as_labelling_tools_show_them(tmp_path: Path, turn: int) -> None:
    upright = np.moveaxis(noise(30, 40), 0, -1)
    path = photograph(tmp_path / "a.png", upright, turn)
    assert image_size(path) == (40, 30) and (read_image(path) == upright).all()
    assert (read_image(path) == np.asarray(ImageOps.exif_transpose(Image.open(path)))).all()
    assert (ImageStore([annotation(path)], None).load(0) == upright).all()
    assert read_image(path, 20).shape == (15, 20, 3)
    assert is_turned(annotation(path)) is (turn != 1)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_boxes_that_refer_to_the_stored_pixels_keep_them(tmp_path: Path, turn: int) -> None:
    upright = np.moveaxis(noise(30, 40), 0, -1)
    path = photograph(tmp_path / "a.png", upright, turn)
    stored = annotation(path, (30, 40))  # the record's size says so
    assert image_size(path, (30, 40)) == (30, 40) and not is_turned(stored)
    assert (ImageStore([stored], None).load(0) == STORED[turn](upright)).all()
    assert not image_problems(labelled_set(stored, annotation(path)))
    assert len(image_problems(labelled_set(annotation(path, (41, 30))))) == 1


def test_a_broken_exif_block_is_passed_over(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=b"Exif\0\0junk that is no TIFF")
    assert image_size(tmp_path / "a.jpg") == (40, 30) and read_image(tmp_path / "a.jpg").shape == (30, 40, 3)


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
