"""The files that a scene consists of, and those that a mosaic shows: each is opened before GDAL reads through it.

Mosaics are VRT files and tile indexes (GTI). Of a VRT, GDAL reports a source that it cannot open only at the first
read that touches it. It remembers the failure while any mosaic is open, beyond the handle that met it, and then gives
zeros or undefined pixels without an error (GDAL 3.10, gdalproxypool.cpp). So a source is tried here first, and GDAL
never meets one that cannot be opened.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from lcageo.errors import SceneError
from lcageo.scene.tile_index import SUFFIXES, TileIndex

_MOSAICS = (".vrt", *SUFFIXES)
"""Ends of the names of files that show others."""
_DRIVERS = ("VRT", "GTI", "STACIT")
"""GDAL's drivers of them."""
_CHANGES = ("ScaleRatio", "ScaleOffset", "LUT", "Exponent", "ColorTableComponent", "Kernel")
"""Elements of a mosaic's definition with which it shows other values than its files store."""
XML = "xml:VRT"
"""The metadata domain in which GDAL gives a mosaic's definition."""
_INSIDE = re.compile(
    r"((?:GTIFF_DIR|NETCDF|HDF4_SDS|HDF4_EOS|HDF5|BAG|ZARR|TILEDB|NITF_IM|PDF|PDF_IMAGE|RASTERLITE|GPKG):"
    r'(?:off:)?(?:\d+:)?"?)([^":]*)(.*)',
    re.DOTALL,
)
"""GDAL's name of a part of a file: what is before the file's path, the path, and what is behind it."""
Open = Callable[[str], Any]
"""Opens a raster; raises SceneError."""
Rectangle = tuple[float, float, float, float]
"""x, y, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a mosaic."""

    path: str
    shown: Rectangle
    """Where it is shown, scene pixels."""
    part: Rectangle | None
    """Its part that is shown there, in its own pixels; None: all of it."""
    is_changed: bool = False
    """Whether the mosaic shows other values than the file stores."""
    band: int = field(default=0, compare=False)
    """The mosaic's first band that shows it; 0 if it does not say."""


class Sources:
    """The files of one scene. May be used from several threads."""

    def __init__(self, path: str, dataset: Any, opens: Open) -> None:
        """Looks for the files of an open raster.

        Args:
            path: of the scene, for messages.
            dataset: the open raster.
            opens: opens one of its sources.
        """
        self._path, self._open = path, opens
        self._trying = threading.Lock()
        files = dict.fromkeys(dataset.files)
        self._sources = list(self._expanded(dataset, (0.0, 0.0, dataset.width, dataset.height), files, ()))
        self._bounds = np.array([source.shown for source in self._sources], np.float64).reshape(-1, 4)
        self._bounds[:, 2:] += self._bounds[:, :2]
        self._untried = np.ones(len(self._sources), np.bool_)
        self._of_path: dict[str, list[int]] = {}  # a mosaic may have ten thousand files
        for index, source in enumerate(self._sources):
            self._of_path.setdefault(source.path, []).append(index)
        self.files: tuple[str, ...] = tuple({os.path.realpath(name): name for name in reversed(files)}.values())[::-1]
        """Paths of the scene's file and of those that belong to it, sources of sources too, whether they exist or not.
        """
        self.missing: tuple[str, ...] = tuple(name for name in self.files if _is_missing(name))
        """Those that do not exist."""
        self.remedy = (
            "the mosaic's definition or one of its files is wrong; build the mosaic again"
            if dataset.driver in _DRIVERS
            else "the file is damaged or incomplete, download it again"
        )
        """What to do about a part that cannot be read."""

    def storing(self, dataset: Any, band: int) -> AbstractContextManager[Any]:
        """The dataset that stores a raster's values: of a mosaic, the first file of a band, unless it changes them.

        GDAL's tools do not copy into a mosaic how many bits its files use, and whether their least value is white.
        """
        first = next((source for source in self._sources if source.band == band), next(iter(self._sources), None))
        if first is None or first.is_changed or _is_missing(first.path):
            return nullcontext(dataset)
        try:
            opened: AbstractContextManager[Any] = self._open(first.path)
        except SceneError:  # told where it is read
            return nullcontext(dataset)
        return opened

    def check(self, left: float, top: float, right: float, bottom: float) -> None:
        """Checks that the files that a window (scene pixels) shows can be opened.

        Raises:
            SceneError: if one cannot; it names the file.
        """
        if not self._untried.any():
            return
        low, high = self._bounds[:, :2], self._bounds[:, 2:]
        met = self._untried & (low < [right, bottom]).all(axis=1) & (high > [left, top]).all(axis=1)
        with self._trying:
            for index in np.flatnonzero(met & self._untried):
                source = self._sources[index]
                if _is_missing(source.path):
                    raise SceneError(
                        f"scene '{self._path}' cannot be read at column {left:.0f}, row {top:.0f}: its file "
                        f"'{source.path}' does not exist; restore it, or build the mosaic again"
                    )
                with self._open(source.path) as opened:
                    size = opened.width, opened.height
                for other in self._of_path[source.path]:
                    self._untried[other] = _exceeds(self._sources[other].part, size)
                if self._untried[index]:
                    raise SceneError(
                        f"scene '{self._path}' cannot be read at column {left:.0f}, row {top:.0f}: its file "
                        f"'{source.path}' has {size[0]:,} x {size[1]:,} pixels, fewer than the mosaic shows of it; "
                        "build the mosaic again"
                    )

    def _expanded(
        self, dataset: Any, shown: Rectangle, files: dict[str, None], within: tuple[str, ...]
    ) -> Iterator[Source]:
        """The sources of a raster that is shown somewhere, without mosaics, whose own sources take their place.

        Args:
            dataset: an open raster.
            shown: where it is shown, scene pixels.
            files: receives the files that belong to it.
            within: the mosaics that it is a part of, as one may refer to itself.
        """
        whole = (0.0, 0.0, float(dataset.width), float(dataset.height))
        for source in dict.fromkeys(_sources(dataset, whole, files)):
            files[source.path] = None
            placed = replace(source, shown=_moved(source.shown, whole, shown))
            inner = None
            if source.path.lower().endswith(_MOSAICS) and source.path not in within and not _is_missing(source.path):
                inner = self._open(source.path)
            if inner is None:
                yield placed
                continue
            with inner:
                files |= dict.fromkeys(inner.files)
                part = source.part or (0.0, 0.0, float(inner.width), float(inner.height))
                all_of_it = _moved((0.0, 0.0, float(inner.width), float(inner.height)), part, placed.shown)
                for one in self._expanded(inner, all_of_it, files, (*within, source.path)):
                    is_changed = one.is_changed or source.is_changed
                    shown_part = _common(one.shown, placed.shown)
                    yield replace(one, shown=shown_part, is_changed=is_changed, band=placed.band)


def opened_path(dataset: Any) -> str:
    """What GDAL has opened: under an address such as https://..., another path than the dataset's name."""
    return str(dataset.files[0] if "://" in dataset.name and dataset.files else dataset.name)


def missing_source(path: str) -> str | None:
    """A file that a mosaic refers to and that does not exist, for one that GDAL cannot open; None if there is none."""
    if not path.lower().endswith(_MOSAICS) or _is_missing(path):
        return None
    try:
        if path.lower().endswith(SUFFIXES):
            listed = [TileIndex.of(path).layer_path]
        else:
            text = Path(path).read_text(encoding="utf-8")
            listed = [source.path for source in _listed(text, path, (0.0, 0.0, 1.0, 1.0))]
    except (OSError, ValueError, ElementTree.ParseError):
        return None
    return next(filter(_is_missing, listed), None)


def _sources(dataset: Any, whole: Rectangle, files: dict[str, None]) -> Iterator[Source]:
    """The sources of a raster, in its own pixels; none if it is not a mosaic. `files` receives what else it needs."""
    if dataset.driver in ("VRT", "STACIT"):  # items of STAC become a VRT
        yield from _listed(dataset.tags(ns=XML)[XML], opened_path(dataset), whole)
    elif dataset.driver == "GTI":
        index = TileIndex.of(dataset.name)
        files[index.layer_path] = None
        to_pixel = ~dataset.transform
        paths, outlines = index.read()
        if outlines is None:
            yield from (Source(path, whole, None) for path in paths)
            return
        for path, (left, bottom, right, top) in zip(paths, outlines, strict=True):
            (x1, y1), (x2, y2) = to_pixel @ (left, top), to_pixel @ (right, bottom)
            yield Source(path, (x1, y1, x2 - x1, y2 - y1), None)


def _listed(definition: str, path: str, whole: Rectangle) -> Iterator[Source]:
    """The sources in a mosaic's definition, in its own pixels; those without a place, as of a warped one, everywhere.

    Args:
        definition: XML.
        path: of the mosaic.
        whole: its extent.
    """
    path = path if path.startswith("/vsi") else os.path.realpath(path)  # GDAL follows links, too
    folder = os.path.dirname(path)  # noqa: PTH120  # pathlib would change /vsicurl/https://
    root = ElementTree.fromstring(definition)
    derived = [band for band in root.iter("VRTRasterBand") if band.find("PixelFunctionType") is not None]
    computed = {id(source) for band in derived for source in band}
    bands = {id(source): int(band.get("band", 0)) for band in root.iter("VRTRasterBand") for source in band}
    for element in root.iter():
        if element.get("subClass") == "VRTRawRasterBand":
            continue  # bare values in a file that is no raster by itself
        for source in (*element.findall("SourceFilename"), *element.findall("SourceDataset")):
            name = source.text or ""
            if name.startswith("<"):
                continue  # a definition inside the definition
            if source.get("relativeToVRT", source.get("relativetoVRT")) == "1":
                name = _beside(folder, name)
            shown, part = _rectangle(element.find("DstRect")), _rectangle(element.find("SrcRect"))
            is_changed = id(element) in computed or any(element.find(change) is not None for change in _CHANGES)
            yield Source(name, shown or whole, part, is_changed, bands.get(id(element), 0))


def _beside(folder: str, name: str) -> str:
    """A name that is relative to a folder, also where it has a prefix: GTIFF_DIR:2:pages.tif, NETCDF:"a.nc":band."""
    found = _INSIDE.fullmatch(name)
    prefix, path, rest = ("", name, "") if found is None else found.groups()
    return f"{prefix}{os.path.join(folder, path)}{rest}"  # noqa: PTH118  # pathlib would change /vsicurl/https://


def _rectangle(element: ElementTree.Element | None) -> Rectangle | None:
    if element is None:
        return None
    x, y, width, height = (float(element.get(name, "nan")) for name in ("xOff", "yOff", "xSize", "ySize"))
    return (x, y, width, height) if np.isfinite([x, y, width, height]).all() and width > 0 and height > 0 else None


def _exceeds(part: Rectangle | None, size: tuple[int, int]) -> bool:
    """Whether a part reaches beyond a file of this size, by a pixel or more: there, GDAL silently shows nothing."""
    return part is not None and (part[0] + part[2] >= size[0] + 1 or part[1] + part[3] >= size[1] + 1)


def _moved(rectangle: Rectangle, start: Rectangle, end: Rectangle) -> Rectangle:
    """A rectangle after the move that takes `start` to `end`."""
    x, y, width, height = rectangle
    across, down = end[2] / start[2], end[3] / start[3]
    return end[0] + (x - start[0]) * across, end[1] + (y - start[1]) * down, width * across, height * down


def _common(one: Rectangle, other: Rectangle) -> Rectangle:
    """What two rectangles have in common; of no size if they are apart."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[0] + one[2], other[0] + other[2]), min(one[1] + one[3], other[1] + other[3])
    return left, top, max(0.0, right - left), max(0.0, bottom - top)


def _is_missing(path: str) -> bool:
    """Whether a path can only be that of a file, unlike GDAL's NETCDF:file:variable, and there is none."""
    known_otherwise = path.startswith("/vsi") or ":" in path[2:]
    return not known_otherwise and not os.path.exists(path)  # noqa: PTH110  # Path raises for names that are too long
