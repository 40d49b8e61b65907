"""Basemaps: tiles of the whole world behind one address, of which the part that is asked for becomes a scene.

GDAL's drivers WMS and WMTS read them by a definition in XML (XYZ, TMS, WMS and others), by the capabilities of a WMTS,
or by a definition that is made here for 'xyz:https://host/{z}/{x}/{y}.png'. A VRT of the area, at one of the basemap's
resolutions, is the scene.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyproj
import rasterio
from rasterio.dtypes import dtype_rev, typename_fwd

from lcageo.errors import UsageError
from lcageo.paths import on_disk
from lcageo.remote import XYZ, public
from lcageo.scene.georef import Georeference, pixel_size_m
from lcageo.transform import Transform, no_way

FINEST_ZOOM = 22
HALF_WORLD_M = 20037508.342789244
"""Half the side of the square that tiles of the Web Mercator grid divide."""
TILE_PX = 256
DEGREES = 180.0
"""Coordinates that all stay below it are degrees: in metres of Web Mercator they would be one point in the ocean."""
DRIVERS = ("WMS", "WMTS")
"""GDAL's drivers of basemaps."""
ABSENT = "204,404"
"""Answers of a server that has no tile at a place, as the pyramids of drone surveys have none beyond their edges."""
_HEAD = 4096
_MARKS = (b"<GDAL_WMS", b"<GDAL_WMTS", b"opengis.net/wmts")
"""What is in the first bytes of a definition of GDAL's, and of the capabilities of a WMTS."""
_EDGE_POINTS = 21
Bounds = tuple[float, float, float, float]


def is_basemap(address: str) -> bool:
    """Whether an address is that of a basemap, of which an area must be named."""
    file = on_disk(address)
    if file is None:
        return address.startswith((XYZ, "<GDAL_WM", "WMS:", "WMTS:"))
    if file.suffix.lower() not in (".xml", ".wms", ".tms", ".vrt", ".wmts") or not file.is_file():
        return False
    with file.open("rb") as content:
        start = content.read(_HEAD)
    return any(mark in start for mark in _MARKS)


def xyz_definition(address: str, zoom: int = FINEST_ZOOM) -> str:
    """GDAL's definition of a basemap at 'xyz:https://host/{z}/{x}/{y}.png', down to a zoom level.

    Raises:
        UsageError: if a placeholder is missing, or there are others.
    """
    template = address.removeprefix(XYZ)
    if not all(part in template for part in ("{z}", "{x}")) or ("{y}" in template) == ("{-y}" in template):
        raise UsageError(
            f"'{XYZ}' needs {{z}}, {{x}} and {{y}} in its address, as {XYZ}https://host/{{z}}/{{x}}/{{y}}.png"
        )
    from_south = "{-y}" in template
    url = template.replace("{-y}", "{y}")
    for name in "zxy":
        url = url.replace(f"{{{name}}}", f"${{{name}}}")
    if other := re.search(r"(?<!\$)\{[^{}]*\}", url):
        raise UsageError(
            f"'{public(address)}' has {other[0]}, but only {{z}}, {{x}} and {{y}} are filled in; write its value, such "
            "as 'a' for {s}"
        )
    definition = ElementTree.Element("GDAL_WMS")
    _add(_add(definition, "Service", name="TMS"), "ServerUrl", url)
    window = _add(definition, "DataWindow")
    for name, value in (("UpperLeftX", -1), ("UpperLeftY", 1), ("LowerRightX", 1), ("LowerRightY", -1)):
        _add(window, name, repr(value * HALF_WORLD_M))
    for name, count in (("TileLevel", zoom), ("TileCountX", 1), ("TileCountY", 1)):
        _add(window, name, str(count))
    _add(window, "YOrigin", "bottom" if from_south else "top")
    for name, text in (
        ("Projection", "EPSG:3857"),
        ("BlockSizeX", TILE_PX),
        ("BlockSizeY", TILE_PX),
        ("BandsCount", 3),
        ("ZeroBlockHttpCodes", ABSENT),
        ("Timeout", 30),
    ):
        _add(definition, name, str(text))
    _add(definition, "DataValues", NoData="0")  # what GDAL fills absent tiles with
    return ElementTree.tostring(definition, encoding="unicode")


def clipped(address: str, dataset: Any, bounds: Bounds, crs: pyproj.CRS | None, gsd_m: float, option: str) -> str:
    """A VRT of the part of a basemap that an area needs, at the resolution nearest to one.

    Args:
        address: of the basemap, or its definition.
        dataset: the basemap, open.
        bounds: of the area: left, bottom, right, top.
        crs: of the area; None: the basemap's own.
        gsd_m: metres per pixel on the ground that are wanted; 0: the finest.
        option: what the user named the area with, for messages.

    Raises:
        UsageError: if the area is not on the basemap, or in degrees without saying so, or the basemap is a service of
            several layers, or has no CRS.
    """
    if dataset.subdatasets:
        raise UsageError(
            f"'{public(address)}' is a service of several layers, not one; name the address of one of them, which 'rio "
            "info --subdatasets ADDRESS' prints"
        )
    if dataset.crs is None:
        raise UsageError(
            f"basemap '{public(address)}' has no CRS; add <Projection>EPSG:...</Projection> to its definition"
        )
    own = pyproj.CRS.from_wkt(dataset.crs.to_wkt())
    if crs is None and not own.is_geographic and max(map(abs, bounds)) <= DEGREES:
        raise UsageError(f"{option} seems to be in degrees, but the basemap is in {own.name}; add --bbox-crs EPSG:4326")
    left, top, right, bottom = _pixels(dataset, _moved(bounds, crs or own, own))
    left, top = max(0, left), max(0, top)
    right, bottom = min(dataset.width, right), min(dataset.height, bottom)
    if right <= left or bottom <= top:
        raise UsageError(f"{option} does not overlap the basemap; check its CRS and coordinates")
    place = Georeference(own, affine=dataset.transform @ rasterio.Affine.translation(left, top))
    sides = pixel_size_m(place, right - left, bottom - top) or (1.0, 1.0)
    wanted = math.log2(max(gsd_m, 1e-9) / math.sqrt(sides[0] * sides[1]))
    factor = min((1, *dataset.overviews(1)), key=lambda one: abs(math.log2(one) - wanted))
    if address.startswith(XYZ):  # the level itself, so that a server is only asked for tiles of it
        level = xyz_definition(address, FINEST_ZOOM - round(math.log2(factor)))
        return _vrt(level, dataset, own, (left, top, right, bottom), factor, 1)
    file = on_disk(address)
    return _vrt(address if file is None else str(file), dataset, own, (left, top, right, bottom), factor, factor)


def _moved(bounds: Bounds, crs: pyproj.CRS, to: pyproj.CRS) -> Bounds:
    """The bounds in another CRS of what has these bounds in its own."""
    if crs == to:
        return bounds
    share = np.linspace(0, 1, _EDGE_POINTS)
    xs = bounds[0] + share * (bounds[2] - bounds[0])
    ys = bounds[1] + share * (bounds[3] - bounds[1])
    across, up = (axis.ravel() for axis in np.meshgrid(xs, ys))
    try:
        moved_x, moved_y = Transform(crs, to)(across, up)
    except pyproj.exceptions.ProjError as error:
        raise UsageError(no_way("the area", crs, to)) from error
    inside = np.isfinite(moved_x) & np.isfinite(moved_y)
    if not inside.any():
        raise UsageError(f"the area is outside the bounds of the basemap's CRS, {to.name}; check its coordinates")
    x, y = moved_x[inside], moved_y[inside]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _pixels(dataset: Any, bounds: Bounds) -> tuple[int, int, int, int]:
    """Left, top, right and bottom edge in pixels that enclose an area; the basemap's north is up."""
    inverse = ~dataset.transform
    left, top = inverse @ (bounds[0], bounds[3])
    right, bottom = inverse @ (bounds[2], bounds[1])
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _vrt(source: str, dataset: Any, crs: pyproj.CRS, window: Sequence[int], factor: int, per_pixel: int) -> str:
    """A VRT of a window at a resolution.

    Args:
        source: what opens the basemap.
        dataset: the basemap at its finest resolution.
        crs: its CRS.
        window: left, top, right and bottom edge, pixels of the finest resolution.
        factor: those pixels per pixel of the VRT.
        per_pixel: pixels of the source per pixel of the VRT.
    """
    left, top = (edge // factor for edge in window[:2])
    width, height = (-(-edge // factor) - start for edge, start in zip(window[2:], (left, top), strict=True))
    place = dataset.transform @ rasterio.Affine.scale(factor) @ rasterio.Affine.translation(left, top)
    vrt = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    _add(vrt, "SRS", crs.to_wkt())
    _add(vrt, "GeoTransform", ", ".join(repr(float(one)) for one in place.to_gdal()))
    bands = zip(dataset.dtypes, dataset.colorinterp, dataset.nodatavals, strict=True)
    for number, (dtype, colour, nodata) in enumerate(bands, 1):
        band = _add(vrt, "VRTRasterBand", dataType=typename_fwd[dtype_rev[dtype]], band=str(number),
                    blockXSize=str(TILE_PX), blockYSize=str(TILE_PX))  # fmt: skip
        if nodata is not None:
            _add(band, "NoDataValue", repr(nodata))
        _add(band, "ColorInterp", colour.name.capitalize())
        part = _add(band, "SimpleSource")
        _add(part, "SourceFilename", source, relativeToVRT="0")
        _add(part, "SourceBand", str(number))
        offsets = {"xOff": left * per_pixel, "yOff": top * per_pixel}
        _add(part, "SrcRect", **_texts({**offsets, "xSize": width * per_pixel, "ySize": height * per_pixel}))
        _add(part, "DstRect", **_texts({"xOff": 0, "yOff": 0, "xSize": width, "ySize": height}))
    return ElementTree.tostring(vrt, encoding="unicode")


def _texts(numbers: dict[str, int]) -> dict[str, str]:
    return {name: str(number) for name, number in numbers.items()}


def _add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text or None
    return element
