"""Reads image files: decoding, downscaling, keeping in memory. An image is (height, width, 3) uint8, RGB.

Pillow reads photographs and pictures; what only maps have (values of more than eight bits, bands, nodata) is read by
`pixels`, as `detect` reads it.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from lcageo.data.annotations import Annotation
from lcageo.data.pixels import Colour, Pixels, is_raster, raster_size, read_raster
from lcageo.errors import DataError

if TYPE_CHECKING:
    from lcageo.scene.stretch import Stretch

# Pillow logs an error for TIFFs of more bands than it knows, which GDAL then reads.
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)
Image.MAX_IMAGE_PIXELS = 2**31
"""Pillow treats anything above 89 megapixels as a decompression bomb; training images may be whole scenes."""

FILL: Colour = (124, 116, 104)
"""Colour of pixels without data, unless the model has another: ImageNet's mean, which is 0 after normalisation."""

_ORIENTATION = 0x0112
"""EXIF's tag of how a photograph is turned."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What sets a photograph upright, by the value of that tag."""

# What Pillow raises on damaged files, besides OSError: its decoders do not catch the errors of their helpers.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error,
            Image.DecompressionBombError)  # fmt: skip


def is_file(path: Path) -> bool:
    """Whether the file exists; False also for names that no file can have (too long, or with a NUL)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def image_size(path: Path, record: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height from the file's header.

    Args:
        path: the file.
        record: width and height by the set. Photographs with an orientation tag are turned upright, as labelling tools
            show them, unless only the stored pixels have this size.

    Raises:
        DataError: if the file does not exist or is not an image.
    """
    try:
        with Image.open(path) as image:
            if not is_raster(path, image):
                size = image.size
                return size[::-1] if _turn(image, record) in (5, 6, 7, 8) else size
    except UnidentifiedImageError as error:
        if not is_raster(path, None):
            raise DataError(f"image '{path}' cannot be opened: {_why(error)}") from error
    except _DAMAGED as error:
        raise DataError(f"image '{path}' cannot be opened: {_why(error)}") from error
    return raster_size(path)


def reduced_size(width: int, height: int, longest_side: int | None) -> tuple[int, int]:
    """Width and height after downscaling to a longest side; images are never enlarged."""
    if longest_side is None or max(width, height) <= longest_side:
        return width, height
    factor = longest_side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def read_image(
    path: Path,
    longest_side: int | None = None,
    *,
    record: tuple[int, int] | None = None,
    stretch: Stretch | None = None,
    fill: Colour = FILL,
) -> Pixels:
    """All pixels, downscaled to `longest_side` where the image is larger.

    Args:
        path: the file.
        longest_side: pixels; None: as it is.
        record: width and height by the set, as in `image_size`.
        stretch: of the set, for values of more than eight bits; None: by those of the image.
        fill: colour of pixels without data: transparent ones, and those with a raster's nodata value.

    Raises:
        DataError: if the file is missing, damaged or truncated.
    """
    try:
        with Image.open(path) as image:
            if not is_raster(path, image):
                turn = _turn(image, record)
                size = reduced_size(*image.size, longest_side)
                image.draft("RGB", size)  # a JPEG decodes at 1/2, 1/4 or 1/8 where that is no smaller than `size`
                rgb = _colours(image, fill)
                rgb = rgb if rgb.size == size else rgb.resize(size, Image.Resampling.BILINEAR)
                return np.array(rgb.transpose(_TURNS[turn]) if turn in _TURNS else rgb)  # (h, w, 3)
    except UnidentifiedImageError as error:
        if not is_raster(path, None):
            raise DataError(f"image '{path}' cannot be decoded: {_why(error)}") from error
    except _DAMAGED as error:
        raise DataError(f"image '{path}' cannot be decoded: {_why(error)}") from error
    return read_raster(path, reduced_size(*raster_size(path), longest_side), stretch, fill)


def read_annotated(annotation: Annotation, longest_side: int | None = None, fill: Colour = FILL) -> Pixels:
    """The pixels that the boxes of an annotation refer to; arguments and errors as in `read_image`."""
    record = annotation.width, annotation.height
    return read_image(annotation.image, longest_side, record=record, stretch=annotation.stretch, fill=fill)


def is_turned(annotation: Annotation) -> bool:
    """Whether the image is a photograph whose stored pixels are not upright, while its boxes are."""
    try:
        with Image.open(annotation.image) as image:
            return _turn(image, (annotation.width, annotation.height)) in _TURNS
    except _DAMAGED:
        return False


def _colours(image: Image.Image, fill: Colour) -> Image.Image:
    """The image in RGB, with `fill` where it is completely transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    pixels = np.array(image.convert("RGBA"))
    pixels[pixels[:, :, 3] == 0, :3] = fill
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))


def _turn(image: Image.Image, record: tuple[int, int] | None) -> int:
    """The orientation tag of a photograph; 1 if it has none, or its record is of the pixels as they are stored."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself
    try:
        turn = int(image.getexif().get(_ORIENTATION, 1))
    except _DAMAGED:
        return 1
    swaps = turn in (5, 6, 7, 8)
    return 1 if swaps and record == image.size and record != image.size[::-1] else turn


def _why(error: BaseException) -> str:
    """An error of Pillow in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class ImageStore:
    """The pixels of a set's images, decoded on each access or once into memory; the pixels are the same either way.

    Fill it before worker processes start: forked workers share its memory.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        longest_side: int | None,
        *,
        scenes_whole: bool = False,
        fill: Colour = FILL,
    ) -> None:
        """Reads nothing yet.

        Args:
            annotations: the images.
            longest_side: larger images are downscaled to it; None: never.
            scenes_whole: whether scenes keep their size nevertheless.
            fill: colour of pixels without data.
        """
        self._annotations = annotations
        self._scenes_whole = scenes_whole
        self._fill = fill
        self._longest_side = longest_side
        self._kept: list[Pixels] | None = None

    def __len__(self) -> int:
        return len(self._annotations)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of the pixels that `load` returns."""
        annotation = self._annotations[index]
        return reduced_size(annotation.width, annotation.height, self._limit(annotation))

    @property
    def bytes_needed(self) -> int:
        """Memory that `fill` takes, bytes."""
        return sum(3 * width * height for width, height in map(self.size, range(len(self))))

    def fill(self, threads: int = 2, progress: Callable[[int], object] | None = None) -> None:
        """Decode everything into memory; `progress` is called with 1 after each image.

        Raises:
            DataError: at the first image, in the set's order, that cannot be decoded.
        """
        kept = []
        with ThreadPoolExecutor(threads) as pool:
            try:
                for pixels in pool.map(self._decode, range(len(self))):
                    kept.append(pixels)
                    if progress is not None:
                        progress(1)
            finally:  # after an error or an interrupt, do not decode the rest
                pool.shutdown(cancel_futures=True)
        self._kept = kept

    def load(self, index: int) -> Pixels:
        """Pixels of one image, read-only.

        Raises:
            DataError: if the file cannot be decoded or its size differs from its annotation's.
        """
        return self._kept[index] if self._kept is not None else self._decode(index)

    def _decode(self, index: int) -> Pixels:
        annotation = self._annotations[index]
        record = annotation.width, annotation.height
        size = image_size(annotation.image, record)
        if size != record:
            raise DataError(wrong_size(annotation, size))
        pixels = read_annotated(annotation, self._limit(annotation), self._fill)
        pixels.flags.writeable = False
        return pixels

    def _limit(self, annotation: Annotation) -> int | None:
        return None if self._scenes_whole and annotation.is_scene else self._longest_side


def wrong_size(annotation: Annotation, size: tuple[int, int]) -> str:
    """Error message for an image whose size differs from its record's."""
    return (
        f"image '{annotation.image}' has {size[0]} x {size[1]} pixels, but its record says "
        f"{annotation.width} x {annotation.height}; boxes would not fit"
    )
