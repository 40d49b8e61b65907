"""What a review says about objects found: the wrong ones are no labels, the others get the class that the user chose.

The review layer of `detect` has the least certain objects alone, above and below the thresholds. Training on them only
would make background of all that the model is sure of, so a review corrects the layer of the objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from lcageo.errors import DataError
from lcageo.inference.review_form import NEW_CLASS, OBJECT, VERDICT, Verdict
from lcageo.plural import plural
from lcageo.vector.columns import layer_scores
from lcageo.vector.polygons import PolygonLayer, is_found, read_polygons
from lcageo.vector.record import RunRecord
from lcageo.vector.values import class_texts, score_numbers

SAME_IOU = 0.9
"""Minimum IoU of one object in both layers: they are equal but for the rounding of their formats and CRSs."""


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """N objects of a review with a verdict."""

    shapes: NDArray[np.object_]
    """(N,) polygons in the CRS of the objects."""
    verdicts: tuple[Verdict, ...]
    old: tuple[str, ...]
    """Classes that the model gave them; empty for what was drawn by hand."""
    new: tuple[str, ...]
    """Classes that they get."""
    scores: NDArray[np.float64]
    """(N,) NaN for what was drawn by hand."""


def corrected(found: PolygonLayer, record: RunRecord, review: Path) -> PolygonLayer:
    """Objects found, corrected by a review.

    Args:
        found: with the column `class`, and `score` if there are candidates among them.
        record: of that layer; its candidates are left out unless the review says that they are right.
        review: a layer of `detect --review`, with verdicts.

    Returns:
        The objects with `class` alone: as found, without those that are wrong, with the classes of those of another
        class, and with the right ones that were candidates or drawn by hand.

    Raises:
        DataError: if the review cannot be read, has no verdicts, lacks a class, or cannot be brought to the CRS.
    """
    if len(found) and found.column(("class",)) is None:  # without objects, a layer may have no columns
        raise DataError(f"--labels '{found.name}' has no attribute class; with --review, name the layer of detect")
    layer = read_polygons(review, "--review")
    if found.crs is not None and layer.crs is not None:
        layer = layer.reprojected(found.crs)
    answers, undecided = _answers(layer)
    frame = found.frame[is_found(found.frame, record)]
    names = class_texts(frame["class"]).tolist() if len(frame) else []
    own_names = tuple(names)
    shapes = frame.geometry.to_numpy()
    kept, added = np.ones(len(frame), np.bool_), []
    matches = _matches(answers, shapes, names)
    # What is wrong first: of two answers about one place, another class of it may be right.
    for number in sorted(range(len(matches)), key=lambda one: answers.verdicts[one] is not Verdict.WRONG):
        match = int(matches[number])
        verdict, name = answers.verdicts[number], answers.new[number]
        if verdict is Verdict.WRONG and match >= 0 and answers.old[number] not in ("", own_names[match]):
            continue  # what is wrong is a candidate of another class in the same place
        if match < 0 and verdict is not Verdict.WRONG:
            added.append(number)
        elif match >= 0:
            kept[match] = verdict is not Verdict.WRONG
            names[match] = name
    classes = [name for name, is_kept in zip(names, kept, strict=True) if is_kept] + [answers.new[one] for one in added]
    geometry = np.concatenate([shapes[kept], answers.shapes[added]])
    warnings = [*found.warnings, *layer.warnings]
    least = record.least_scores()
    was_found = layer_scores(answers.scores) >= np.array([least.get(name, 0.0) for name in answers.old], np.float64)
    strange = int((was_found & (matches < 0)).sum())
    if strange:
        warnings.append(
            f"--review '{review}': {strange:,} of {plural(len(matches), 'verdict')} are about objects that "
            f"'{found.name}' does not have; if that is another run's layer, name the review's own: what is right was "
            "added, and may be there twice"
        )
    if undecided:
        warnings.append(
            f"--review '{review}': {plural(undecided, 'object')} without a verdict, left as the model found it"
        )
    result = geopandas.GeoDataFrame({"class": classes}, geometry=geometry, crs=found.crs)
    return replace(found, frame=result, warnings=tuple(warnings))


def _answers(layer: PolygonLayer) -> tuple[_Answers, int]:
    """The objects with a verdict, and the number of those without one."""
    frame = layer.frame
    if not len(frame):
        return _Answers(np.zeros(0, object), (), (), (), np.zeros(0)), 0
    if VERDICT not in frame:
        raise DataError(f"--review '{layer.name}' has no attribute {VERDICT}; name a layer that detect --review wrote")
    objects = frame[frame["kind"].fillna(OBJECT) == OBJECT] if "kind" in frame else frame
    given = objects[VERDICT].notna() & (objects[VERDICT] != "")
    judged = objects[given]
    verdicts, new = [], []
    for row, verdict, old, chosen in zip(
        judged.index, judged[VERDICT], _texts(judged, "class"), _texts(judged, NEW_CLASS), strict=True
    ):
        where = f"--review '{layer.name}': feature {row + 1}"
        if verdict not in list(Verdict):
            raise DataError(f"{where} has the verdict '{verdict}'; choose one of {', '.join(Verdict)}")
        verdicts.append(Verdict(verdict))
        new.append(chosen or ("" if verdicts[-1] is Verdict.OTHER_CLASS else old))
        if not new[-1] and verdicts[-1] is not Verdict.WRONG:
            raise DataError(f"{where} is '{verdict}' but has no class; choose {NEW_CLASS}")
    shapes = np.array(judged.geometry.to_numpy(), object)
    scores = score_numbers(judged["score"])[0] if "score" in judged else np.full(len(judged), np.nan)
    answers = _Answers(shapes, tuple(verdicts), tuple(_texts(judged, "class")), tuple(new), scores)
    return answers, int((~given).sum())


def _texts(frame: geopandas.GeoDataFrame, column: str) -> list[str]:
    return class_texts(frame[column]).tolist() if column in frame else [""] * len(frame)


def _matches(answers: _Answers, shapes: NDArray[np.object_], names: list[str]) -> NDArray[np.int64]:
    """(N,) index of the object that each answer is about; -1: none. Of equal boxes, that of the answer's class."""
    matches = np.full(len(answers.shapes), -1, np.int64)
    if not len(shapes) or not len(answers.shapes):
        return matches
    ours, theirs = shapely.STRtree(shapes).query(answers.shapes, predicate="intersects")
    overlap = shapely.area(shapely.intersection(answers.shapes[ours], shapes[theirs]))
    iou = overlap / (shapely.area(answers.shapes[ours]) + shapely.area(shapes[theirs]) - overlap)
    same = iou >= SAME_IOU
    ours, theirs, iou = ours[same], theirs[same], iou[same]
    of_class = np.array([answers.old[one] == names[other] for one, other in zip(ours, theirs, strict=True)], np.bool_)
    for pair in np.lexsort((iou, of_class)):  # the best last
        matches[ours[pair]] = theirs[pair]
    return matches
