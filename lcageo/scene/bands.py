"""What the bands of a raster file mean: red, green and blue, palettes, alpha, the range of their values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lcageo.errors import SceneError, UsageError
from lcageo.paths import on_disk
from lcageo.remote import is_on_server
from lcageo.scene.servers.faults import ANSWERS
from lcageo.scene.sources import opened_path

Bands = tuple[int, int, int]
"""1-based numbers of the bands that are seen as red, green and blue."""
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
NAMES = ("red", "green", "blue")
OTHER_NAMES = {
    "edge", "near", "nir", "ir", "infra", "infrared", "swir", "mir", "tir", "coastal", "deep", "aerosol", "yellow",
}  # fmt: skip
"""Words of a description beside which 'red' is not the colour: 'near infra red', 'red edge', 'coastal blue'."""
WAVELENGTHS_NM = ((660.0, 620.0, 700.0), (555.0, 510.0, 590.0), (475.0, 430.0, 510.0))
"""Centre, minimum and maximum of red, green and blue, as in Landsat, Sentinel-2 and aerial cameras."""
INKS = 4
"""Bands of cyan, magenta, yellow and black."""
INK = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)
ALPHA_PROBES = 4
"""Places per side at which an alpha band is looked at."""
ALPHA_PROBE_SIDE = 32
"""Pixels along a side of each."""


def choose_bands(path: str, dataset: Any, asked: Sequence[int] | None) -> tuple[Bands, list[str]]:
    """The bands to use as red, green and blue, and messages for the user where the file does not say which they are.

    Descriptions and wavelengths come before colour interpretations: GDAL marks the first bands of most files as red,
    green and blue, whatever they are.

    Args:
        path: of the file, for messages.
        dataset: open.
        asked: as the user chose: three numbers, or one to use for all; None: to be found out.

    Raises:
        UsageError: if `asked` names a band that the file does not have.
        SceneError: if its bands are inks that GDAL does not convert, as those of 16 bits: they would be seen inverted.
    """
    if asked:
        return _as_asked(path, dataset, asked), []
    meaning = meanings(dataset)
    if all(ink in meaning for ink in INK):
        raise SceneError(
            f"scene '{path}' is a CMYK file of type {dataset.dtypes[0]}, whose inks GDAL does not convert to red, "
            "green and blue; export it as RGB"
        )
    names = [_name(*band) for band in zip(dataset.descriptions, meaning, strict=True)]
    named = _by_name(names) or _by_wavelength(dataset)
    if named is not None:
        return named, []
    if all(color in meaning for color in RGB):
        red, green, blue = (meaning.index(color) + 1 for color in RGB)
        return (red, green, blue), _note(path, names, (red, green, blue)) if _contradict(
            names, (red, green, blue)
        ) else []
    colours = [band for band in dataset.indexes if meaning[band - 1] is not ColorInterp.alpha] or [1]
    if len(colours) >= len(RGB):
        return (colours[0], colours[1], colours[2]), _note(path, names, colours[:3])
    return (colours[0], colours[0], colours[0]), _note(path, names, colours[:1]) if len(colours) > 1 else []


def palette(dataset: Any, band: int) -> NDArray[np.uint8] | None:
    """(256, 3) or, if it is of 16 bits, (65536, 3) colours of a paletted band, or None.

    GDAL makes a palette of grey values whose least one is white, if it did not write the file, but of eight bits.
    """
    dtype = dataset.dtypes[band - 1]
    if meanings(dataset)[band - 1] is not ColorInterp.palette or dtype not in ("uint8", "uint16"):
        return None
    if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        return None
    try:
        colours = dataset.colormap(band)
    except ValueError:  # it says so, and has none
        return None
    return np.array([colours.get(index, (0, 0, 0, 0))[:3] for index in range(np.iinfo(dtype).max + 1)], np.uint8)


def transparent(dataset: Any, band: int) -> NDArray[np.bool_] | None:
    """(256,) or (65536,) True for the indices of a paletted band that are holes; None if there are none, or no others.

    Those without any opacity; an index that the palette lacks is none of them.
    """
    if palette(dataset, band) is None:
        return None
    colours = dataset.colormap(band)
    holes = [index for index, colour in colours.items() if colour[3] == 0]
    if not holes or len(holes) == len(colours):
        return None
    found = np.zeros(np.iinfo(dataset.dtypes[band - 1]).max + 1, np.bool_)
    found[holes] = True
    return found


def alpha_band(dataset: Any) -> int | None:
    """Number of the band that is marked as alpha, or None."""
    meaning = meanings(dataset)
    return meaning.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in meaning else None


def is_picture(dataset: Any, alpha: int) -> bool:
    """Whether a band that is marked as alpha varies like a picture: GDAL marks the fourth of four bands, infrared, too.

    Where a mask is not 0, nearly all its values are the same, whichever that is. Pixels that cannot be read count as
    those of a mask, unless a server failed, which is raised: it might be waited for at each place. The dataset should
    not be used afterwards: GDAL reports some errors only once per handle.
    """
    width, height = min(ALPHA_PROBE_SIDE, dataset.width), min(ALPHA_PROBE_SIDE, dataset.height)
    shares = (np.arange(ALPHA_PROBES) + 0.5) / ALPHA_PROBES
    seen: list[NDArray[Any]] = []
    for x in (shares * (dataset.width - width)).astype(int).tolist():
        for y in (shares * (dataset.height - height)).astype(int).tolist():
            ANSWERS.clear()
            try:
                seen.append(dataset.read(alpha, window=Window(x, y, width, height)).ravel())
            except (RasterioError, CPLE_BaseError) as error:
                if ANSWERS.last(error, is_on_server(dataset.name)) is not None:
                    raise
    values = np.concatenate(seen) if seen else np.zeros(0)
    _, counts = np.unique(values[values > 0], return_counts=True)
    return bool(len(counts) and counts.max() < counts.sum() / 2)


def beside_inks(path: str, address: str, dataset: Any, opens: Callable[[str, str], Any]) -> list[str]:
    """A note about bands of a CMYK file that GDAL drops when it converts the inks to red, green and blue.

    Args:
        path: of the file, for messages.
        address: what opens it.
        dataset: open.
        opens: opens a raster, given its address and its name for messages.
    """
    if dataset.driver != "GTiff" or dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") != "CMYK":
        return []
    with opens(f"GTIFF_RAW:{on_disk(address) or opened_path(dataset)}", path) as stored:
        count = stored.count
    if count <= INKS:
        return []
    return [
        f"scene '{path}' has {count} bands, of which GDAL reads only {INKS}, cyan, magenta, yellow and black: "
        "if another one is a mask, it is not used; export the scene as RGB with alpha"
    ]


def nodata_values(dataset: Any, bands: Sequence[int]) -> list[float]:
    """The nodata value of each of these bands, NaN where there is none: its own, or of GDAL's NODATA_VALUES."""
    together = dataset.tags().get("NODATA_VALUES", "").split()
    own = [dataset.nodatavals[band - 1] for band in bands]
    if len(together) == dataset.count:  # else GDAL does not use them
        with suppress(ValueError):
            own = [float(together[band - 1]) for band in bands]
    return [math.nan if value is None else value for value in own]


def significant_bits(dataset: Any, band: int) -> int:
    """Bits of an integer band that its values use: fewer than its type has where the file says so (NBITS).

    Of a file with fewer bands, those of its last one.
    """
    band = min(band, dataset.count)
    stored = int(np.dtype(dataset.dtypes[band - 1]).itemsize * 8)
    bits = dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", "")
    return min(int(bits), stored) if bits.isdecimal() and int(bits) else stored


def min_is_white(dataset: Any, band: int) -> bool:
    """Whether a grey band has white at its least value; a palette already says so itself."""
    inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    return inverted and palette(dataset, min(band, dataset.count)) is None


def meanings(dataset: Any) -> list[ColorInterp]:
    """Colour interpretation of the bands.

    rasterio raises earlier errors of GDAL here, such as overviews cut off by a download, but only once.
    """
    with suppress(CPLE_BaseError):
        return list(dataset.colorinterp)
    return list(dataset.colorinterp)


def _as_asked(path: str, dataset: Any, asked: Sequence[int]) -> Bands:
    outside = [band for band in asked if not 1 <= band <= dataset.count]
    if outside or len(asked) not in (1, 3):
        raise UsageError(
            f"--bands {','.join(map(str, asked))} does not fit scene '{path}', which has {dataset.count} band(s); "
            f"give one or three numbers from 1 to {dataset.count}"
        )
    return (asked[0], asked[0], asked[0]) if len(asked) == 1 else (asked[0], asked[1], asked[2])


def _by_name(names: Sequence[str]) -> Bands | None:
    """The bands that are described best as red, green and blue, or by their initials; of equals the first."""
    found = []
    for name, (centre, _, _) in zip(NAMES, WAVELENGTHS_NM, strict=True):
        fits = []
        for band, description in enumerate(names, 1):
            words = _words(description)
            if words == {name[0]} or (name in words and not _is_another(words, name)):
                number = re.search(r"(?<!\d)[3-9]\d\d(?!\d)", description)  # as in 'Green-560'
                fits.append((len(words), abs(int(number[0]) - centre) if number else 0.0, band))
        found.append(min(fits)[-1] if fits else 0)
    return (found[0], found[1], found[2]) if all(found) else None


def _contradict(names: Sequence[str], chosen: Bands) -> bool:
    """Whether a band that is marked as red, green or blue is described as something else, or numbered like a blue one.

    Satellites number their bands by wavelength: of B2, B3 and B4, the first is blue.
    """
    if any(_is_another(_words(names[band - 1]), name) for band, name in zip(chosen, NAMES, strict=True)):
        return True
    numbers = [re.fullmatch(r"(?:\w+_)?B0?(\d+)A?", names[band - 1], re.IGNORECASE) for band in chosen]
    return all(numbers) and int(numbers[0][1]) < int(numbers[2][1])  # type: ignore[index]  # all match


def _is_another(words: set[str], name: str) -> bool:
    """Whether the words of a description are those of another colour than this one."""
    return bool(words & (OTHER_NAMES | {*NAMES} - {name}))


def _by_wavelength(dataset: Any) -> Bands | None:
    """The bands whose wavelengths are closest to red, green and blue."""
    waves = [_wavelength_nm(dataset, band) for band in dataset.indexes]
    found = []
    for centre, low, high in WAVELENGTHS_NM:
        near = [(abs(wave - centre), band) for band, wave in enumerate(waves, 1) if wave and low <= wave <= high]
        found.append(min(near)[1] if near else 0)
    return (found[0], found[1], found[2]) if all(found) else None


def _wavelength_nm(dataset: Any, band: int) -> float | None:
    """Central wavelength of a band: from GDAL's IMAGERY metadata, or as in ENVI's headers."""
    tags = {name.lower(): value for name, value in dataset.tags(band).items()}
    tags |= {name.lower(): value for name, value in dataset.tags(band, ns="IMAGERY").items()}
    text = tags.get("central_wavelength_um") or tags.get("central_wavelength") or tags.get("wavelength") or ""
    number = re.match(r"\s*\d+\.?\d*(?=\s|[^\W\d]|$)", text)  # units may follow: '475 Nanometers'
    if number is None:
        return None
    value = float(number[0])
    return value * 1000 if value < 100 else value  # nobody images at 100 nm or at 100 micrometres


def _words(name: str) -> set[str]:
    return set(re.findall("[a-z]+", name.lower()))


def _name(description: str | None, meaning: ColorInterp) -> str:
    """What the file calls a band: its description, else a colour interpretation such as cyan."""
    plain = (ColorInterp.undefined, ColorInterp.gray, ColorInterp.alpha, *RGB)
    return description or ("" if meaning in plain else meaning.name)


def _note(path: str, names: Sequence[str], chosen: Sequence[int]) -> list[str]:
    taken = ", ".join(f"{band} ({names[band - 1]})" if names[band - 1] else str(band) for band in chosen)
    what = f"bands {taken} are taken" if len(chosen) > 1 else f"band {taken} is taken for all three"
    return [
        f"scene '{path}' does not say which of its {len(names)} bands are red, green and blue: {what} "
        "(--bands chooses others)"
    ]
