"""Damaged and hostile GeoTIFFs, made from small valid ones; the same number gives the same file."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from support.scenes import squares, write_scene

WIDTH, HEIGHT = 300, 280
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""TIFF data type -> bytes of one value."""
FORMAT_OF = {1: "B", 2: "H", 4: "I", 8: "Q"}
OFFSETS, BYTE_COUNTS = (273, 324), (279, 325)
SIZE_TAGS = (256, 257, 258, 277, 278, 322, 323)
"""Tags of width, height, bits, bands, rows per strip, and tile width and height."""
ABSURD = (0, 1, 17, 4096, 46_341, 65_535, 65_536, 10**6, 2**24 + 3, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag of a directory."""

    tag: int
    kind: int
    count: int
    at: int
    """Offset of the entry in the file; `values_at` is that of its values."""
    values_at: int


@dataclass(frozen=True, slots=True)
class Directory:
    """One IFD."""

    at: int
    entries: tuple[Entry, ...]
    next_at: int
    """Offset of the pointer to the next directory."""


class Tiff:
    """The bytes of a valid TIFF, to be changed, and its directories."""

    def __init__(self, content: bytes) -> None:
        self.bytes = bytearray(content)
        self.order = "<" if content[:2] == b"II" else ">"
        self.big = self.get(2, 2) == 43
        self.word = 8 if self.big else 4
        self.first_at = 8 if self.big else 4
        """Offset of the pointer to the first directory."""
        self.directories: list[Directory] = []
        at = self.get(self.first_at, self.word)
        while at:
            self.directories.append(self._directory(at))
            at = self.get(self.directories[-1].next_at, self.word)

    def get(self, at: int, size: int) -> int:
        (value,) = struct.unpack_from(self.order + FORMAT_OF[size], self.bytes, at)
        return int(value)

    def put(self, at: int, size: int, value: int) -> None:
        """Writes a value, truncated to `size` bytes, if the file is long enough."""
        if at + size <= len(self.bytes):
            struct.pack_into(self.order + FORMAT_OF[size], self.bytes, at, value % 256**size)

    def _directory(self, at: int) -> Directory:
        head, length = (8, 20) if self.big else (2, 12)
        count = self.get(at, head)
        places = range(at + head, at + head + count * length, length)
        return Directory(at, tuple(self._entry(place) for place in places), at + head + count * length)

    def _entry(self, at: int) -> Entry:
        tag, kind, count = self.get(at, 2), self.get(at + 2, 2), self.get(at + 4, self.word)
        inline = at + 4 + self.word
        is_inline = SIZES[kind] * count <= self.word
        return Entry(tag, kind, count, at, inline if is_inline else self.get(inline, self.word))

    def set_number(self, entry: Entry, value: int) -> None:
        """Replaces the values of a tag by a single 32-bit number."""
        self.put(entry.at + 2, 2, 4)
        self.put(entry.at + 4, self.word, 1)
        self.put(entry.at + 4 + self.word, self.word, value % 2**32)
        if self.order == ">" and self.big:
            self.put(entry.at + 4 + self.word, 4, value)

    def tags(self, wanted: tuple[int, ...]) -> list[Entry]:
        """The entries of these tags in all directories."""
        return [entry for directory in self.directories for entry in directory.entries if entry.tag in wanted]

    def structure(self) -> list[int]:
        """Positions of all bytes that are not pixels: header, directories, values of tags."""
        places = set(range(16))
        for directory in self.directories:
            places.update(range(directory.at, directory.next_at + self.word))
            for entry in directory.entries:
                places.update(range(entry.values_at, entry.values_at + SIZES[entry.kind] * entry.count))
        return sorted(place for place in places if place < len(self.bytes))


def truncated(tiff: Tiff, dice: random.Random) -> None:
    del tiff.bytes[dice.randrange(len(tiff.bytes)) :]


def flipped_anywhere(tiff: Tiff, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 4, 16, 64))):
        tiff.bytes[dice.randrange(len(tiff.bytes))] ^= 1 << dice.randrange(8)


def flipped_structure(tiff: Tiff, dice: random.Random) -> None:
    places = tiff.structure()
    for _ in range(dice.randint(1, 8)):
        tiff.bytes[dice.choice(places)] ^= 1 << dice.randrange(8)


def wrong_offsets(tiff: Tiff, dice: random.Random) -> None:
    """Changes offset or length of some or all blocks."""
    end = len(tiff.bytes)
    wrong = (0, 1, 4, end - 1, end, end * 2, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, dice.randrange(end))
    for entry in dice.choices(tiff.tags(OFFSETS + BYTE_COUNTS), k=dice.randint(1, 4)):
        size = SIZES[entry.kind]
        for index in dice.choices(range(entry.count), k=dice.choice((1, 2, entry.count))):
            tiff.put(entry.values_at + index * size, size, dice.choice(wrong))


def absurd_sizes(tiff: Tiff, dice: random.Random) -> None:
    directory = dice.choice(tiff.directories[:1] * 3 + tiff.directories)
    entries = [entry for entry in directory.entries if entry.tag in SIZE_TAGS]
    for entry in dice.sample(entries, dice.randint(1, 3)):
        tiff.set_number(entry, dice.choice(ABSURD))


def huge_scene(tiff: Tiff, dice: random.Random) -> None:
    """Makes both sides large: one alone is often refused as inconsistent with the other."""
    sides = (20_000, 46_341, 100_000, 10**6, 2**24, 2**31 - 1)
    for entry in tiff.tags((256, 257)):
        tiff.set_number(entry, dice.choice(sides))
    if dice.random() < 0.5:
        side = dice.choice((256, 1024, 4096, 16_384, 32_768, 65_520, 2**20))
        for entry in tiff.tags((278, 322, 323)):
            tiff.set_number(entry, side)


def cyclic(tiff: Tiff, dice: random.Random) -> None:
    """Makes the chain of directories a loop or leads it out of the file, sometimes through SubIFDs."""
    directory = dice.choice(tiff.directories)
    target = dice.choice([*(one.at for one in tiff.directories), directory.at + 2, 0, 8, len(tiff.bytes) - 2])
    tiff.put(dice.choice((directory.next_at, tiff.first_at)), tiff.word, target)
    if dice.random() < 0.3:
        entry = dice.choice(directory.entries)
        tiff.put(entry.at, 2, 330)  # SubIFDs
        tiff.set_number(entry, dice.choice(tiff.directories).at)


def bomb(tiff: Tiff, dice: random.Random) -> None:
    """Blocks whose stream decompresses to far more than a block; for JPEG, to 65,500 x 65,500 pixels."""
    (offsets, *_), (counts, *_) = tiff.tags(OFFSETS), tiff.tags(BYTE_COUNTS)
    if tiff.get(tiff.tags((259,))[0].values_at, 2) == 7:  # JPEG
        frame = tiff.bytes.find(b"\xff\xc0", tiff.get(offsets.values_at, SIZES[offsets.kind]))
        struct.pack_into(">HH", tiff.bytes, frame + 5, dice.choice((1, 65_500)), 65_500)
        return
    stream = zlib.compress(bytes(dice.choice((10**6, 10**8))), 9)
    at = len(tiff.bytes)
    tiff.bytes += stream
    for index in dice.choices(range(offsets.count), k=dice.choice((1, 4, offsets.count))):
        for entry, value in ((offsets, at), (counts, len(stream))):
            tiff.put(entry.values_at + index * SIZES[entry.kind], SIZES[entry.kind], value)


def bad_tags(tiff: Tiff, dice: random.Random) -> None:
    """Changes types, counts and values of tags and their number, or repeats tags."""
    entries = dice.choice(tiff.directories).entries
    for entry in dice.sample(entries, min(len(entries), dice.randint(1, 4))):
        change = dice.randrange(5)
        if change == 0:
            tiff.put(entry.at + 2, 2, dice.choice([*SIZES, 0, 14, 255, 65_535]))
        elif change == 1:
            tiff.put(entry.at + 4, tiff.word, dice.choice((0, 1, 2, entry.count * 2, 10**6, 2**31, 2**32 - 1, 2**63)))
        elif change == 2:
            for at in range(entry.at + 4 + tiff.word, entry.at + 4 + 2 * tiff.word):
                tiff.bytes[at] = dice.choice((0, 255, dice.randrange(256)))
        elif change == 3:
            tiff.put(entry.at, 2, dice.choice((dice.choice(entries).tag, dice.randrange(65_536))))
        else:
            length = SIZES[entry.kind] * entry.count
            tiff.bytes[entry.values_at : entry.values_at + length] = dice.randbytes(length)


def bigtiff(tiff: Tiff, dice: random.Random) -> None:
    """Swaps TIFF and BigTIFF in the header, or breaks BigTIFF's own fields."""
    change = dice.randrange(5)
    if change == 0:
        tiff.put(2, 2, 42 if tiff.big else 43)
    elif change == 1:
        tiff.put(2, 2, 43)
        tiff.put(4, 2, dice.choice((0, 4, 8, 16, 65_535)))
        tiff.put(6, 2, dice.choice((0, 0, 1, 65_535)))
        tiff.put(8, 8, dice.choice((8, 16, tiff.directories[0].at, 2**63, 2**64 - 1)))
    elif change == 2:
        tiff.put(tiff.directories[0].at, 8 if tiff.big else 2, dice.choice((0, 1, 255, 65_535, 2**32, 2**63)))
    elif change == 3:
        entry = dice.choice(tiff.directories[0].entries)
        tiff.put(entry.at + 4, tiff.word, dice.choice((2**32 - 1, 2**40, 2**61, 2**63, 2**64 - 1)))
    else:
        for entry in dice.choices(tiff.directories[0].entries, k=3):
            tiff.put(entry.at + 2, 2, dice.choice((13, 16, 17, 18)))


KINDS: Mapping[str, Callable[[Tiff, random.Random], None]] = {
    "truncated": truncated,
    "bits anywhere": flipped_anywhere,
    "bits of the structure": flipped_structure,
    "offsets, byte counts": wrong_offsets,
    "absurd sizes": absurd_sizes,
    "huge scene": huge_scene,
    "cyclic directories": cyclic,
    "bombs": bomb,
    "tags": bad_tags,
    "BigTIFF": bigtiff,
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One damaged file."""

    number: int
    kind: str
    source: str
    """Name of the valid file it was made from."""
    content: bytes


def mutate(sources: Mapping[str, bytes], number: int, seed: int = 0) -> Mutation:
    """The mutation with a number: kinds in turn, file and details at random."""
    dice = random.Random(f"{seed} {number}")
    kind = list(KINDS)[number % len(KINDS)]
    names = sorted(sources)
    if kind == "bombs":  # the others have no stream to exaggerate
        names = [name for name in names if name not in ("striped", "uint16")]
    source = dice.choice(names)
    tiff = Tiff(sources[source])
    KINDS[kind](tiff, dice)
    return Mutation(number, kind, source, bytes(tiff.bytes))


def write_sources(folder: Path) -> dict[str, bytes]:
    """Writes small valid GeoTIFFs of all internal layouts, by name."""
    pixels = squares(HEIGHT, WIDTH, [(20, 30, 12, 210), (150, 120, 20, 240), (250, 240, 16, 250)])
    pixels[:, :40] = 0  # a black collar
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    profiles: dict[str, dict[str, Any]] = {
        "tiled": {**tiled, "interleave": "pixel"},
        "striped": {"compress": "lzw", "predictor": 2},
        "jpeg": {**tiled, "blockxsize": 128, "blockysize": 128, "compress": "jpeg", "photometric": "YCBCR"},
        "uint16": {"endianness": "BIG", "compress": "zstd"},
        "nodata": {**tiled, "nodata": 0, "interleave": "band"},
        "float": {**tiled, "nodata": -9999, "predictor": 3},
        "mask": tiled,
        "overviews": {**tiled, "interleave": "pixel"},
        "bigtiff": {**tiled, "bigtiff": "yes"},
        "sparse": {**tiled, "blockxsize": 256, "blockysize": 256, "interleave": "pixel", "sparse_ok": True},
        "palette": {"photometric": "palette", "compress": "packbits"},
    }
    for name, profile in profiles.items():
        values = pixels[:1] if name == "palette" else pixels
        values = values.astype({"uint16": np.uint16, "float": np.float32}.get(name, np.uint8))
        if name == "sparse":  # too large to be sampled completely
            profile |= {"transform": None, "crs": None}
            values = np.pad(values, ((0, 0), (1024, 3000), (512, 3500)))
        path = write_scene(folder / f"{name}.tif", values, **profile)
        if name in ("mask", "overviews", "palette"):
            _finish(path, name, pixels[0] > 0)
    return {name: (folder / f"{name}.tif").read_bytes() for name in profiles}


def _finish(path: Path, name: str, valid: Any) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        if name == "mask":
            dataset.write_mask(valid)
        elif name == "overviews":
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
        else:
            dataset.write_colormap(1, {value: (value, 255 - value, value // 2, 255) for value in range(256)})
