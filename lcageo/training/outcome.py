"""What the user should know about a run's classes before it starts, and about its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lcageo.config import DetectConfig
from lcageo.data.annotations import LabelledSet
from lcageo.metrics.summary import FEW_OBJECTS, Evaluation
from lcageo.runtime.catalog import ModelCard

KINDS: dict[str, tuple[str, ...]] = {
    "vehicle": (
        "car",
        "automobile",
        "auto",
        "truck",
        "lorry",
        "van",
        "bus",
        "pickup",
        "small vehicle",
        "large vehicle",
    ),
    "ship": ("boat", "vessel", "barge", "yacht", "ferry"),
    "airplane": ("aeroplane", "aircraft", "plane", "jet", "helicopter"),
    "storage tank": ("tank", "oil tank", "silo"),
    "harbor": ("harbour", "port", "pier", "dock", "jetty"),
    "ground track field": ("athletics track", "running track", "track field"),
    "baseball diamond": ("baseball field", "baseball court"),
    "bridge": ("overpass", "viaduct"),
}
"""Names that data sets and people use for the classes of NWPU VHR-10 and DIOR, which models here have."""


def known_otherwise(classes: Sequence[str], model: Sequence[str]) -> dict[str, str]:
    """The model's class for each new class that is likely the same, or a kind of it, under another name.

    Args:
        classes: of the labels.
        model: classes of the model.
    """
    by_name = {_plain(name): name for name in reversed(model)}
    of_kind = {
        kind: by_name[_plain(name)] for name, kinds in KINDS.items() if _plain(name) in by_name for kind in kinds
    }
    every = {_plain(kind): name for kind, name in of_kind.items()} | by_name
    return {name: every[_plain(name)] for name in classes if name not in model and _plain(name) in every}


def shared_data(data: Sequence[str], start: ModelCard) -> str | None:
    """The first of these sets that the model to start from was trained on; None if there is none."""
    before = {Path(str(one)).resolve() for one in start.recipe.get("data", ())}
    return next((one for one in data if Path(one).resolve() in before), None)


def class_map_hint(classes: Sequence[str], start: ModelCard) -> str | None:
    """A hint that some of the labels' classes are in the model to start from under another name; None if none are."""
    known = known_otherwise(classes, start.classes)
    if not known:
        return None
    targets = {target: [one for one, of in known.items() if of == target] for target in known.values()}
    lines = ", ".join(f"{target!r} for {' and '.join(map(repr, own))}" for target, own in targets.items())
    entries = "; ".join(f'"{target}" = [{", ".join(f"{one!r}" for one in own)}]' for target, own in targets.items())
    return (
        f"model '{start.name}' has {lines}: a new class starts from nothing, one of its own from what it knows. To use "
        f"that, write [classes] {entries} to a file and give it with --class-map"
    )


def _plain(name: str) -> str:
    """A name without case, separators and a plural's ending."""
    return "".join(character for character in name.casefold() if character.isalnum()).removesuffix("s")


def result_warnings(card: ModelCard, val: LabelledSet, evaluation: Evaluation | None) -> list[str]:
    """What to know before a new model is used: that it finds nothing, or that its thresholds are little founded.

    Args:
        card: of the best model of the run.
        val: what it was validated on.
        evaluation: of the last validation; None if a resumed run had nothing left to do.
    """
    objects = sum(int((~one.difficult).sum()) for one in val.annotations)
    if card.metrics.get("mAP50", math.nan) == 0:
        return [
            f"the model finds none of the {objects:,} objects that it was validated on (mAP50 0), so it is of no use "
            "yet; train longer (--minutes, --epochs), from a model that knows such objects (--from), or check the "
            "labels with 'lcageo data check'"
        ]
    if "mAP50" not in card.metrics:
        return [
            f"the validation data has no objects, so nothing says how good the model is: give --val (now {val.name})"
        ]
    few = {} if evaluation is None else evaluation.few_objects()
    if not few:
        return []
    listed = ", ".join(f"{name} ({count})" for name, count in few.items())
    return [
        f"validated on few objects of {listed}: below {FEW_OBJECTS}, score thresholds are drawn towards "
        f"{DetectConfig.DEFAULT_SCORE:g}; 'lcageo evaluate --layer' names the best ones for a layer that detect "
        "--keep 0.05 wrote"
    ]
