"""What to label next: the objects that a model is least certain of, and the tiles that have the most of them.

A threshold decides what is an object, so the candidates that score closest to it are the least certain: a label there
teaches the model more than one on an object that it is sure of. A tile's uncertainty is the sum over its candidates,
since images are labelled tile by tile. Objects that a model misses entirely do not show up: inspect other areas, too.

Source:
    Settles, "Active Learning Literature Survey", University of Wisconsin-Madison, 2009, section 3.1 (uncertainty
    sampling; of two answers, the one whose probability is nearest to 0.5).
    Brust, Kaeding and Denzler, "Active Learning for Deep Object Detection", VISAPP 2019, section 3.2 (the sum over an
    image's detections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.plan import ScenePlan
from lcageo.inference.review_form import NEW_CLASS, OBJECT, TILE, VERDICT
from lcageo.inference.scene import merged
from lcageo.journal.journal import Journal
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.selection import REVIEWED_SHARE
from lcageo.scene.tiles import TileGrid
from lcageo.vector.features import ToMap, features

FloatArray = NDArray[np.float64]
MIN_UNCERTAINTY = REVIEWED_SHARE
"""Below half of the threshold, and more than half of the way from it to 1, the model is certain enough."""
MAX_OBJECTS = 1000
MAX_TILES = 100


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """What to label next of one scene; each part most uncertain first."""

    objects: Detections
    """N candidates, scene pixels."""
    uncertain: FloatArray
    """(N,) their uncertainty, 0.5 to 1."""
    tiles_xyxy: FloatArray
    """(M, 4) bounds of tiles, scene pixels."""
    tiles_uncertain: FloatArray
    """(M,) sums of the uncertainties of their candidates."""
    candidates: NDArray[np.int64]
    """(M,) numbers of their candidates."""


def review_scene(plan: ScenePlan, config: DetectConfig, card: ModelCard, journal: Journal) -> Review:
    """The least certain objects and tiles of a scene whose tiles are finished; candidates are merged as objects are.

    Args:
        plan: of the scene.
        config: with `review`, so that the journal has the candidates.
        card: the model's.
        journal: of the run.
    """
    thresholds = np.array(list(card.least_scores(config.score).values()))
    sums, counts = np.zeros(len(plan.grid)), np.zeros(len(plan.grid), np.int64)
    best, values = Detections.empty(), np.zeros(0)
    for part in merged(plan, config, journal):
        measure = uncertainty(part.scores.astype(np.float64), thresholds[part.labels])
        doubtful = measure >= MIN_UNCERTAINTY
        part, measure = part.selected(doubtful), measure[doubtful]
        tiles = nearest_tiles(plan.grid, part.boxes_xyxy.astype(np.float64))
        np.add.at(sums, tiles, measure)
        np.add.at(counts, tiles, 1)
        best, values = Detections.joined([best, part]), np.concatenate([values, measure])
        order = np.argsort(-values, kind="stable")[:MAX_OBJECTS]
        best, values = best.selected(order), values[order]
    order = np.argsort(-sums, kind="stable")[:MAX_TILES]
    order = order[counts[order] > 0]
    info = plan.reader.scene.info
    bounds = np.array([plan.grid[int(index)].bounds for index in order], np.float64).reshape(-1, 4)
    return Review(best, values, np.minimum(bounds, [info.width, info.height] * 2), sums[order], counts[order])


def uncertainty(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """1 at a class's threshold, falling linearly to 0 at the scores 0 and 1, so that classes are comparable.

    Args:
        scores: (N,) 0 to 1.
        thresholds: (N,) of their classes.
    """
    below = scores / np.maximum(thresholds, 1e-9)
    above = (1 - scores) / np.maximum(1 - thresholds, 1e-9)
    return np.where(scores < thresholds, below, np.minimum(above, 1.0))


def nearest_tiles(grid: TileGrid, boxes_xyxy: FloatArray) -> NDArray[np.int64]:
    """(N,) index of the tile whose centre is nearest to that of each box (N, 4), scene pixels: tiles overlap."""
    cells = []
    for axis, starts, length in ((1, grid.row_starts, grid.tile_height), (0, grid.col_starts, grid.tile_width)):
        middles = (np.array(starts) + length / 2) * grid.scale[axis]
        centres = (boxes_xyxy[:, axis] + boxes_xyxy[:, axis + 2]) / 2
        cells.append(np.searchsorted((middles[1:] + middles[:-1]) / 2, centres, side="right"))
    return np.asarray(cells[0] * len(grid.col_starts) + cells[1], np.int64)


def review_features(
    review: Review, classes: Sequence[str], to_map: ToMap, crs: pyproj.CRS | None, scene: str
) -> geopandas.GeoDataFrame:
    """A review as map features, the most uncertain first: tiles, which have sums, mostly precede their objects.

    Returns:
        One polygon each with id (the rank, from 1), kind (tile or object), class and score (of objects), uncertain,
        candidates (of tiles), scene, and verdict and new_class, which are empty: the user fills them in.
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
    layer.insert(1, "kind", pd.Series(np.where(is_tile, TILE, OBJECT), dtype="str"))
    layer.insert(4, "uncertain", np.round(np.concatenate([review.tiles_uncertain, review.uncertain]), 4))
    of_tiles = np.concatenate([review.candidates, np.zeros(count, np.int64)])
    layer.insert(5, "candidates", pd.Series(of_tiles, dtype="Int64").mask(~is_tile))
    for column in (VERDICT, NEW_CLASS):
        layer.insert(len(layer.columns) - 1, column, pd.Series([None] * len(layer), dtype="str"))
    layer = layer.sort_values("uncertain", ascending=False, kind="stable", ignore_index=True)
    return layer.assign(id=np.arange(1, len(layer) + 1, dtype=np.int64))
