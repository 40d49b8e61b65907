"""Evaluates a layer of found objects against a layer of true ones: matches on the map, counts, writes both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lcageo.data.classmap import ClassMap
from lcageo.errors import ConfigError, DataError
from lcageo.evaluation.differences import differences
from lcageo.evaluation.layer_classes import common_classes
from lcageo.evaluation.layer_figures import LayerEvaluation, LayerFigures
from lcageo.geodesy import WGS84, full_turn
from lcageo.layer_source import shown
from lcageo.metrics.curves import curve_of
from lcageo.transform import accuracy_warnings
from lcageo.vector.columns import first_column, layer_scores
from lcageo.vector.polygons import Geometries, PolygonLayer, polygons_of, valid_polygons, without_candidates
from lcageo.vector.publish import Publication, refuse_inputs
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget, layer_files
from lcageo.vector.write import write_layer
from lcageo.version import __version__

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

IS_BOX = 0.85
"""Share of its bounds that a shape fills at least, if it is a box, perhaps slightly turned by a reprojection."""
NEAR_IOU = 0.1
"""How much more than the minimum IoU true shapes should fill of their bounds: boxes that are found are not exact."""
ROUNDING = 1e-9
"""Reprojection rounds corners: an overlap that misses the minimum by this relative amount still counts."""
BLOCK = 5_000
"""Found objects whose neighbours are looked up at a time: limits the memory for crowded layers."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Polygons and classes of N objects."""

    shapes: Geometries
    """(N,) valid polygons."""
    labels: Index
    """(N,) class of each object."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """The true object that each found object is matched with."""

    truth: Index
    """(N,) index of the true object; -1: none."""
    iou: Floats
    """(N,) IoU of the match; nan: none."""


def evaluate_layer(
    layer: Path,
    truth: Path,
    *,
    score: float | None = None,
    iou: float = 0.5,
    class_map: ClassMap | None = None,
    class_field: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> LayerEvaluation:
    """Matches found objects with true ones in map units, class by class, and counts them.

    Every found object that scores enough counts, so both layers must cover the same area.

    Args:
        layer: found objects: polygons in any format and CRS, with `class` and `score` if available.
        truth: true objects, likewise, with their classes in `class`, `label`, `name` or `category`.
        score: minimum score of a found object that counts; None: all count.
        iou: minimum intersection over union of a match.
        class_map: names to merge, in both layers.
        class_field: attribute that holds the classes, in the layers that have it; None: it is found by its name.
        output: file for all found and missed objects as one layer; its suffix chooses the format.
        overwrite: whether `output` may be replaced.

    Raises:
        ConfigError: if `iou` is not above 0 and at most 1, or `score` not from 0 to 1.
        DataError: if a layer cannot be read, has no polygons, or the two cannot be brought to one CRS.
        UsageError: if `output` exists, has no known suffix, or is one of the layers.
        OutputError: if `output` cannot be written.
    """
    if not 0 < iou <= 1:
        raise ConfigError(f"iou {iou} is out of range; give a value above 0 and at most 1")
    if score is not None and not 0 <= score <= 1:
        raise ConfigError(f"score {score} is outside 0 to 1")
    target = None if output is None else _checked_output(output, (layer, truth), overwrite)
    true, own, read, found_field = _opened(layer, truth, class_field, score)
    own = _scoring(own, score)
    found = _in_crs_of(true, own)
    accuracy = _accuracy(own, true)
    classes = common_classes(found, true, class_map or ClassMap())
    scores = _scores(found)
    plane = _plane(true if len(true) else found)
    shapes = [valid_polygons((part if plane is None else part.reprojected(plane)).shapes)[0] for part in (found, true)]
    of_found, of_truth = (Objects(*both) for both in zip(shapes, classes.labels, strict=True))
    matching = match_objects(of_found, of_truth, np.ones(len(found)) if scores is None else scores, iou)
    per_class, overall = _figures(classes.names, classes.labels, matching, scores)
    crs = plane or true.crs
    warnings = (
        *found.warnings,
        *true.warnings,
        *read,
        *classes.notes,
        *_apart(layer, truth, *shapes),
        *_shapes(shapes[0], shapes[1], iou),
        *accuracy,
    )
    name = None if crs is None else crs.to_string()
    evaluation = LayerEvaluation(
        shown(layer), shown(truth), iou, name, per_class, overall, warnings, classes.own, found_field
    )
    if target is not None:
        names = [[classes.names[label] for label in part.tolist()] for part in classes.labels]
        layer_of_all = differences(found, true, names, matching.truth, matching.iou, scores)
        figures = evaluation.as_json()
        if true.crs is not None:  # the record's own entry of this name is the CRS of the coordinates
            figures["measured_in"] = figures.pop("crs")
        record = RunRecord(version=__version__, crs=None if true.crs is None else true.crs.to_string(), unknown=figures)
        with Publication() as publication:
            write_layer([layer_of_all], record, publication.draft_of(target))
            publication.publish()
    return evaluation


def _opened(
    layer: Path, truth: Path, class_field: str | None, score: float | None
) -> tuple[PolygonLayer, PolygonLayer, tuple[str, ...], str | None]:
    """The true and the found objects, with `class` and `score` as far as they have them, and messages about that.

    Last, the attribute of the found objects' classes, if it was named and they have it.
    """
    files = open_layer(truth, "--truth"), open_layer(layer, "--layer")
    fields = [None if class_field is None else first_column(file.columns, [class_field]) for file in files]
    if class_field is not None and not any(fields):
        raise DataError(
            f"neither '{shown(layer)}' nor '{shown(truth)}' has an attribute '{class_field}' (--class-field); they "
            f"have {', '.join(dict.fromkeys((*files[1].columns, *files[0].columns)))}"
        )
    true, of_true = files[0].as_objects(fields[0], with_scores=False)
    found, of_found = files[1].as_objects(fields[1])
    if found.record.has_candidates and score is None:
        note = f"candidates of '{found.name}' count as found; --score or 'lcageo filter' leaves them out"
        of_found = (*of_found, note)
    polygons = without_candidates(polygons_of(true, "--truth"), true.record, "--truth")
    return polygons, polygons_of(found, "--layer"), (*of_found, *of_true), fields[1]


def _shapes(found: Geometries, true: Geometries, iou: float) -> tuple[str, ...]:
    """A warning if the found objects are boxes, and so small a part of such a box is true that it would not match."""
    if not len(found) or not len(true) or np.median(shapely.area(found) / _bounds_area(found)) < IS_BOX:
        return ()
    share = float(np.median(shapely.area(true) / _bounds_area(true)))
    if share >= min(iou + NEAR_IOU, IS_BOX):
        return ()
    return (
        f"true objects fill {share:.0%} of their bounding boxes (median), so even an exact box overlaps them by no "
        "more: compare boxes (in QGIS, Bounding boxes), or give a lower --iou",
    )


def _bounds_area(shapes: Geometries) -> Floats:
    x1, y1, x2, y2 = shapely.bounds(shapes).T
    return np.asarray((x2 - x1) * (y2 - y1))


def match_objects(found: Objects, truth: Objects, scores: Floats, min_iou: float) -> Matching:
    """COCO's matching: best score first, each found object takes the free true one of its class that it overlaps most.

    Args:
        found: N objects.
        truth: M objects.
        scores: (N,) scores; equal ones keep their order.
        min_iou: minimum intersection over union, above 0.
    """
    matching = Matching(np.full(len(found), -1, np.int64), np.full(len(found), nan))
    pairs = list(_overlapping(found, truth, min_iou * (1 - ROUNDING)))
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


def _overlapping(found: Objects, truth: Objects, min_iou: float) -> Iterator[tuple[Index, Index, Floats]]:
    """Pairs of one class that overlap enough: indices of both, and their intersection over union."""
    tree = shapely.STRtree(truth.shapes)
    found_area, truth_area = shapely.area(found.shapes), shapely.area(truth.shapes)
    found_bounds, truth_bounds = shapely.bounds(found.shapes), shapely.bounds(truth.shapes)
    for start in range(0, len(found), BLOCK):
        which, other = tree.query(found.shapes[start : start + BLOCK])
        which += start
        same = found.labels[which] == truth.labels[other]
        which, other = which[same], other[same]
        total = found_area[which] + truth_area[other]
        # The bounds give an upper limit of the intersection, which rules out most neighbours at little cost.
        low = np.maximum(found_bounds[which, :2], truth_bounds[other, :2])
        high = np.minimum(found_bounds[which, 2:], truth_bounds[other, 2:])
        limit = np.minimum((high - low).prod(axis=1), np.minimum(found_area[which], truth_area[other]))
        near = limit >= min_iou * (total - limit) * (1 - ROUNDING)
        which, other, total = which[near], other[near], total[near]
        common = shapely.area(shapely.intersection(found.shapes[which], truth.shapes[other]))
        overlap = common / (total - common)
        enough = overlap >= min_iou
        yield which[enough], other[enough], overlap[enough]


def _checked_output(output: Path, layers: tuple[Path, Path], overwrite: bool) -> FileTarget:
    """The output, which must be a map layer: files of pixel boxes have no fields for differences."""
    target = FileTarget.of_layer(output)
    target.check(overwrite)
    read = [(file, "one of the layers to compare") for layer in layers for file in layer_files(layer)]
    refuse_inputs((*target.files, *target.belonging), read)
    return target


def _in_crs_of(truth: PolygonLayer, found: PolygonLayer) -> PolygonLayer:
    """The found objects in the truth's CRS."""
    if truth.crs is not None and found.crs is not None:
        return found.reprojected(truth.crs)
    if truth.crs is None and found.crs is None:
        return found
    with_crs, without = (truth, found) if found.crs is None else (found, truth)
    raise DataError(
        f"'{without.name}' has no CRS, but '{with_crs.name}' is in {with_crs.frame.crs.name}; save the former "
        "with its CRS, or both without one"
    )


def _accuracy(found: PolygonLayer, truth: PolygonLayer) -> tuple[str, ...]:
    """A warning if the two layers cannot be brought together exactly; pixels are not known here."""
    if not len(found):
        return ()
    west, south, _, _ = shapely.total_bounds(found.shapes).tolist()
    return accuracy_warnings(f"positions of '{found.name}'", [(found.crs, truth.crs, west, south)], None)


def _plane(layer: PolygonLayer) -> pyproj.CRS | None:
    """The CRS for measuring a layer: an equal-area plane around it; None: the layer's own CRS will do.

    It will not if it goes around the globe, in degrees or not, where two layers may be a turn apart. Not a UTM zone: a
    layer that crosses the antimeridian, or covers a large country, fits into none.
    """
    if layer.crs is None or full_turn(layer.crs) is None or not len(layer):
        return None
    longitude, latitude = np.radians(shapely.get_coordinates(layer.reprojected(pyproj.CRS(WGS84)).shapes)).T
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    middle = np.degrees([np.arctan2(y.mean(), x.mean()), np.arctan2(z.mean(), np.hypot(x.mean(), y.mean()))])
    return pyproj.CRS(f"+proj=laea +lon_0={middle[0]:.4f} +lat_0={middle[1]:.4f} +datum=WGS84 +units=m")


def _apart(layer: Path, truth: Path, found: Geometries, true: Geometries) -> list[str]:
    """A warning if there is no truth, or the layers do not overlap where they are measured."""
    if not len(true):
        return [f"'{shown(truth)}' has no objects, so every found object counts as a false positive"]
    boxes = [shapely.box(*shapely.total_bounds(shapes)) for shapes in (found, true) if len(shapes)]
    if len(boxes) < 2 or shapely.intersects(*boxes):
        return []
    return [f"'{shown(layer)}' and '{shown(truth)}' do not overlap on the map; check their CRS and coordinates"]


def _scoring(found: PolygonLayer, min_score: float | None) -> PolygonLayer:
    """The found objects that score enough."""
    scores = None if min_score is None else _scores(found)
    if min_score is None or (scores is None and not len(found)):
        return found
    if scores is None:
        raise DataError(f"--layer '{found.name}' has no column 'score', which --score requires")
    return replace(found, frame=found.frame[layer_scores(scores) >= layer_scores(min_score)])


def _scores(found: PolygonLayer) -> Floats | None:
    """(N,) scores; None if the layer has none."""
    column = found.column(("score",))
    if column is None:
        return None if len(found) else np.zeros(0)
    scores = found.frame[column]
    if scores.isna().any():
        first = scores.index[scores.isna()][0]
        name = found.name
        raise DataError(f"--layer '{name}': feature {first + 1} has no score; fill it in, or remove the column")
    return np.asarray(scores, np.float64)


def _figures(
    classes: list[str], labels: tuple[Index, Index], matching: Matching, scores: Floats | None
) -> tuple[tuple[LayerFigures, ...], LayerFigures]:
    """Figures of each class, and of all together."""
    of_found = np.argsort(labels[0], kind="stable")
    ends = np.searchsorted(labels[0][of_found], np.arange(len(classes) + 1))
    truth = np.bincount(labels[1], minlength=len(classes)).tolist()
    right = matching.truth >= 0
    figures = []
    for label, name in enumerate(classes):
        own = of_found[ends[label] : ends[label + 1]]
        counts = truth[label], len(own), int(right[own].sum())
        if scores is None:
            figures.append(LayerFigures(name, *counts, None))
            continue
        curve = curve_of(scores[own], right[own], truth[label])
        best = curve.best_f1() if right[own].any() else None
        lowest = float(scores[own].min()) if len(own) else None
        figures.append(LayerFigures(name, *counts, curve.average_precision(), best, lowest))
    aps = [one.average_precision for one in figures if one.average_precision is not None and one.truth]
    mean = None if scores is None else float(np.mean(aps)) if aps else nan
    return tuple(figures), LayerFigures("all", len(labels[1]), len(right), int(right.sum()), mean)
