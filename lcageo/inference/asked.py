"""Opens the scene that a run asks for: of a basemap only its area, at the zoom that fits the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lcageo.config import NATIVE_GSD, DetectConfig
from lcageo.errors import UsageError
from lcageo.remote import public
from lcageo.runtime.catalog import ModelCard
from lcageo.scene.basemap import DRIVERS, is_basemap
from lcageo.scene.georef import parse_crs
from lcageo.scene.raster import Scene, open_basemap, open_scene


def open_asked(path: str, card: ModelCard, config: DetectConfig) -> Scene:
    """Opens a scene for a model and settings.

    The zoom of a basemap is the one whose resolution is nearest to that of --gsd, else to the middle of the model's.

    Raises:
        UsageError: if it is a basemap and no area of it is named, or the area is not on it.
        SceneError: if it cannot be opened.
    """
    if not is_basemap(path):
        scene = open_scene(path, config.bands, config.crs)
        if scene.info.driver in DRIVERS:
            scene.close()
            raise UsageError(
                f"'{scene.info.path}' is a basemap; put {scene.info.driver}: before its address, and name an area"
            )
        return scene
    wanted = math.sqrt(math.prod(card.gsd_m)) if isinstance(config.gsd, str) else config.gsd
    wanted = 0.0 if config.gsd == NATIVE_GSD else wanted
    if config.bbox is not None:
        crs = None if config.bbox_crs is None else parse_crs(config.bbox_crs, "--bbox-crs")
        return open_basemap(path, config.bbox, crs, wanted, "--bbox", config.bands)
    return open_area(path, config.aoi, wanted, config.bands)


def open_area(path: str, aoi: Path | None, gsd_m: float, bands: Sequence[int]) -> Scene:
    """Opens the part of a basemap that an area of interest needs, at the zoom nearest to a resolution.

    Raises:
        UsageError: if there is no such area, it cannot be read, or it is not on the basemap.
        SceneError: if the basemap cannot be opened.
    """
    if aoi is None:
        raise UsageError(
            f"'{public(path)}' is a basemap, which shows the whole world; name an area of it with --bbox and "
            "--bbox-crs EPSG:4326, or with --aoi"
        )
    from lcageo.vector.area import Area  # geopandas takes half a second to import; most runs do not need it

    area = Area.read(aoi)
    if area.crs is None:
        raise UsageError(f"{area.name} has no CRS, so it has no place on a basemap; save it with one")
    return open_basemap(path, area.bounds, area.crs, gsd_m, area.name, bands)
