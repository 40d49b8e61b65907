"""Images that are read as `detect` reads scenes: GeoTIFFs, and pictures with values of more than eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcageo.errors import DataError, SceneError

if TYPE_CHECKING:
    from lcageo.data.annotations import Annotation
    from lcageo.scene.raster import Scene
    from lcageo.scene.stretch import Stretch

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

SAMPLED_IMAGES = 50
"""Number of images of a set that its stretch is estimated from, evenly over the set."""
SAMPLE_SIDE_PX = 256
"""Longest side at which each is sampled: with 50 images, some 3 million pixels."""
_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jp2", ".j2k", ".img", ".vrt"})
"""What may have values of more than eight bits."""
_PILLOWS_TIFF = frozenset({"1", "P", "CMYK", "YCbCr", "LAB", "PA"})
"""TIFFs that Pillow reads: what they hold are colours, which GDAL would give as bands."""
_TO_EIGHT_BITS = "make three bands of eight bits of it: 'gdal_translate -ot Byte -scale -b 1 -b 2 -b 3'"


def is_raster(path: Path, image: Image.Image | None) -> bool:
    """Whether an image is read as a raster, not as a picture.

    Args:
        path: the file.
        image: as Pillow opens it; None if Pillow does not know its format.
    """
    if image is None:
        return path.suffix.lower() in _SUFFIXES - {".png"}
    if image.format == "TIFF":
        return image.mode not in _PILLOWS_TIFF
    if image.format == "JPEG2000":  # Pillow makes eight bits of any, and alpha of a fourth band
        return True
    return image.mode.startswith(("I", "F")) or _is_png_of_16_bits(path)


def raster_size(path: Path) -> tuple[int, int]:
    """Width and height.

    Raises:
        DataError: if it cannot be opened.
    """
    with _opened(path) as scene:
        return scene.info.width, scene.info.height


def read_raster(path: Path, size: tuple[int, int], stretch: Stretch | None, fill: Colour) -> Pixels:
    """All pixels, as (height, width, 3) uint8.

    Args:
        path: the file.
        size: width and height of the result, no larger than the file's.
        stretch: maps values of more than eight bits to eight; None: estimated from this image alone.
        fill: colour of pixels without data.

    Raises:
        DataError: if it cannot be read.
    """
    with _opened(path) as scene:
        from lcageo.scene.edges import without_specks

        info = scene.info
        try:
            pixels, valid = scene.read(0, 0, info.width, info.height, *size)
            stretch = stretch_of(scene, stretch)
        except SceneError as error:
            raise DataError(f"image '{path}' cannot be decoded: {error}") from error
        if info.nodata_is_a_colour:
            valid = ~without_specks(~valid)
        image = np.where(valid, stretch.apply(pixels), np.array(fill, np.uint8)[:, None, None])
        return np.ascontiguousarray(np.moveaxis(image, 0, -1))


def stretch_of(scene: Scene, stretch: Stretch | None) -> Stretch:
    """How an image of a set is stretched.

    Args:
        scene: the image.
        stretch: the set's, which only images with more than eight bits have; None: estimated from this image alone.

    Raises:
        SceneError: if the image cannot be sampled.
    """
    from lcageo.config import EdgeNodata
    from lcageo.scene.stretch import choose_stretch

    if stretch is None or scene.info.dtype == "uint8":
        return choose_stretch(scene, edge_nodata=EdgeNodata.NONE)[0]
    return stretch.inverted() if scene.info.min_is_white else stretch


def with_stretch(annotations: Sequence[Annotation]) -> tuple[Annotation, ...]:
    """The images of a set, with one stretch for all that may need it: on its own, each would be as bright as any.

    The stretch is estimated as `detect` does for a scene, from the values of up to SAMPLED_IMAGES images together.
    """
    rasters = [one.image for one in annotations if one.image.suffix.lower() in _SUFFIXES]
    deep = [path for path in rasters[:: max(1, len(rasters) // SAMPLED_IMAGES)] if _is_deep(path)]
    stretch = estimated_stretch(deep) if deep else None  # where no image needs it, rasterio may be missing
    if stretch is None:
        return tuple(annotations)
    return tuple(replace(one, stretch=stretch) if one.image.suffix.lower() in _SUFFIXES else one for one in annotations)


def estimated_stretch(images: Sequence[Path]) -> Stretch | None:
    """The stretch of images with more than eight bits, together; None if there is none, or none can be read."""
    from lcageo.scene.sample import SceneSample, read_reduced
    from lcageo.scene.stretch import estimate_stretch

    values: list[NDArray[np.float64]] = []
    for path in images:
        try:
            with _opened(path) as scene:
                pixels, valid = read_reduced(scene, SAMPLE_SIDE_PX)
        except (DataError, SceneError):
            continue  # reported when the image is to be read
        values.append(pixels[:, valid].astype(np.float64))  # (3, n)
    if not sum(one.shape[1] for one in values):
        return None
    every = np.concatenate(values, axis=1)[:, None, None, :]  # one cell with all values
    return estimate_stretch(SceneSample(every, np.ones(every.shape[1:], np.bool_)), None)


def _is_deep(path: Path) -> bool:
    """Whether an image has values of more than eight bits; False if it cannot be opened."""
    try:
        if path.suffix.lower() == ".png":
            return _is_png_of_16_bits(path)
        with _opened(path) as scene:
            return scene.info.dtype != "uint8"
    except DataError:
        return False


def _is_png_of_16_bits(path: Path) -> bool:
    """Whether a PNG says so in its head; Pillow would halve the values without a word."""
    try:
        with path.open("rb") as file:
            head = file.read(25)
    except OSError:
        return False
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10"


def _opened(path: Path) -> Scene:
    """The image as a scene.

    Raises:
        DataError: if it cannot be opened, or rasterio is not installed.
    """
    try:
        from lcageo.scene.raster import open_scene
    except ImportError as error:
        raise DataError(f"image '{path}' cannot be opened without rasterio: install it, or {_TO_EIGHT_BITS}") from error
    try:
        return open_scene(path.absolute())
    except SceneError as error:
        raise DataError(f"image '{path}' cannot be decoded: {error}") from error
