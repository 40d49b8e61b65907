"""What is known about a scene before any pixel is read: size, location, bands, mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.enums import MaskFlags

from lcageo.errors import SceneError
from lcageo.paths import on_disk
from lcageo.plural import plural
from lcageo.remote import scene_name, without_secrets
from lcageo.scene.bands import Bands, alpha_band, choose_bands, min_is_white, palette, significant_bits, transparent
from lcageo.scene.georef import Georeference, parse_crs, pixel_size_m
from lcageo.scene.located import SceneSource

MAX_BLOCK_BYTES = 512_000_000
"""Maximum size of one block; GDAL always decodes complete blocks, however small the window."""
SQUARE_RATIO = 1.05
"""Ratio of a pixel's sides on the ground up to which it counts as square: to resample costs sharpness."""
MAX_ENLARGEMENT = 4.0
"""Maximum factor by which a scene is enlarged: beyond it, there is no detail for the model to see."""
FEW_BITS = 6
"""Bits per value below which steps of brightness look like edges."""
LISTED = 4
"""Rasters of a container that a message names."""
BLOCK_ENTRY_BYTES = 4
"""Minimum size of a GeoTIFF's entry per block, even for blocks that it leaves out: an offset and a length."""


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """What is known about a scene before any pixel is read."""

    path: str
    """As it may be told and written: without the secrets of a URL."""
    driver: str
    width: int
    height: int
    count: int
    dtype: str
    bands: Bands
    """1-based indices of the bands that the detector sees as red, green, blue."""
    georeference: Georeference
    pixel_size_m: tuple[float, float] | None
    """Ground length of a column step and a row step in metres; None if the scene cannot be located."""
    nodata: float | None
    mask: str
    """Source of the mask of valid pixels: 'alpha', 'mask', 'nodata', 'palette' (transparent colours) or 'none'."""
    block_shape: tuple[int, int]
    overviews: tuple[int, ...]
    compression: str | None
    address: str = field(repr=False)
    """What opens it; a URL with its query, user and password."""
    item: str | None = None
    """Identifier of the STAC item that it is an asset of."""
    alpha: int | None = None
    """Number of the band that masks; None if there is none, or what is marked as alpha is no mask."""
    ignores_alpha: bool = False
    """Whether what is marked as alpha is no mask, though GDAL takes it for one."""
    bits: int = 8
    """Bits that a stored value uses: 4 for values from 0 to 15, whatever the type."""
    min_is_white: bool = False
    """Whether the least value is white."""
    notes: tuple[str, ...] = ()
    """Messages for the user about the meaning of the bands."""
    missing: tuple[str, ...] = ()
    """Files that it refers to, as a mosaic does, and that do not exist."""
    is_one_strip: bool = False
    """Whether the blocks are rows that GDAL has split a single strip into."""

    @property
    def gsd_m(self) -> float | None:
        """Ground sampling distance: the geometric mean of the two pixel lengths, in metres."""
        return None if self.pixel_size_m is None else float(np.sqrt(self.pixel_size_m[0] * self.pixel_size_m[1]))

    @property
    def has_square_pixels(self) -> bool:
        """Whether its pixels are about as long as wide on the ground, or of unknown size."""
        return self.pixel_size_m is None or max(self.pixel_size_m) <= min(self.pixel_size_m) * SQUARE_RATIO

    @property
    def square_gsd_m(self) -> float | None:
        """Side of the squares on the ground as which its pixels are read, unless another resolution is asked for.

        Metres: the GSD if they are square, else their shorter side, as long as no side is enlarged too much.
        """
        if self.pixel_size_m is None or self.has_square_pixels:
            return self.gsd_m
        return max(min(self.pixel_size_m), max(self.pixel_size_m) / MAX_ENLARGEMENT)

    @property
    def pixel_shape(self) -> tuple[float, float]:
        """Width and height of a pixel in pictures, which show square ground: 1 and 1 if it is square."""
        if self.pixel_size_m is None or self.square_gsd_m is None or self.has_square_pixels:
            return 1.0, 1.0
        return self.pixel_size_m[0] / self.square_gsd_m, self.pixel_size_m[1] / self.square_gsd_m

    @property
    def nodata_is_a_colour(self) -> bool:
        """Whether a valid pixel can have the nodata value by coincidence."""
        return self.mask == "nodata" and np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""
        return scene_name(self.path)

    def centre(self) -> tuple[float, float]:
        """X and y of its centre on the map."""
        xs, ys = self.georeference.to_map(np.array([self.width / 2]), np.array([self.height / 2]))
        return float(xs[0]), float(ys[0])

    def warnings(self) -> list[str]:
        """Warnings about missing files, the meaning of the bands, and the result's location on the map."""
        return [*self._missing_files(), *self.notes, *self._of_place()]

    def _missing_files(self) -> list[str]:
        if not self.missing:
            return []
        others = f" and {len(self.missing) - 1:,} other files" if len(self.missing) > 1 else ""
        verb = "do" if others else "does"
        return [
            f"scene '{self.path}' refers to '{self.missing[0]}'{others}, which {verb} not exist; what they show cannot "
            "be read: restore them, or build the mosaic again"
        ]

    def _of_place(self) -> list[str]:
        kind = self.georeference.kind
        if kind == "none":
            lacks = self.georeference.lacks
            remedy = "give it with --crs EPSG:CODE" if lacks == "CRS" else "assign one with gdal_edit or rio edit-info"
            return [f"scene '{self.path}' has no {lacks}, so results are in pixels; {remedy}"]
        crs = self.georeference.crs
        if crs is not None and crs.geodetic_crs is None:
            unit = "" if self.pixel_size_m is not None else " and counts pixels, so its resolution is unknown"
            return [
                f"scene '{self.path}' has the local CRS '{crs.name}', which has no place on the Earth{unit}; if its "
                "coordinates are those of another one, name it with --crs EPSG:CODE"
            ]
        if self.pixel_size_m is None:
            return [
                f"scene '{self.path}' is outside its CRS's area, so its resolution, lengths and areas are unknown; "
                "check its coordinates with 'lcageo info'"
            ]
        if kind != "affine":
            return [f"scene '{self.path}' has no transform; it is located by its {kind.upper()}, which is approximate"]
        return []


def describe(
    source: SceneSource,
    dataset: Any,
    storing: Callable[[Any, int], AbstractContextManager[Any]],
    bands: Sequence[int] | None,
    alpha: int | None,
    crs: str | None = None,
) -> SceneInfo:
    """The description of a dataset that was opened.

    Args:
        source: of the scene.
        dataset: open.
        storing: gives the dataset that stores the values of a band: of a mosaic, which may not say what they mean, one
            of its files.
        bands: as in `open_scene`, as is crs.
        alpha: number of the band that masks; None if there is none, or what is marked as alpha is a picture.

    Raises:
        SceneError: if it has no bands, complex pixels, an impossible size, or an unusable CRS.
        UsageError: if `bands` names a band that it does not have, or the CRS is unknown.
    """
    path = source.name
    if dataset.count == 0:
        inside = f"; it contains several rasters, choose one: {_listed(dataset.subdatasets)}"
        raise SceneError(f"scene '{path}' has no bands{inside if dataset.subdatasets else ''}")
    chosen, notes = choose_bands(path, dataset, bands)
    if others := dataset.subdatasets[1:]:
        notes.append(
            f"scene '{path}' contains {plural(len(others) + 1, 'raster')}, of which the first is used; the others: "
            f"{_listed(others)}"
        )
    alpha, marked = None if alpha in chosen else alpha, alpha_band(dataset)
    if alpha is None and marked is not None and marked not in chosen:
        notes.append(
            f"band {marked} of scene '{path}' is marked as alpha but varies like a picture, as infrared does: it is "
            "not used as a mask"
        )
    if dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") == "CIELAB":
        notes.append(
            f"scene '{path}' is marked as CIELab, from which GDAL converts it to red, green and blue; if it looks "
            "wrong in QGIS as well, the mark is wrong: write it anew with PHOTOMETRIC=RGB"
        )
    dtypes = [dataset.dtypes[band - 1] for band in chosen]  # a VRT's bands may differ in it
    _refuse_complex(path, dtypes)
    dtype = np.result_type(*dtypes).name
    one_strip = _is_one_strip(dataset, chosen[0])
    _check_blocks(source, dataset, chosen[0], one_strip)
    georeference = Georeference.of_dataset(dataset, None if crs is None else parse_crs(crs))
    if crs is not None and georeference.crs is not None and georeference.crs != parse_crs(crs):
        notes.append(f"scene '{path}' says that its CRS is {georeference.crs.name}; --crs {crs} is not used for it")
    is_paletted = palette(dataset, chosen[0]) is not None
    with storing(dataset, chosen[0]) as stored:
        _refuse_complex(path, stored.dtypes[min(chosen[0], stored.count) - 1 :][:1])
        # Colours have eight bits, however few there are.
        bits = 8 if is_paletted else min(significant_bits(one, chosen[0]) for one in (dataset, stored))
        inverted = not is_paletted and any(min_is_white(one, chosen[0]) for one in (dataset, stored))
    if bits < FEW_BITS:
        notes.append(f"scene '{path}' has only {2**bits} levels of brightness ({bits} bits), so details are lost in it")
    return SceneInfo(
        path=path,
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        count=dataset.count,
        dtype="uint8" if is_paletted else dtype,
        bands=chosen,
        georeference=georeference,
        pixel_size_m=pixel_size_m(georeference, dataset.width, dataset.height),
        nodata=dataset.nodata,
        mask=_mask_kind(dataset, chosen, alpha),
        block_shape=dataset.block_shapes[chosen[0] - 1],
        is_one_strip=one_strip,
        overviews=tuple(dataset.overviews(chosen[0])),
        # Text where rasterio has no name for it, as for MRF's PNG.
        compression=str(getattr(dataset.compression, "value", dataset.compression)) if dataset.compression else None,
        address=source.address,
        item=source.item,
        alpha=alpha,
        ignores_alpha=alpha is None and any(MaskFlags.alpha in dataset.mask_flag_enums[band - 1] for band in chosen),
        bits=bits,
        min_is_white=inverted,
        notes=tuple(notes),
    )


def _refuse_complex(path: str, dtypes: Iterable[str]) -> None:
    for one in dtypes:
        if one.startswith("complex"):  # also complex_int16, which numpy does not know
            raise SceneError(f"scene '{path}' has complex pixels ({one}); convert it to amplitude first")


def _listed(subdatasets: Sequence[str]) -> str:
    """Names of the first few rasters in a container."""
    names = [without_secrets(name) for name in subdatasets]
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _is_one_strip(dataset: Any, band: int) -> bool:
    """Whether GDAL may have split a single strip of a GeoTIFF into rows, and so has no place for any but the first.

    It does so with compressed strips of more than 2,000 rows (GTiffSplitBand), and says that blocks are rows. A sparse
    file of true rows of which none but the first is stored looks the same.
    """
    rows, _ = dataset.block_shapes[band - 1]
    if dataset.driver != "GTiff" or rows != 1:
        return False
    return not any(dataset.get_tag_item(f"BLOCK_OFFSET_0_{row}", "TIFF", 1) for row in range(1, dataset.height))


def _check_blocks(source: SceneSource, dataset: Any, band: int, one_strip: bool) -> None:
    """Rejects sizes that only a damaged header gives, or that do not fit in memory."""
    path, file = source.name, on_disk(source.address)  # of a STAC item, the asset's
    rows, columns = dataset.block_shapes[band - 1]
    together = dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    block_bytes = rows * columns * together * np.dtype(dataset.dtypes[band - 1]).itemsize
    if block_bytes > MAX_BLOCK_BYTES:
        raise SceneError(
            f"scene '{path}' is stored in blocks of {columns:,} x {rows:,} pixels, which take {block_bytes / 1e6:,.0f} "
            f"MB each when decoded (at most {MAX_BLOCK_BYTES / 1e6:.0f} MB are allowed); "
            "make a copy with gdal_translate -co TILED=YES"
        )
    blocks = math.ceil(dataset.width / columns) * (1 if one_strip else math.ceil(dataset.height / rows))
    if dataset.driver == "GTiff" and file is not None and file.is_file():
        file_bytes = file.stat().st_size
        if blocks * BLOCK_ENTRY_BYTES > file_bytes:
            raise SceneError(
                f"scene '{path}' claims to have {dataset.width:,} x {dataset.height:,} pixels in {blocks:,} blocks, "
                f"but the file has only {file_bytes:,} bytes; it is damaged or incomplete, download it again"
            )


def _mask_kind(dataset: Any, bands: Sequence[int], alpha: int | None) -> str:
    flags = dataset.mask_flag_enums[bands[0] - 1]
    if MaskFlags.nodata in flags:
        return "nodata"
    if MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags:  # no flag: each band has a mask of its own
        return "mask"
    if alpha is not None:
        return "alpha"
    return "none" if transparent(dataset, bands[0]) is None else "palette"
