"""A layer of objects found at random, and the same with some that somebody drew."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyproj

from lcageo.detections import Detections
from lcageo.vector.features import feature_parts
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CLASSES = ("ship", "vehicle", "storage tank")
CRS = "EPSG:32633"
COUNT = 60
PROVENANCE = {
    "model": "m",
    "crs": CRS,
    "parameters": {"keep": 0.04},
    "thresholds": {"ship": 0.5, "vehicle": 0.8, "storage tank": 0.3},
}


def found(seed: int = 0, count: int = COUNT) -> Detections:
    """Objects of 4 to 40 pixels; some scores are equal."""
    rng = np.random.default_rng(seed)
    corners, sizes = rng.uniform(0, 900, (count, 2)), rng.uniform(4, 40, (count, 2))
    scores = rng.choice(np.round(np.linspace(0.05, 1, 25), 3), count).astype(np.float32)
    return Detections(np.hstack([corners, corners + sizes]), scores, rng.integers(0, 3, count))


def write(path: Path, objects: Detections, crs: str | None = CRS) -> Path:
    """A layer of objects, each pixel half a metre wide."""
    place = lambda x, y: (500_000 + x / 2, 5_000_000 - y / 2)  # noqa: E731
    parts = feature_parts([objects], CLASSES, place, None if crs is None else pyproj.CRS(crs), "scene")
    write_layer(parts, RunRecord.from_json(PROVENANCE), FileTarget.of(path))
    return path


def read(path: Path) -> geopandas.GeoDataFrame:
    """A layer in the order of its ids, by geopandas."""
    layer = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=path.stem)
    return layer.assign(id=pd.to_numeric(layer["id"])).sort_values("id", ignore_index=True)  # CSV has text only


def drawn(tmp_path: Path) -> Path:
    """A layer of 20 objects whose 8th to 14th, all of one part, somebody drew: they have a class and a location."""
    rows = read(write(tmp_path / "all.gpkg", found(count=20)))
    by_hand = rows.index.isin(range(7, 14))
    for name in ("id", "class_id"):
        rows[name] = rows[name].astype("Int64").mask(by_hand)
    for name in ("score", "width_m", "height_m", "area_m2"):
        rows[name] = rows[name].mask(by_hand)
    rows["checked"] = pd.array([None if one else True for one in by_hand], "boolean")
    rows.to_file(tmp_path / "drawn.gpkg", layer="drawn")
    return tmp_path / "drawn.gpkg"
