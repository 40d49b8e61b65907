"""Scenes with labels to cut chips from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from rasterio.transform import xy
from support.scenes import UTM

from lcageo.chips.chips import make_chips
from lcageo.chips.config import ChipConfig
from lcageo.data.augment import AugmentConfig

CRS = "EPSG:32633"


FILL = AugmentConfig().fill


C, S = 0.5 * math.cos(0.35), 0.5 * math.sin(0.35)


TURNED = rasterio.Affine(C, S, UTM.c, S, -C, UTM.f)


PIXELS = [
    (20, 30, 44, 50),
    (100, 100, 140, 130),
    (250, 40, 280, 90),
    (300, 300, 330, 340),
    (60, 320, 75, 335),
    (300, 20, 320, 40),
]


TYPES = ["ship", "car", "ship", "car", "ship", "car"]


def on_map(box: tuple[float, ...], transform: rasterio.Affine = UTM) -> shapely.Polygon:
    """A box of pixels as a polygon of the map, by rasterio."""
    x1, y1, x2, y2 = box
    return shapely.Polygon(np.column_stack(xy(transform, [y1, y1, y2, y2], [x1, x2, x2, x1], offset="ul")))


def write_labels(path: Path, shapes: list[Any], crs: str | None = CRS, to: str | None = None, **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame = frame if to is None else frame.to_crs(to)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def make(folder: Path, scenes: list[Path], labels: Path, warn: Any = lambda line: None, **config: Any) -> Any:
    config = {"size": 128, "val": 0.0, "negatives": 0.0} | config
    return make_chips([str(path) for path in scenes], labels, folder, ChipConfig(**config), warn=warn)


def coco(path: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The images of a COCO file with their annotations."""
    content = json.loads(path.read_text())
    return [
        (image, [one for one in content["annotations"] if one["image_id"] == image["id"]])
        for image in content["images"]
    ]
