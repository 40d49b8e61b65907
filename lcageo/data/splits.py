"""All splits of the data that a user names, each on its own, for checking them against one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcageo.data.annotations import LabelledSet, Problem, ProblemKind, SplitName
from lcageo.data.classmap import ClassMap, joined
from lcageo.data.sets import Naming, read_source, splits_in
from lcageo.errors import UsageError
from lcageo.plural import plural


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One split of one source."""

    source: Path
    labelled: LabelledSet
    names: tuple[str, ...]
    """Possible names, from the shortest to one that no other split has."""


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """The splits of some sources."""

    by_name: Mapping[str, Split]
    """Splits by the shortest names that tell them apart, in the order of the sources."""
    problems: tuple[Problem, ...]
    """Problems between the splits; each set keeps its own."""

    @property
    def sets(self) -> dict[str, LabelledSet]:
        """The labelled sets by name."""
        return {name: split.labelled for name, split in self.by_name.items()}


def read_splits(
    sources: Sequence[Path],
    validation: Sequence[Path] = (),
    wanted: Sequence[SplitName] = (),
    class_map: ClassMap | None = None,
    naming: Naming | None = None,
) -> Splits:
    """Reads every split of some sources.

    Args:
        sources: files and folders in any of the formats that `data.sets` knows.
        validation: more sources, whose classes must all occur in the others.
        wanted: which splits to read of sources that have several; none: all that do not overlap.
        class_map: names to merge.
        naming: what the user says of the sources besides their paths.

    Raises:
        DataError: if a source is in none of them, cannot be read, or has no list of images.
        UsageError: if a source is named twice, or the wanted splits overlap or fit no source.
    """
    everything = [*sources, *validation]
    existing = {source: splits_in(source, naming) for source in everything}
    _check(everything, wanted, any(existing.values()))
    splits = [split for source in everything for split in _splits_of(source, wanted, existing[source], naming)]
    problems: list[Problem] = []
    if class_map is not None:
        problems += _unknown_names(splits, class_map)
        splits = [_mapped(split, class_map) for split in splits]
    if validation:
        problems += _unknown_to_training(splits, validation)
    levels = [[split.names[level] for split in splits] for level in range(3)]
    names = next((names for names in levels if len(set(names)) == len(names)), levels[-1])
    return Splits(dict(zip(names, splits, strict=True)), tuple(problems))


def _check(sources: Sequence[Path], wanted: Sequence[SplitName], have_splits: bool) -> None:
    paths = [source.resolve() for source in sources]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise UsageError(f"data '{sources[index]}' is named twice; name each source once")
    if SplitName.TRAINVAL in wanted and {SplitName.TRAIN, SplitName.VAL} & set(wanted):
        raise UsageError("--split trainval already contains train and val; use either it or these")
    if wanted and not have_splits:
        raise UsageError("--split chooses among the splits of a source, but no source has several; leave it out")


def _splits_of(
    source: Path, wanted: Sequence[SplitName], existing: Sequence[SplitName], naming: Naming | None
) -> list[Split]:
    path = source.resolve()
    if not existing:
        names = (source.stem or path.name, f"{path.parent.name}/{source.stem}", str(source))
        return [Split(source, read_source(source, SplitName.TRAIN, naming=naming), names)]
    return [
        Split(
            source,
            read_source(source, split, naming=naming),
            (str(split), f"{path.name}, {split}", f"{source}, {split}"),
        )
        for split in dict.fromkeys(wanted) or existing
    ]


def _mapped(split: Split, class_map: ClassMap) -> Split:
    """The split under the map's names; only names that it has are passed on, since others are no mistake here."""
    own = {name: target for name, target in class_map.targets.items() if name in split.labelled.classes}
    return Split(split.source, joined([split.labelled], None, ClassMap(class_map.path, own)), split.names)


def _unknown_names(splits: Sequence[Split], class_map: ClassMap) -> list[Problem]:
    """Names in the map that no split has."""
    known = dict.fromkeys(name for split in splits for name in split.labelled.classes)
    what = f"not in the data, which has {', '.join(known)}"
    path = class_map.path or Path("class map")
    return [
        Problem(ProblemKind.UNKNOWN_CLASS, path, f"class {name!r}", what)
        for name in class_map.targets
        if name not in known
    ]


def _unknown_to_training(splits: Sequence[Split], validation: Sequence[Path]) -> list[Problem]:
    """Classes with boxes in the validation data that no training source has: they cannot be learned."""
    trained = dict.fromkeys(
        name for split in splits if split.source not in validation for name in split.labelled.classes
    )
    problems = []
    for split in splits:
        if split.source not in validation:
            continue
        counts: Counter[int] = Counter()
        for annotation in split.labelled.annotations:
            counts.update(annotation.labels.tolist())
        for label, name in enumerate(split.labelled.classes):
            if counts[label] and name not in trained:
                dropped = f"{plural(counts[label], 'box')} left out"
                what = f"is not in the training data, which has {', '.join(trained)}; {dropped}"
                problems.append(Problem(ProblemKind.UNKNOWN_CLASS, split.source, f"class {name!r}", what))
    return problems
