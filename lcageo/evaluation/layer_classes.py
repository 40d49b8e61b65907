"""The classes that a layer of found objects and one of true ones have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.data.classmap import ClassMap
from lcageo.vector.columns import CLASS_COLUMNS
from lcageo.vector.polygons import PolygonLayer
from lcageo.vector.values import class_texts

Index = NDArray[np.int64]

ONLY_CLASS = "object"
"""Class of all objects where one of the layers has no classes."""
NO_CLASS = "(no class)"


@dataclass(frozen=True, slots=True, eq=False)
class CommonClasses:
    """Classes of N found and M true objects."""

    names: list[str]
    """Their names: the true ones first."""
    labels: tuple[Index, Index]
    """(N,) and (M,) numbers of the objects' classes."""
    own: Mapping[str, tuple[str, ...]]
    """What the layer of found objects calls each class; empty where classes do not count."""
    notes: tuple[str, ...]
    """Messages for the user."""


def common_classes(found: PolygonLayer, truth: PolygonLayer, class_map: ClassMap) -> CommonClasses:
    """The classes of both layers, whose names are mapped; a single one if a layer has none."""
    notes = []
    names: list[list[str]] = []
    for layer in (found, truth):
        column = layer.column(CLASS_COLUMNS[:1])
        if column is None and len(layer):
            missing = f"{', '.join(CLASS_COLUMNS[:-1])} or {CLASS_COLUMNS[-1]}"
            notes.append(f"'{layer.name}' has no column {missing}; objects are matched regardless of class")
        names.append([] if column is None else [name or NO_CLASS for name in class_texts(layer.frame[column])])
    known = set(names[0]) | set(names[1])
    notes += [f"class map: no object has the class '{name}'" for name in class_map.targets if name not in known]
    if any(len(own) < len(layer) for own, layer in zip(names, (found, truth), strict=True)):
        of_found, of_truth = np.zeros(len(found), np.int64), np.zeros(len(truth), np.int64)
        return CommonClasses([ONLY_CLASS], (of_found, of_truth), {}, tuple(notes))
    mapped = [[class_map.target(name) for name in own] for own in names]
    classes = [*sorted(set(mapped[1])), *sorted(set(mapped[0]) - set(mapped[1]))]
    if all(mapped) and not set(mapped[0]) & set(mapped[1]):
        notes.append(
            f"none of the found classes ({_some(mapped[0])}) is a true one ({_some(mapped[1])}); use a --class-map"
        )
    index = {name: label for label, name in enumerate(classes)}
    of_found, of_truth = (np.array([index[name] for name in own], np.int64) for own in mapped)
    own_names: dict[str, tuple[str, ...]] = {}
    for name in sorted(set(names[0]) - {NO_CLASS}):
        target = class_map.target(name)
        own_names[target] = (*own_names.get(target, ()), name)
    return CommonClasses(classes, (of_found, of_truth), own_names, tuple(notes))


def _some(names: list[str]) -> str:
    distinct = sorted(set(names))
    return ", ".join(distinct[:5]) + (", ..." if len(distinct) > 5 else "")
