"""Joins the layers of a survey's scenes into one joint layer, which has an object that several scenes show only once.

Two objects of different scenes and of one class (of any, on request) are the same when the IoU of their polygons in the
common CRS exceeds JOINT_IOU. In addition, an object cut by its scene's border yields to a larger one that covers more
than CUT_IOS of it, whatever the ranks (a cut one to an uncut one, if they are equally large; none to a candidate, which
scores less than its class's threshold). Those that yield are removed first, and may still make others yield, as at the
seams of tiles (`lcageo.inference.merge`). Of the rest, an object is removed if it is the same as a better one that
stays. Better is what is no candidate; then the finer GSD, if it differs by more than GSD_STEP; then the larger margin
(distance from the polygon's centroid to its scene's border, in the common CRS); then the higher score, the earlier
scene, the smaller id. Source: our own design.

Only objects that intersect another scene's footprint are compared, one pair of scenes at a time. Memory holds the
objects of a few scenes, and two integers for every pair of objects that are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, isfinite, log
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyproj
import shapely
from geopandas import GeoDataFrame
from numpy.typing import NDArray

from lcageo.calibration import Calibration, Expected, expected
from lcageo.geodesy import near
from lcageo.survey.scene_layer import SceneLayer, common_crs, middle_x, read_objects, shapes_in_crs
from lcageo.vector.columns import COLUMNS
from lcageo.vector.polygons import Geometries, valid_polygons

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

JOINT_IOU = 0.4
"""Below the 0.6 used within a scene: orthoimages are registered to a metre or so, and a car is 4 m long."""
CUT_IOS = 0.6
"""Share of a cut object that the larger one must cover."""
CUT_TOLERANCE_PX = 4.0
"""An object that comes this close (scene pixels) to its scene's border may be cut by it, as at the seams of tiles."""
GSD_STEP = 1.1
"""Ratio of GSDs in one bucket: buckets can be put in order, pairs that differ by less than 10 % cannot."""
SEGMENTS_PER_SIDE = 32  # straight borders of one CRS are curves in another
OBJECTS_AT_ONCE = 100_000  # in memory; pairs of scenes are processed in blocks of half as many by half as many
BLOCK = 5_000  # objects whose partners are looked up at a time
PART_ROWS = 20_000
SCENE_STRIDE = 2**32  # an object's number in the survey is its scene's times this, plus its row


def joint_parts(
    layers: Sequence[SceneLayer],
    classes: Sequence[str],
    agnostic: bool = False,
    least_scores: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[GeoDataFrame]:
    """All objects of a survey in its common CRS, each once, part by part, for `write_layer`.

    Args:
        layers: the scenes, at least one. Each file is read twice or a few times.
        classes: the model's class names.
        agnostic: whether objects of different classes can be the same.
        least_scores: per class, the score below which an object is a candidate; objects yield to no candidate.

    Yields:
        At most PART_ROWS objects with the columns of `features`, ids from 1 on: scenes in the order given, within a
        scene by its layer's ids. If the survey has no objects, one empty part.

    Raises:
        OutputError: if a layer cannot be read or has other classes, or a scene cannot be transformed to the common CRS.
    """
    crs = common_crs(layers)
    minimum = np.array([least_scores.get(name, 0.0) for name in classes])
    lost = _lost(_Survey.of(layers, crs, minimum), agnostic)
    first_id = 1
    for scene, layer in enumerate(layers):
        first, last = np.searchsorted(lost, [scene * SCENE_STRIDE, (scene + 1) * SCENE_STRIDE])
        rows = read_objects(layer, len(classes)).drop(index=lost[first:last] - scene * SCENE_STRIDE)
        for start in range(0, len(rows) or int(first_id == 1 and scene == len(layers) - 1), PART_ROWS):
            part = rows.iloc[start : start + PART_ROWS]
            yield _part(part, layer, classes, crs, first_id)
            first_id += len(part)


class CountedObjects:
    """Parts of a layer that count the objects found, but no candidates, as they are iterated."""

    def __init__(
        self, parts: Iterator[GeoDataFrame], least_scores: Mapping[str, float], unfamiliar: Collection[str] = ()
    ) -> None:
        """Counts nothing yet.

        Args:
            parts: of the layer.
            least_scores: per class, the score below which an object is a candidate.
            unfamiliar: names of the scenes that are unlike the model's training images.
        """
        self._parts = parts
        self._least_scores = least_scores
        self._unfamiliar = unfamiliar
        self._all: Counter[str] = Counter()
        self._scores: defaultdict[str, Counter[float]] = defaultdict(Counter)
        """Of the objects in the other scenes."""

    def __iter__(self) -> Iterator[GeoDataFrame]:
        for part in self._parts:
            for name, score, scene in zip(part["class"], part["score"], part["scene"], strict=True):
                if score >= self._least_scores.get(name, 0.0):
                    self._all[name] += 1
                    if scene not in self._unfamiliar:
                        self._scores[name][score] += 1
            yield part

    @property
    def per_class(self) -> dict[str, int]:
        """Number of objects of each class that was found."""
        return dict(self._all)

    def probably_right(self, calibration: Mapping[str, Calibration]) -> dict[str, Expected]:
        """How many of those in familiar scenes are probably right, of each class that `calibration` names."""
        return {
            name: expected(calibration[name], scores) for name, scores in self._scores.items() if name in calibration
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Survey:
    """N scenes in one frame: the common CRS, with all x within one turn around the globe."""

    layers: Sequence[SceneLayer]
    minimum: Floats
    """(K,) score per class below which an object is a candidate."""
    crs: pyproj.CRS
    footprints: Geometries
    """(N,) valid polygons."""
    pairs: Index
    """(P, 2) pairs of scenes whose footprints intersect, the earlier one first."""

    @classmethod
    def of(cls, layers: Sequence[SceneLayer], crs: pyproj.CRS, minimum: Floats) -> _Survey:
        """Prepares the scenes of `layers`, in their order."""
        middles = near(np.array([middle_x(layer, crs) for layer in layers]), middle_x(layers[0], crs), crs)
        outlines = []
        for layer, middle in zip(layers, middles.tolist(), strict=True):
            outline = shapely.Polygon(layer.corners)
            outline = shapely.segmentize(outline, outline.length / 4 / SEGMENTS_PER_SIDE)
            outlines.append(shapes_in_crs(np.array([outline]), layer, layer.crs, crs, middle))
        footprints, _ = valid_polygons(np.concatenate(outlines))
        pairs = shapely.STRtree(footprints).query(footprints, predicate="intersects").T
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        blocks = np.cumsum([layer.objects for layer in layers]) // (OBJECTS_AT_ONCE // 2)
        in_blocks = np.lexsort((*pairs.T[::-1], *blocks[pairs].T[::-1]))
        return cls(layers, minimum, crs, footprints, pairs[in_blocks])

    def objects(self, scene: int) -> _Objects:
        """The objects of a scene that intersect another one's footprint."""
        layer, rows = self.layers[scene], read_objects(self.layers[scene], len(self.minimum))
        shapes = shapes_in_crs(rows.geometry.to_numpy(), layer, layer.crs, self.crs, self.footprints[scene].centroid.x)
        others = np.setdiff1d(self.pairs[(self.pairs == scene).any(axis=1)], scene)
        near = shapely.union_all(self.footprints[others])
        shapely.prepare(near)
        met = np.flatnonzero(shapely.intersects(near, shapes))
        rows, (shapes, _) = rows.iloc[met], valid_polygons(shapes[met])
        margins = shapely.distance(shapely.centroid(shapes), shapely.boundary(self.footprints[scene]))
        bucket = np.full(len(rows), _bucket(layer.gsd_m), np.float64)
        candidate = rows["score"].to_numpy() < self.minimum[rows["class_id"].to_numpy()]
        ranks = np.column_stack([candidate, bucket, -margins, -rows["score"].to_numpy()])
        cut = _border_px(rows.geometry.to_numpy(), layer) <= CUT_TOLERANCE_PX
        numbers, labels = met + scene * SCENE_STRIDE, rows["class_id"].to_numpy()
        return _Objects(numbers, labels, shapes, shapely.area(shapes), cut, candidate, ranks)


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """N objects of one scene."""

    numbers: Index
    """(N,) numbers in the survey, increasing with scene and id."""
    labels: NDArray[np.int32]
    shapes: Geometries
    """(N,) valid polygons in the survey's frame."""
    areas: Floats
    cut: NDArray[np.bool_]
    """(N,) True where the scene's border may cut it."""
    candidate: NDArray[np.bool_]
    """(N,) True where the score is below its class's minimum."""
    ranks: Floats
    """(N, 4) ranks: the smallest is the best, earlier columns count before later ones."""

    def selected(self, index: NDArray[np.intp]) -> _Objects:
        """The objects at `index`, in its order."""
        return _Objects(*(getattr(self, field.name)[index] for field in fields(self)))


class _Kept:
    """Cache of the objects of the most recently used scenes, about OBJECTS_AT_ONCE of them."""

    def __init__(self, survey: _Survey) -> None:
        self._survey = survey
        self._scenes: dict[int, _Objects] = {}
        """Objects by scene; the most recently used scene comes last."""
        self._count = 0

    def objects(self, scene: int) -> _Objects:
        """The objects of a scene."""
        found = self._scenes.pop(scene, None)
        if found is None:
            found = self._survey.objects(scene)
            self._count += len(found.numbers)
        self._scenes[scene] = found
        while len(self._scenes) > 2 and self._count > OBJECTS_AT_ONCE:
            self._count -= len(self._scenes.pop(next(iter(self._scenes))).numbers)
        return found


def _lost(survey: _Survey, agnostic: bool) -> Index:
    """Numbers of the objects that the joint layer leaves out."""
    kept = _Kept(survey)
    yielding, better, worse = ([np.zeros(0, np.int64)] for _ in range(3))
    for scene, later in survey.pairs.tolist():
        for one, other, common in _overlaps(kept.objects(scene), kept.objects(later), agnostic):
            yielding += [_yielding(one, other, common), _yielding(other, one, common)]
            same = common > JOINT_IOU * (one.areas + other.areas - common)
            wins = _wins(one, other)
            better.append(np.where(wins, one.numbers, other.numbers)[same])
            worse.append(np.where(wins, other.numbers, one.numbers)[same])
    return _losers(np.concatenate(better), np.concatenate(worse), np.unique(np.concatenate(yielding)))


def _overlaps(scene: _Objects, later: _Objects, agnostic: bool) -> Iterator[tuple[_Objects, _Objects, Floats]]:
    """M pairs of objects of two scenes that can be the same, and the areas that they share, block by block."""
    tree = shapely.STRtree(later.shapes)
    for start in range(0, len(scene.numbers), BLOCK):
        first, second = tree.query(scene.shapes[start : start + BLOCK])
        first += start
        comparable = agnostic | (scene.labels[first] == later.labels[second])
        one, other = scene.selected(first[comparable]), later.selected(second[comparable])
        yield one, other, shapely.area(shapely.intersection(one.shapes, other.shapes))


def _yielding(part: _Objects, other: _Objects, common: Floats) -> Index:
    """Numbers of the objects of `part` that are cut and covered by the larger object at the same index of `other`."""
    larger = (part.areas < other.areas) | ((part.areas == other.areas) & ~other.cut)
    larger &= part.candidate | ~other.candidate
    return np.compress(part.cut & larger & (common > CUT_IOS * part.areas), part.numbers)


def _wins(one: _Objects, other: _Objects) -> NDArray[np.bool_]:
    """(M,) True where the first of two objects ranks better."""
    wins: NDArray[np.bool_] = one.numbers < other.numbers
    for mine, its in zip(one.ranks.T[::-1], other.ranks.T[::-1], strict=True):
        wins = np.where(mine == its, wins, mine < its)
    return wins


def _losers(better: Index, worse: Index, yielded: Index) -> Index:
    """Objects that have yielded, and those that the greedy loop drops of the rest.

    Args:
        better: (M,) numbers of the better object of each pair of the same.
        worse: (M,) numbers of the other one.
        yielded: numbers of the objects that yield.
    """
    numbers = np.unique(np.concatenate([better, worse]))
    first, second = np.searchsorted(numbers, better), np.searchsorted(numbers, worse)
    lost = np.isin(numbers, yielded)
    while True:  # an object with no better one left stays, and its duplicates are dropped, which frees others
        undecided = ~(lost[first] | lost[second])
        first, second = first[undecided], second[undecided]
        if len(first) == 0:
            return np.union1d(yielded, numbers[lost])
        held_up = np.isin(np.arange(len(numbers)), second)
        lost[second[~held_up[first]]] = True


def _bucket(gsd_m: float) -> float:
    """Bucket of a GSD; the last one where it is not known."""
    return round(log(gsd_m) / log(GSD_STEP)) if isfinite(gsd_m) else inf


def _part(rows: GeoDataFrame, layer: SceneLayer, names: Sequence[str], crs: pyproj.CRS, first: int) -> GeoDataFrame:
    """Rows of a scene's layer as rows of the joint layer."""
    polygons = shapely.orient_polygons(
        shapes_in_crs(rows.geometry.to_numpy(), layer, layer.crs, crs, middle_x(layer, crs))
    )
    rows = rows.reset_index(drop=True)
    own = {
        "id": np.arange(first, first + len(rows)),
        "class": pd.Series(np.array(names, dtype=object)[rows["class_id"]], dtype="str"),
        "scene": pd.Series([layer.name] * len(rows), dtype="str"),
    }
    columns = {column.name: own[column.name] if column.name in own else rows[column.name] for column in COLUMNS}
    return GeoDataFrame(columns, geometry=polygons, crs=crs)


def _border_px(shapes: Geometries, layer: SceneLayer) -> Floats:
    """(N,) distance of polygons in a scene's CRS from the border of its raster, in its pixels."""
    points, owners = shapely.get_coordinates(shapes, return_index=True)
    closest = np.full(len(shapes), np.inf)
    for side in range(4):
        start, end, opposite, _ = np.roll(np.array(layer.corners), -side, axis=0)
        (dx, dy), (ox, oy), (px, py) = end - start, opposite - start, (points - start).T
        share = (dx * py - dy * px) / (dx * oy - dy * ox)  # 0 on this side of the raster, 1 on the opposite one
        np.minimum.at(closest, owners, share * layer.size[1 - side % 2])
    return closest
