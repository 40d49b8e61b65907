"""Joins sets on one list of classes, by a class map: a table `[classes]`, lines like `vehicle = ["car", "lorry"]`."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.data.annotations import Annotation, LabelledSet, Problem, ProblemKind
from lcageo.errors import ConfigError, DataError
from lcageo.plural import plural


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Which class names of the sets are one class. Names that it does not mention stay as they are."""

    path: Path | None = None
    """The file it was read from."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """A set's class name -> the name under which it is trained."""

    def target(self, name: str) -> str:
        """The name under which a set's class is trained."""
        return self.targets.get(name, name)


def load_class_map(path: Path) -> ClassMap:
    """Reads the class map in a TOML file.

    Raises:
        ConfigError: if the file cannot be read, or is not a table `classes` of names and lists of names.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"class map '{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"class map '{path}' is not TOML: {error}") from error
    table = content.get("classes")
    if set(content) != {"classes"} or not isinstance(table, dict):
        raise ConfigError(f"class map '{path}' must hold one table, [classes], with lines like: vehicle = [\"car\"]")
    targets: dict[str, str] = {}
    for target, sources in table.items():
        if not isinstance(sources, list) or not all(isinstance(name, str) for name in sources):
            raise ConfigError(f"class map '{path}': '{target}' must be a list of class names, not {sources!r}")
        for name in sources:
            if targets.setdefault(name, target) != target:
                both = f"'{targets[name]}' and '{target}'"
                raise ConfigError(f"class map '{path}': '{name}' is listed under both {both}; list it once")
    return ClassMap(path, targets)


def joined(
    sets: Sequence[LabelledSet], classes: Sequence[str] | None = None, class_map: ClassMap | None = None
) -> LabelledSet:
    """All images of `sets` under one list of classes.

    An image counts as annotated for a class only if it is annotated for every one of its set's classes that the map
    merges into it: cars without large vehicles are not all vehicles. Boxes of other classes are left out and reported
    as problems.

    Args:
        sets: read with any classes.
        classes: the wanted list; None: all that occur after mapping, in order of first appearance.
        class_map: names to merge; None: every name stays.

    Raises:
        DataError: if no set is given, or no image is annotated for any of the classes.
    """
    class_map = class_map or ClassMap()
    if not sets:
        raise DataError("no labelled set was given")
    known = dict.fromkeys(class_map.target(name) for part in sets for name in part.classes)
    wanted = tuple(known if classes is None else classes)
    parts = [_on_classes(part, wanted, class_map) for part in sets]
    annotations = tuple(annotation for part in parts for annotation in part.annotations)
    problems = tuple(problem for part in parts for problem in part.problems)
    name = " + ".join(part.name for part in sets)
    if not annotations and any(part.annotations for part in sets):
        raise DataError(f"no image of {name} is annotated for any of the classes {', '.join(wanted)}")
    return LabelledSet(name, wanted, annotations, (*problems, *_unknown_names(name, sets, wanted, class_map)))


def _on_classes(part: LabelledSet, wanted: tuple[str, ...], class_map: ClassMap) -> LabelledSet:
    index = {name: label for label, name in enumerate(wanted)}
    new_label = np.array([index.get(class_map.target(name), -1) for name in part.classes], np.int64)  # (K,), -1: none
    dropped: Counter[tuple[ProblemKind, str]] = Counter()
    annotations = []
    for annotation in part.annotations:
        sources = set(annotation.labelled_classes)
        labelled = {
            int(new) for new in new_label[new_label >= 0] if set(np.flatnonzero(new_label == new).tolist()) <= sources
        }
        labels = new_label[annotation.labels]
        kept = np.isin(labels, sorted(labelled))
        for old, new in zip(annotation.labels[~kept].tolist(), labels[~kept].tolist(), strict=True):
            kind = ProblemKind.CLASS_LEFT_OUT if new < 0 else ProblemKind.UNLABELLED_CLASS
            dropped[kind, part.classes[old]] += 1
        if labelled:
            annotations.append(_relabelled(annotation, labels, kept, labelled))
    path = Path(part.name)
    problems = [Problem(kind, path, f"class {name!r}", _why(kind, count)) for (kind, name), count in dropped.items()]
    lost = len(part.annotations) - len(annotations)
    if lost:
        what = f"{plural(lost, 'image')} annotated for none of the wanted classes; left out"
        problems.append(Problem(ProblemKind.CLASS_LEFT_OUT, path, "", what))
    return LabelledSet(part.name, wanted, tuple(annotations), (*part.problems, *problems))


def _relabelled(
    annotation: Annotation, labels: NDArray[np.int64], kept: NDArray[np.bool_], labelled: set[int]
) -> Annotation:
    return replace(
        annotation,
        boxes_xyxy=annotation.boxes_xyxy[kept],
        labels=labels[kept],
        labelled_classes=tuple(sorted(labelled)),
        difficult=annotation.difficult[kept],
    )


def _why(kind: ProblemKind, count: int) -> str:
    if kind == ProblemKind.CLASS_LEFT_OUT:
        return f"is not among the wanted classes; {plural(count, 'box')} left out"
    return f"is merged with classes that its images are not annotated for; {plural(count, 'box')} left out"


def _unknown_names(
    name: str, sets: Sequence[LabelledSet], wanted: tuple[str, ...], class_map: ClassMap
) -> list[Problem]:
    """Names of the map or the list that no set has: mistakes, or classes that only another split has."""
    mapped = dict.fromkeys(source for part in sets for source in part.classes)
    known = {class_map.target(source) for source in mapped}
    map_path = class_map.path or Path("class map")
    unknown = [(map_path, source) for source in class_map.targets if source not in mapped]
    unknown += [(Path(name), target) for target in wanted if target not in known]
    return [
        Problem(ProblemKind.UNKNOWN_CLASS, path, f"class {source!r}", f"not in {name}, which has {', '.join(mapped)}")
        for path, source in unknown
    ]


def without_names_of_one(sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """Sets read one by one, without problems about names that another of them has: these are not typos."""
    unknown = [{problem.where for problem in part.problems if _is_unknown_name(problem)} for part in sets]
    in_none = set.intersection(*unknown) if unknown else set()
    return [
        replace(
            part,
            problems=tuple(
                problem for problem in part.problems if not _is_unknown_name(problem) or problem.where in in_none
            ),
        )
        for part in sets
    ]


def _is_unknown_name(problem: Problem) -> bool:
    """Whether it is about a name of the class list or map, not about a record."""
    return problem.kind is ProblemKind.UNKNOWN_CLASS and problem.where.startswith("class ")
