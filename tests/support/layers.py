"""Layers of three objects in several CRSs, for tests of the writers and readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import rasterio

from lcageo.detections import Detections
from lcageo.scene.georef import Georeference
from lcageo.vector import write as vector
from lcageo.vector.features import features
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

CLASSES = ("ship", "storage tank")
BOXES = np.array([[0, 0, 40, 20], [100.25, 50.5, 130.75, 80], [5, 90, 6, 99]], np.float64)
FOUND = Detections(BOXES, np.array([0.91, 0.5, 0.30004], np.float32), np.array([1, 0, 1]))
RECORD = {"model": "test", "bands": [3, 2, 1]}
LOCAL_WKT = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
"""A CRS without a transformation to longitude and latitude."""

UTM33 = Georeference(pyproj.CRS(32633), rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))

PLACES: dict[str, tuple[str, rasterio.Affine]] = {
    "utm": ("EPSG:32633", rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)),
    "degrees": ("EPSG:4326", rasterio.Affine(1e-5, 0, 11, 0, -1e-5, 48)),
    "feet": ("EPSG:2263", rasterio.Affine(1, 0, 1_000_000, 0, -1, 200_000)),
    "rotated": ("EPSG:32633", rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)),
    "south-up": ("EPSG:32633", rasterio.Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)),
    "antimeridian": ("EPSG:4326", rasterio.Affine(1e-4, 0, 179.9995, 0, -1e-4, -17)),
}


def write_layer(layer: geopandas.GeoDataFrame, record: dict[str, Any], path: Path) -> None:
    """Writes a layer and publishes it."""
    with Publication() as publication:
        vector.write_layer([layer], RunRecord.from_json(record), publication.draft_of(FileTarget.of(path)))
        publication.publish()


def layer_at(place: str, found: Detections = FOUND) -> geopandas.GeoDataFrame:
    """Objects as map features in one of the places."""
    crs, transform = PLACES[place]
    reference = Georeference(pyproj.CRS(crs), transform)
    return features(found, CLASSES, reference.to_map, reference.crs, "scene-ü")
