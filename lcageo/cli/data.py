"""lcageo data: checks labelled images before training on them, and converts them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.progress import Bar
from lcageo.config import FormatName
from lcageo.errors import DataError, OutputError, UsageError
from lcageo.paths import expanded
from lcageo.plural import plural

if TYPE_CHECKING:
    from lcageo.data.annotations import Problem, SplitName
    from lcageo.data.check import CheckSummary, ClassStatistics
    from lcageo.data.splits import Splits

SHOWN = 10
"""Number of problems shown of each kind, unless --all is given."""

data = typer.Typer(no_args_is_help=True, help="Checks and converts labelled images.", rich_markup_mode="markdown")


class Target(StrEnum):
    """The formats that a set can be converted to."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"


@data.command("check")
def check(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE", help=options.DATA_HELP)],
    val: Annotated[
        list[Path] | None,
        typer.Option(metavar="SOURCE", help="Validation data, with the same classes as SOURCE. May be repeated."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Split of data sets with several: train, val, trainval or test. May be repeated.",
            show_default="every split present, but trainval only if train or val is missing",
        ),
    ] = None,
    images: options.Images = None,
    data_format: options.Format = None,
    class_map: options.ClassMap = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if there is any problem.")] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Do not read pixels: faster, but misses truncated images.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show all problems, not {SHOWN} of each kind.")] = False,
    as_json: options.Json = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show only problems: no tables, no progress.")] = False,
    debug: options.Debug = False,
) -> None:
    """Checks labelled images: classes, counts and box sizes of each split, broken records and images, duplicates.

    A COCO file is one split, and so is any other set that has no splits of its own. A box's size is the square root of
    its area. Every problem is shown with its file and line or record, and with how training handles it. Remarks are
    not necessarily errors: a duplicate box, a file name that two splits use for different images, a record in an
    unusual notation that can still be read, an image without a record, an image without any of the classes. Exit code:
    0, even with problems that training would skip; 1 if a source cannot be read or a split has no usable image and,
    with --strict, if there is any problem. Remarks do not affect it.

    Examples:

    - `lcageo data check DIOR`
    - `lcageo data check chips/train.json --val chips/val.json --strict`
    """
    say = console.Console(quiet)
    requested = [_split(name) for name in split or []]
    from lcageo.data.annotations import refuse
    from lcageo.data.classmap import load_class_map
    from lcageo.data.sets import Naming
    from lcageo.data.splits import read_splits

    mapping = load_class_map(class_map) if class_map is not None else None
    sources = [Path(source) for source in expanded(list(map(str, sources)))]
    splits = read_splits(sources, val or [], requested, mapping, Naming(images, data_format))
    summary = _checked(splits, decode=not headers_only, say=say)
    if as_json:
        console.json_data("data-check", _as_json(splits, summary))
    else:
        parts = [] if quiet else [_split_text(name, splits, summary) for name in splits.by_name]
        parts += _problem_texts(summary, None if show_all else SHOWN)
        if parts:
            console.data("\n\n".join(parts))
    empty = [name for name, count in summary.usable_images.items() if not count]
    if empty:
        raise DataError(f"no usable image in {', '.join(empty)}; training could not start")
    if strict:
        refuse(summary.faults)
    (say.warn if summary.faults else say.note)(_closing_line(splits, summary))


@data.command("convert")
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=options.DATA_HELP)],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for the set and copies of its images.")],
    to: Annotated[Target, typer.Option("--to", help="Format to write.")],
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Split to convert, as in data check. May be repeated. Default: all."),
    ] = None,
    images: options.Images = None,
    data_format: options.Format = None,
    class_map: options.ClassMap = None,
    strict: options.Strict = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Converts a data set to COCO, YOLO or VOC, without changing any box. Every command reads the result.

    Images are copied as they are, and numbered where two have one name. Broken records and images are left out, as in
    training. What the new format cannot express is reported: YOLO has no boxes to ignore, and only COCO stores for
    which classes an image is annotated, and its resolution.

    Examples:

    - `lcageo data convert chips yolo --to yolo`
    - `lcageo data convert DIOR coco --to coco`
    """
    say = console.Console(quiet)
    requested = [_split(name) for name in split or []]
    from lcageo.data.annotations import REMARKS, refuse
    from lcageo.data.check import image_problems, without_images
    from lcageo.data.classmap import load_class_map
    from lcageo.data.convert import convert_sets
    from lcageo.data.sets import Naming
    from lcageo.data.splits import read_splits

    mapping = load_class_map(class_map) if class_map is not None else None
    splits = read_splits([source], (), requested, mapping, Naming(images, data_format))
    sets = {name: without_images(one, image_problems(one, decode=False)) for name, one in splits.sets.items()}
    problems = [*splits.problems, *(problem for one in sets.values() for problem in one.problems)]
    faults = [problem for problem in problems if problem.kind not in REMARKS]
    if strict:
        refuse(faults)
    for problem in faults[:SHOWN]:
        say.warn(str(problem))
    if len(faults) > SHOWN:
        say.warn(f"{len(faults) - SHOWN:,} more problems with the data; 'lcageo data check' lists them all")
    for problem in problems:
        if problem.kind in REMARKS:
            say.note(str(problem))
    total = sum(map(len, sets.values()))
    if not total:
        raise DataError(f"'{source}' has no usable image to convert; 'lcageo data check' shows why")
    with _new_folder(folder) as draft, Bar(say, "copying images", "image") as bar:
        done = itertools.count(1)
        for line in convert_sets(sets, draft, FormatName(to), lambda one: bar.at(next(done), total)):
            bar.warn(line)
    console.data(str(folder))


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Context with a hidden folder that becomes `folder` at the end; after an error nothing is left."""
    from lcageo.vector.publish import draft_folder, make_folder

    place = folder.absolute()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(f"output folder '{folder}' exists and is not empty; choose another one")
    make_folder(place.parent)
    try:
        with draft_folder(place.parent, place.name) as hidden:
            draft = hidden / "complete"
            draft.mkdir()
            yield draft
            if place.exists():
                place.rmdir()
            draft.rename(place)
    except OSError as error:
        raise OutputError(f"output folder '{folder}' cannot be written: {error.strerror}; choose another") from error


def _split(name: str) -> SplitName:
    from lcageo.data.annotations import SplitName

    try:
        return SplitName(name)
    except ValueError:
        raise UsageError(f"--split '{name}' is not a split; choose one of {', '.join(SplitName)}") from None


def _checked(splits: Splits, decode: bool, say: console.Console) -> CheckSummary:
    """Checks each split, and the splits against each other."""
    from lcageo.data.check import CheckSummary, check_sets

    total, done = sum(map(len, splits.sets.values())), 0
    with Bar(say, "checking images", "image") as bar:

        def count(more: int) -> None:
            nonlocal done
            done += more
            bar.at(done, total)

        summary = check_sets(splits.sets, decode, count)
    return CheckSummary(summary.statistics, summary.usable_images, (*splits.problems, *summary.problems))


def _split_text(name: str, splits: Splits, summary: CheckSummary) -> str:
    """One split's heading and table."""
    split = splits.by_name[name]
    count, usable = len(split.labelled), summary.usable_images[name]
    unusable = f" ({count - usable:,} unusable)" if usable < count else ""
    heading = f"{name}: {split.labelled.name}, {plural(count, 'image')}{unusable}"
    partly = any(entry.labelled_images < count for entry in summary.statistics[name])
    rows = [_row(entry, count) for entry in summary.statistics[name]]
    boxes = sum(entry.boxes for entry in summary.statistics[name])
    rows.append(("all", f"{sum(len(a) > 0 for a in split.labelled.annotations):,}", f"{boxes:,}", *[""] * 5))
    rows.insert(0, ("class", "images", "boxes", "min px", "median px", "max px", "under 32 px", "not annotated"))
    return f"{heading}\n{console.table([row if partly else row[:-1] for row in rows])}"


def _row(entry: ClassStatistics, images: int) -> tuple[str, ...]:
    sizes = [entry.side_min, entry.side_median, entry.side_max]
    return (
        entry.name,
        f"{entry.images:,}",
        f"{entry.boxes:,}",
        *("-" if isnan(size) else f"{size:,.0f}" for size in sizes),
        "-" if isnan(entry.small_share) else f"{entry.small_share:.0%}",
        f"{images - entry.labelled_images:,}",
    )


def _problem_texts(summary: CheckSummary, shown: int | None) -> list[str]:
    """One paragraph for each kind of problem, then for each kind of remark."""
    from lcageo.data.annotations import REMARKS, ProblemKind

    grouped: dict[ProblemKind, list[Problem]] = {kind: [] for kind in ProblemKind}
    for problem in summary.problems:
        grouped[problem.kind].append(problem)
    texts = []
    for kind in sorted(ProblemKind, key=lambda kind: kind in REMARKS):
        problems = grouped[kind]
        lines = [f"{'remark: ' if kind in REMARKS else ''}{kind}: {len(problems):,}"]
        lines += [f"  {problem}" for problem in problems[:shown]]
        if len(problems) > len(lines) - 1:
            lines.append(f"  and {len(problems) - len(lines) + 1:,} more (--all shows them)")
        if problems:
            texts.append("\n".join(lines))
    return texts


def _closing_line(splits: Splits, summary: CheckSummary) -> str:
    faults, remarks = len(summary.faults), len(summary.problems) - len(summary.faults)
    images = sum(map(len, splits.sets.values()))
    counted = _count(faults, "problem") if faults else "no problems"
    counted += f", {_count(remarks, 'remark')}" if remarks else ""
    handled = "; training would handle them as described (--strict refuses them)" if faults else ""
    return f"{_count(len(splits.by_name), 'split')}, {_count(images, 'image')}: {counted}{handled}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _as_json(splits: Splits, summary: CheckSummary) -> dict[str, Any]:
    from lcageo.data.annotations import REMARKS

    return {
        "splits": [
            {
                "name": name,
                "source": str(split.source),
                "images": len(split.labelled),
                "usable_images": summary.usable_images[name],
                "boxes": sum(entry.boxes for entry in summary.statistics[name]),
                "classes": [_without_nan(asdict(entry)) for entry in summary.statistics[name]],
            }
            for name, split in splits.by_name.items()
        ],
        "problems": [
            {
                "kind": str(problem.kind),
                "remark": problem.kind in REMARKS,
                "path": str(problem.path),
                "where": problem.where,
                "what": problem.what,
            }
            for problem in summary.problems
        ],
    }


def _without_nan(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries with None for NaN, which JSON does not have."""
    return {name: None if value != value else value for name, value in entries.items()}
