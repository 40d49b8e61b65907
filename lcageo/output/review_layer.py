"""What to label next, as one layer: uncertain objects and tiles with many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.output.features import ToMap, features

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """What to label next of one scene; each part most uncertain first."""

    objects: Detections
    """N candidates, scene pixels."""
    uncertain: FloatArray
    """(N,) how uncertain they are, 0.5 to 1."""
    tiles_xyxy: FloatArray
    """(M, 4) tiles, scene pixels."""
    tiles_uncertain: FloatArray
    """(M,) the sums over their candidates."""
    candidates: NDArray[np.int64]
    """(M,) how many these are."""


def review_features(
    review: Review, classes: Sequence[str], to_map: ToMap, crs: pyproj.CRS | None, scene: str
) -> geopandas.GeoDataFrame:
    """A review as map features, the most uncertain first: tiles, which have sums, mostly before their objects.

    Returns:
        One polygon each with id (the rank, from 1), kind (tile or object), class and score (of objects), uncertain,
        candidates (of tiles) and scene.
    """
    count, tiles = len(review.objects), len(review.candidates)
    areas = Detections(review.tiles_xyxy, np.zeros(tiles, np.float32), np.zeros(tiles, np.int64))
    layer = pd.concat(
        [features(areas, ("",), to_map, crs, scene), features(review.objects, classes, to_map, crs, scene)],
        ignore_index=True,
    )[["id", "class", "score", "scene", "geometry"]]
    is_tile = np.arange(tiles + count) < tiles
    layer["score"] = layer["score"].mask(is_tile)
    layer["class"] = layer["class"].mask(is_tile)
    layer.insert(1, "kind", pd.Series(np.where(is_tile, "tile", "object"), dtype="str"))
    layer.insert(4, "uncertain", np.round(np.concatenate([review.tiles_uncertain, review.uncertain]), 4))
    of_tiles = np.concatenate([review.candidates, np.zeros(count, np.int64)])
    layer.insert(5, "candidates", pd.Series(of_tiles, dtype="Int64").mask(~is_tile))
    layer = layer.sort_values("uncertain", ascending=False, kind="stable", ignore_index=True)
    return layer.assign(id=np.arange(1, len(layer) + 1, dtype=np.int64))
