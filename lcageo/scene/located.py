"""What opens a scene that is named in another way than by a raster: a STAC item, or the tiles of a basemap."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from lcageo.errors import SceneError, ServerError
from lcageo.paths import on_disk
from lcageo.remote import XYZ, is_remote, public, quoted
from lcageo.scene.basemap import xyz_definition

WAIT_S = 30
"""How long a server may take to answer with an item."""
_LARGEST_ITEM = 1 << 24
_RASTERS = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
"""Starts of the media types of assets that are rasters."""


@dataclass(frozen=True, slots=True)
class SceneSource:
    """A scene as the user named it, and what GDAL opens for it."""

    name: str
    """As it may be told and written: a URL without its secrets."""
    address: str
    item: str | None = None
    """Identifier of the STAC item that it is an asset of."""


def locate(address: str) -> SceneSource:
    """What GDAL opens for a scene: its address as it is, the asset of a STAC item, or a basemap's definition.

    Raises:
        SceneError: if a STAC item has no asset that shows what an eye would see.
        ServerError: if its server does not deliver it.
    """
    if address.startswith(XYZ) and on_disk(address) is None:
        return SceneSource(public(address), xyz_definition(address))
    path = public(address)
    if not path.lower().endswith((".json", ".geojson")):
        return SceneSource(path, address)
    item = _item(address)
    if item is None:
        return SceneSource(path, address)
    href = str(_visual(item, path)["href"])
    return SceneSource(path, _resolved(href, address), str(item.get("id", "")))


def _item(address: str) -> Mapping[str, Any] | None:
    """The STAC item in a JSON file or at a URL; None if something else is there, which GDAL may know."""
    file = on_disk(address)
    url = address.removeprefix("/vsicurl/")
    if file is None and not url.lower().startswith(("http://", "https://")):
        return None
    try:
        if file is not None:
            content = file.read_bytes()
        else:
            with urllib.request.urlopen(quoted(url), timeout=WAIT_S) as answer:  # only http and https
                content = answer.read(_LARGEST_ITEM)
        read = json.loads(content)
    except ValueError:
        return None
    except (OSError, HTTPException) as error:
        what = f"scene '{public(address)}' cannot be opened: {error}; check its address and the connection"
        raise ServerError(what) from error
    return read if isinstance(read, dict) and "stac_version" in read and read.get("type") == "Feature" else None


def _visual(item: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The asset that shows what an eye would see: named or marked visual, else the only raster that is data."""
    listed = item.get("assets")
    listed = listed if isinstance(listed, dict) else {}
    assets = {str(key): one for key, one in listed.items() if isinstance(one, dict) and "href" in one}
    visual = [one for key, one in assets.items() if key == "visual" or "visual" in (one.get("roles") or ())]
    data = [
        one
        for one in assets.values()
        if str(one.get("type", "")).startswith(_RASTERS) and not {"thumbnail", "overview"} & set(one.get("roles") or ())
    ]
    for found in (visual[:1], data if len(data) == 1 else []):
        if found:
            return dict(found[0])
    names = ", ".join(f"{key} ({public(str(one['href']))})" for key, one in assets.items()) or "none"
    raise SceneError(
        f"STAC item '{path}' has no asset that is marked visual, and not exactly one other raster; give the address of "
        f"one of its assets instead: {names}"
    )


def _resolved(href: str, item: str) -> str:
    """The address of an asset, which may be relative to its item."""
    if is_remote(href) or Path(href).is_absolute():
        return href
    if on_disk(item) is None:
        return urljoin(item.removeprefix("/vsicurl/"), href)
    return os.path.normpath(Path(item).absolute().parent / href)
