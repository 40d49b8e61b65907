"""Reads image files: decoding, downscaling, keeping in memory. An image is (height, width, 3) uint8, RGB."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lcageo.data.annotations import Annotation
from lcageo.errors import DataError

Pixels = NDArray[np.uint8]

Image.MAX_IMAGE_PIXELS = 2**31
"""Pillow treats anything above 89 megapixels as a decompression bomb; training images may be whole scenes."""

DEEP_MODES = ("I", "F")
"""How Pillow's modes of 16 and 32 bits begin."""
TO_EIGHT_BITS = (
    "make three bands of eight bits of it, for instance with 'gdal_translate -ot Byte -scale -b 1 -b 2 -b 3'"
)

# What Pillow raises on damaged files, besides OSError: its decoders do not catch the errors of their helpers.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error,
            Image.DecompressionBombError)  # fmt: skip


def is_file(path: Path) -> bool:
    """Whether the file exists; False also for names that no file can have (too long, or with a NUL)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header.

    Raises:
        DataError: if the file does not exist or is not an image.
    """
    try:
        with Image.open(path) as image:
            _check_bits(path, image)
            return image.size
    except _DAMAGED as error:
        raise DataError(f"image '{path}' cannot be opened: {_why(error)}") from error


def reduced_size(width: int, height: int, longest_side: int | None) -> tuple[int, int]:
    """Width and height after downscaling to a longest side; images are never enlarged."""
    if longest_side is None or max(width, height) <= longest_side:
        return width, height
    factor = longest_side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def read_image(path: Path, longest_side: int | None = None) -> Pixels:
    """All pixels, downscaled to `longest_side` where the image is larger.

    Orientation tags are ignored, since boxes refer to the stored pixels.

    Raises:
        DataError: if the file is missing, damaged or truncated.
    """
    try:
        with Image.open(path) as image:
            _check_bits(path, image)
            size = reduced_size(*image.size, longest_side)
            image.draft("RGB", size)  # a JPEG decodes at 1/2, 1/4 or 1/8 where that is still no smaller than `size`
            rgb = image.convert("RGB")
        return np.array(rgb if rgb.size == size else rgb.resize(size, Image.Resampling.BILINEAR))  # (h, w, 3)
    except _DAMAGED as error:
        raise DataError(f"image '{path}' cannot be decoded: {_why(error)}") from error


def _check_bits(path: Path, image: Image.Image) -> None:
    """Refuses what Pillow would clip: values of more than eight bits, whose range nobody has stated.

    Raises:
        DataError: with a way out.
    """
    if image.mode.startswith(DEEP_MODES):
        raise DataError(
            f"image '{path}' has values of more than eight bits, which would be clipped at 255; {TO_EIGHT_BITS}"
        )


def _why(error: BaseException) -> str:
    """An error of Pillow in one line; with a way out for files that it does not know, such as TIFFs of five bands."""
    line = " ".join(str(error).split()) or type(error).__name__
    return f"{line}; if GDAL reads it, {TO_EIGHT_BITS}" if isinstance(error, UnidentifiedImageError) else line


class ImageStore:
    """The pixels of a set's images, decoded on each access or once into memory; the pixels are the same either way.

    Fill it before worker processes start: forked workers share its memory.
    """

    def __init__(
        self, annotations: Sequence[Annotation], longest_side: int | None, *, scenes_whole: bool = False
    ) -> None:
        """Reads nothing yet.

        Args:
            annotations: the images.
            longest_side: larger images are downscaled to it; None: never.
            scenes_whole: whether scenes keep their size nevertheless.
        """
        self._annotations = annotations
        self._scenes_whole = scenes_whole
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
        size = image_size(annotation.image)
        if size != (annotation.width, annotation.height):
            raise DataError(wrong_size(annotation, size))
        pixels = read_image(annotation.image, self._limit(annotation))
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
