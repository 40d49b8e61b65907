"""A layer of found objects against a layer of true ones: matched on the map, counted, and written to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.data.classmap import ClassMap
from lcageo.errors import ConfigError, DataError, UsageError
from lcageo.evaluation.differences import differences
from lcageo.evaluation.layer_figures import LayerEvaluation, LayerFigures
from lcageo.geodesy import WGS84
from lcageo.metrics.curves import curve_of
from lcageo.vector.polygons import (
    CLASS_COLUMNS,
    Geometries,
    PolygonLayer,
    class_text,
    read_polygons,
    valid_polygons,
)
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer
from lcageo.version import __version__

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

ONLY_CLASS = "object"
"""What everything is where one of the layers has no classes."""
NO_CLASS = "(no class)"
ROUNDING = 1e-9
"""Moving a layer to another CRS rounds its corners: an overlap may miss the least one by so much and still counts."""
BLOCK = 5_000
"""Found objects whose neighbours are looked up at a time: bounds the memory that crowded layers take."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """N objects that can be compared with others."""

    shapes: Geometries
    """(N,) valid polygons."""
    labels: Index
    """(N,) their classes."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which found object is which true one."""

    truth: Index
    """(N,) its position; -1: none."""
    iou: Floats
    """(N,) their overlap; nan: none."""


def evaluate_layer(
    layer: Path,
    truth: Path,
    *,
    score: float | None = None,
    iou: float = 0.5,
    class_map: ClassMap | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> LayerEvaluation:
    """Matches found with true objects in map units, class by class, and counts.

    Every found object counts that scores enough, so both layers must be about the same area.

    Args:
        layer: found objects: polygons in any format and CRS, with `class` and `score` if they have them.
        truth: true objects, likewise, with their classes in `class`, `label`, `name` or `category`.
        score: least score of a found object that counts; None: all count.
        iou: intersection over union from which a found object is right.
        class_map: names to put together, in both layers.
        output: where to write all found and missed objects as one layer; the suffix chooses the format.
        overwrite: whether `output` may be replaced.

    Raises:
        ConfigError: if `iou` is not above 0 and at most 1.
        DataError: if a layer cannot be read, holds no polygons, or both cannot be brought to one CRS.
        UsageError: if `output` exists, has no known suffix, or is one of the layers.
        OutputError: if `output` cannot be written.
    """
    if not 0 < iou <= 1:
        raise ConfigError(f"iou {iou} is not above 0 and at most 1")
    target = None if output is None else _checked_output(output, (layer, truth), overwrite)
    true = read_polygons(truth, "--truth")
    found = _in_crs_of(true, _scoring(read_polygons(layer, "--layer"), score))
    classes, labels, told = _classes(found, true, class_map or ClassMap())
    scores = _scores(found)
    plane = _plane(true if len(true) else found)
    shapes = [valid_polygons((part if plane is None else part.reprojected(plane)).shapes)[0] for part in (found, true)]
    of_found, of_truth = (Objects(*both) for both in zip(shapes, labels, strict=True))
    matching = match_objects(of_found, of_truth, np.ones(len(found)) if scores is None else scores, iou)
    per_class, overall = _figures(classes, labels, matching, scores)
    crs = plane or true.crs
    warnings = (*found.warnings, *true.warnings, *told, *_apart(found, true))
    name = None if crs is None else crs.to_string()
    evaluation = LayerEvaluation(layer, truth, iou, name, per_class, overall, warnings)
    if target is not None:
        names = [[classes[label] for label in part.tolist()] for part in labels]
        layer_of_all = differences(found, true, names, matching.truth, matching.iou, scores)
        record = RunRecord(version=__version__, unknown=evaluation.as_json())
        with Publication() as publication:
            write_layer([layer_of_all], record, publication.draft_of(target))
            publication.publish()
    return evaluation


def match_objects(found: Objects, truth: Objects, scores: Floats, least: float) -> Matching:
    """COCO's matching: best score first, each found object takes the free true one of its class that it overlaps most.

    Args:
        found: N objects.
        truth: M objects.
        scores: (N,) equal ones keep their order.
        least: smallest intersection over union, above 0.
    """
    matching = Matching(np.full(len(found), -1, np.int64), np.full(len(found), nan))
    pairs = list(_overlapping(found, truth, least * (1 - ROUNDING)))
    if not pairs:
        return matching
    which, other, overlap = (np.concatenate(part) for part in zip(*pairs, strict=True))
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(found))
    order = np.lexsort((-other, -overlap, rank[which]))  # of equal overlaps COCO takes the last
    taken = np.zeros(len(truth), np.bool_)
    for at, partner, share in zip(which[order].tolist(), other[order].tolist(), overlap[order].tolist(), strict=True):
        if matching.truth[at] < 0 and not taken[partner]:
            matching.truth[at], matching.iou[at], taken[partner] = partner, share, True
    return matching


def _overlapping(found: Objects, truth: Objects, least: float) -> Iterator[tuple[Index, Index, Floats]]:
    """Pairs of one class that overlap enough: positions of both, and their intersection over union."""
    tree = shapely.STRtree(truth.shapes)
    found_area, truth_area = shapely.area(found.shapes), shapely.area(truth.shapes)
    found_bounds, truth_bounds = shapely.bounds(found.shapes), shapely.bounds(truth.shapes)
    for start in range(0, len(found), BLOCK):
        which, other = tree.query(found.shapes[start : start + BLOCK])
        which += start
        same = found.labels[which] == truth.labels[other]
        which, other = which[same], other[same]
        total = found_area[which] + truth_area[other]
        # No intersection is larger than that of the bounds: most neighbours need no look at their shapes.
        low = np.maximum(found_bounds[which, :2], truth_bounds[other, :2])
        high = np.minimum(found_bounds[which, 2:], truth_bounds[other, 2:])
        most = np.minimum((high - low).prod(axis=1), np.minimum(found_area[which], truth_area[other]))
        near = most >= least * (total - most) * (1 - ROUNDING)
        which, other, total = which[near], other[near], total[near]
        common = shapely.area(shapely.intersection(found.shapes[which], truth.shapes[other]))
        overlap = common / (total - common)
        enough = overlap >= least
        yield which[enough], other[enough], overlap[enough]


def _checked_output(output: Path, layers: tuple[Path, Path], overwrite: bool) -> FileTarget:
    """A map layer, since differences have no place among boxes in pixels; refused if it cannot be written."""
    target = FileTarget.of_layer(output)
    target.check(overwrite)
    if target.path.resolve() in {layer.resolve() for layer in layers}:
        raise UsageError(f"output '{target}' is one of the layers to compare; choose another file")
    return target


def _in_crs_of(truth: PolygonLayer, found: PolygonLayer) -> PolygonLayer:
    """The found objects in the truth's CRS."""
    if truth.crs is not None and found.crs is not None:
        return found.reprojected(truth.crs)
    if truth.crs is None and found.crs is None:
        return found
    with_crs, without = (truth, found) if found.crs is None else (found, truth)
    raise DataError(
        f"'{without.path}' has no CRS and '{with_crs.path}' is in {with_crs.frame.crs.name}; save the former with its "
        "CRS, or both without"
    )


def _plane(layer: PolygonLayer) -> pyproj.CRS | None:
    """Where to measure what is in degrees: an equal-area plane around the layer; None: in the layer's own CRS.

    Not the UTM zone: a layer that crosses the antimeridian, or the whole of a large country, lies in none.
    """
    if layer.crs is None or not layer.crs.is_geographic or not len(layer):
        return None
    longitude, latitude = np.radians(shapely.get_coordinates(layer.frame.to_crs(WGS84).geometry.to_numpy())).T
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    middle = np.degrees([np.arctan2(y.mean(), x.mean()), np.arctan2(z.mean(), np.hypot(x.mean(), y.mean()))])
    return pyproj.CRS(f"+proj=laea +lon_0={middle[0]:.4f} +lat_0={middle[1]:.4f} +datum=WGS84 +units=m")


def _apart(found: PolygonLayer, truth: PolygonLayer) -> list[str]:
    """A warning if there is no truth, or the layers do not meet."""
    if not len(truth):
        return [f"'{truth.path}' holds no objects: whatever was found counts as wrong"]
    boxes = [shapely.box(*shapely.total_bounds(layer.shapes)) for layer in (found, truth) if len(layer)]
    if len(boxes) < 2 or shapely.intersects(*boxes):
        return []
    return [f"'{found.path}' and '{truth.path}' do not meet on the map; check their CRS and coordinates"]


def _classes(
    found: PolygonLayer, truth: PolygonLayer, class_map: ClassMap
) -> tuple[list[str], tuple[Index, Index], list[str]]:
    """Class names, the labels of both layers, and what to tell of them."""
    told = []
    names: list[list[str]] = []
    for layer in (found, truth):
        column = layer.column(CLASS_COLUMNS)
        if column is None and len(layer):
            missing = f"{', '.join(CLASS_COLUMNS[:-1])} or {CLASS_COLUMNS[-1]}"
            told.append(f"'{layer.path}' has no column {missing}; objects are matched whatever their class")
        elif column is not None and column.lower() != CLASS_COLUMNS[0]:
            told.append(f"the classes of '{layer.path}' are those in its column '{column}'")
        names.append([] if column is None else [class_text(value) or NO_CLASS for value in layer.frame[column]])
    known = set(names[0]) | set(names[1])
    told += [f"class map: no object is called '{name}'" for name in class_map.targets if name not in known]
    if any(len(own) < len(layer) for own, layer in zip(names, (found, truth), strict=True)):
        return [ONLY_CLASS], (np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)), told
    mapped = [[class_map.target(name) for name in own] for own in names]
    classes = [*sorted(set(mapped[1])), *sorted(set(mapped[0]) - set(mapped[1]))]
    if all(mapped) and not set(mapped[0]) & set(mapped[1]):
        told.append(
            f"no class found ({_some(mapped[0])}) is one of the truth's ({_some(mapped[1])}); give a --class-map"
        )
    place = {name: label for label, name in enumerate(classes)}
    of_found, of_truth = (np.array([place[name] for name in own], np.int64) for own in mapped)
    return classes, (of_found, of_truth), told


def _some(names: list[str]) -> str:
    distinct = sorted(set(names))
    return ", ".join(distinct[:5]) + (", ..." if len(distinct) > 5 else "")


def _scoring(found: PolygonLayer, least: float | None) -> PolygonLayer:
    """The found objects that score enough."""
    scores = None if least is None else _scores(found)
    if least is None or (scores is None and not len(found)):
        return found
    if scores is None:
        raise DataError(f"--layer '{found.path}' has no column 'score', which --score needs")
    return replace(found, frame=found.frame[scores >= least])


def _scores(found: PolygonLayer) -> Floats | None:
    """(N,) scores; None if the layer has none."""
    column = found.column(("score",))
    if column is None:
        return None if len(found) else np.zeros(0)
    scores = pd.to_numeric(found.frame[column], errors="coerce")
    if scores.isna().any():
        first = scores.index[scores.isna()][0]
        raise DataError(
            f"--layer '{found.path}': feature {first + 1} has the score {found.frame[column][first]!r}, not a number; "
            "mend it, or remove the column"
        )
    return np.asarray(scores, np.float64)


def _figures(
    classes: list[str], labels: tuple[Index, Index], matching: Matching, scores: Floats | None
) -> tuple[tuple[LayerFigures, ...], LayerFigures]:
    """Of each class, and of all."""
    of_found = np.argsort(labels[0], kind="stable")
    ends = np.searchsorted(labels[0][of_found], np.arange(len(classes) + 1))
    truth = np.bincount(labels[1], minlength=len(classes)).tolist()
    right = matching.truth >= 0
    figures = []
    for label, name in enumerate(classes):
        own = of_found[ends[label] : ends[label + 1]]
        ap = None if scores is None else curve_of(scores[own], right[own], truth[label]).average_precision()
        figures.append(LayerFigures(name, truth[label], len(own), int(right[own].sum()), ap))
    aps = [one.average_precision for one in figures if one.average_precision is not None and one.truth]
    mean = None if scores is None else float(np.mean(aps)) if aps else nan
    return tuple(figures), LayerFigures("all", len(labels[1]), len(right), int(right.sum()), mean)
