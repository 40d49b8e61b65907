"""The labelled images of a training run: read, checked, split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcageo.data.annotations import REMARKS, Annotation, LabelledSet, Problem, ProblemKind, SplitName, refuse
from lcageo.data.augment import AugmentConfig
from lcageo.data.check import image_problems, without_images
from lcageo.data.classmap import ClassMap, load_class_map, without_names_of_one
from lcageo.data.pixels import Colour
from lcageo.data.sets import Naming, read_sets, splits_in
from lcageo.errors import DataError, UsageError
from lcageo.plural import plural
from lcageo.training.config import TrainConfig

HELD_OUT_SHARE = 0.1
"""Share of the images held out if no validation data is given."""
PROBLEMS_SHOWN = 3
IGNORED_TOLD = 0.25
"""Share of objects to be ignored from which on a warning says so."""
NEAR_GSD = 0.2
"""How far a scene's resolution may differ from the images', relatively: crops are scaled by more than that."""
LARGE_OBJECT_QUANTILE = 0.95
"""Quantile of the object sizes that tiles must overlap by: with the maximum, tiles would hardly advance."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Training and validation data of a run, with one list of classes."""

    train: LabelledSet
    val: LabelledSet

    @property
    def identity(self) -> dict[str, Any]:
        """Identifies this data: classes, and digests of the images' names, labels and objects, also of validation."""
        return {"classes": list(self.classes), "digest": _digest(self.train), "val": _digest(self.val)}

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes to learn."""
        return self.train.classes


def _digest(labelled: LabelledSet) -> str:
    digest = hashlib.sha256()
    for annotation in labelled.annotations:
        digest.update(annotation.image.name.encode())
        digest.update(repr(annotation.labelled_classes).encode())
        for part in (annotation.boxes_xyxy, annotation.labels, annotation.difficult):
            digest.update(part.tobytes())
    return digest.hexdigest()


def load_training_data(
    config: TrainConfig,
    strict: bool,
    warn: Callable[[str], object],
    on_image: Callable[[int, int], object] = lambda done, total: None,
) -> TrainingData:
    """Reads and decodes everything once, so that nothing fails later.

    Invalid records and images are left out with a warning. Without validation data, the set's own split is used
    (val; with trainval, test), else a tenth of the images is held out.

    Args:
        config: the run.
        strict: fail on invalid records and images instead.
        warn: receives messages for the user.
        on_image: called with the number of images checked, and of all images.

    Raises:
        DataError: if data cannot be read, or is invalid and `strict`.
        UsageError: if no data is given.
    """
    if not config.data:
        raise UsageError(
            "training needs --data: a data set, such as a COCO file (.json), a YOLO data.yaml, a folder of VOC XML "
            "files, or the folder of 'lcageo chips'"
        )
    class_map = load_class_map(Path(config.class_map)) if config.class_map else None
    split, naming = SplitName(config.split), _naming(config)
    # The command that chips prints names the labels' own classes, also where a map then merges them.
    classes = tuple(dict.fromkeys(map(class_map.target, config.classes))) if class_map else config.classes
    train = read_sets(_paths(config.data), split, classes or None, class_map, strict, naming)
    _refuse_unknown(classes, train)
    val = _validation(config, train.classes, class_map, strict)
    if val is not None:
        train, val = without_names_of_one([train, val])
    total = len(train) + (len(val) if val is not None else 0)
    checked = _Counter(total, on_image)
    train = _checked(train, strict, warn, checked, chosen=bool(config.classes))
    if val is None:
        train, val = held_out(train, config.seed)
        images = f"{plural(len(val), 'image')} of {len(train) + len(val):,}"
        warn(f"no validation data was given (--val): {images} held out for it")
        if any(annotation.gsd_m is not None for annotation in val.annotations):
            what = "where images overlap, as chips do, figures of those held out are too good"
            warn(f"{what}; cut some apart (lcageo chips --val 0.2)")
    else:
        val = _checked(val, strict, warn, checked, chosen=bool(config.classes))
    for name, part in (("training", train), ("validation", val)):
        if not len(part):
            raise DataError(f"the {name} data, {part.name}, has no usable image; 'lcageo data check' shows why")
        _tell_ignored(part, name, warn)
    return TrainingData(train, val)


def _tell_ignored(part: LabelledSet, name: str, warn: Callable[[str], object]) -> None:
    """Warns where many objects do not count, and refuses training data of which none does."""
    objects = sum(map(len, part.annotations))
    ignored = sum(int(annotation.difficult.sum()) for annotation in part.annotations)
    if not ignored > IGNORED_TOLD * objects:
        return
    what = f"{ignored:,} of {plural(objects, 'object')} in the {name} data are marked as crowds, difficult or ignored"
    if ignored == objects and name == "training":
        raise DataError(f"{what}: none is left; remove these marks from {part.name}")
    warn(f"{what}: they are neither objects nor background")


def augmentation(config: TrainConfig, fill: Colour) -> AugmentConfig:
    """How a run's crops are drawn; `fill` is the colour beyond an image's border."""
    usual = AugmentConfig()
    return AugmentConfig(
        crop_size=config.crop_size,
        max_image_side=None if config.native else round(config.imgsz * config.scale[1]),  # larger ones are not needed
        long_side=None if config.native else config.imgsz,
        scale_range=config.scale,
        mosaic_share=config.mosaic,
        turns_and_flips=config.turns,
        brightness=usual.brightness * config.colour,
        contrast=usual.contrast * config.colour,
        saturation=usual.saturation * config.colour,
        haze=usual.haze * config.colour,
        background_share=config.background,
        class_balance=config.class_balance,
        sparse_balance=1 - config.class_balance,
        fill=fill,
    )


def largest_object_px(annotations: Sequence[Annotation], config: TrainConfig) -> int | None:
    """The side, in tile pixels, that nearly all objects stay below; at most half a tile."""
    sides = [
        (annotation.boxes_xyxy[:, 2:] - annotation.boxes_xyxy[:, :2]).max(axis=1) * _unit(annotation, config)
        for annotation in annotations
    ]
    every = np.concatenate([np.zeros(0), *sides])
    return min(int(np.ceil(np.quantile(every, LARGE_OBJECT_QUANTILE))), config.imgsz // 2) if len(every) else None


def seen_gsd_m(annotations: Sequence[Annotation], config: TrainConfig) -> tuple[float, float] | None:
    """Minimum and maximum metres per pixel at which images are seen, with a margin; None if one is unknown."""
    seen = [annotation.gsd_m / _unit(annotation, config) for annotation in annotations if annotation.gsd_m is not None]
    if not seen or len(seen) < len(annotations):
        return None
    return min(seen) * (1 - NEAR_GSD), max(seen) * (1 + NEAR_GSD)


def _unit(annotation: Annotation, config: TrainConfig) -> float:
    """Pixels at scale 1 per pixel of an image."""
    is_own = annotation.is_scene or config.native
    return 1.0 if is_own else config.imgsz / max(annotation.width, annotation.height)


def held_out(labelled: LabelledSet, seed: int) -> tuple[LabelledSet, LabelledSet]:
    """The set without, and with only, a tenth of its images, drawn by `seed`; at least one image each.

    An image with several records, of which each says something else, is in one of them only.
    """
    images = list(dict.fromkeys(annotation.image for annotation in labelled.annotations))
    count = len(images)
    if count < 2:
        raise DataError(f"'{labelled.name}' has {plural(count, 'usable image')}, too few to hold one out; use --val")
    drawn = np.random.default_rng(seed).permutation(count)[: max(1, round(count * HELD_OUT_SHARE))]
    chosen = {images[index] for index in drawn.tolist()}
    kept = tuple(annotation for annotation in labelled.annotations if annotation.image not in chosen)
    held = tuple(annotation for annotation in labelled.annotations if annotation.image in chosen)
    return (
        LabelledSet(labelled.name, labelled.classes, kept, labelled.problems),
        LabelledSet(f"a tenth of {labelled.name}", labelled.classes, held),
    )


def _validation(
    config: TrainConfig, classes: Sequence[str], class_map: ClassMap | None, strict: bool
) -> LabelledSet | None:
    split, naming = SplitName.TEST if config.split == SplitName.TRAINVAL else SplitName.VAL, _naming(config)
    sources = _paths(config.val) or [one for one in _paths(config.data) if split in splits_in(one, naming)]
    return read_sets(sources, split, classes, class_map, strict, naming) if sources else None


def _naming(config: TrainConfig) -> Naming:
    images = None if config.images is None else Path(config.images)
    return Naming(images, config.data_format)


def _refuse_unknown(classes: Sequence[str], labelled: LabelledSet) -> None:
    """Refuses a requested class that no set has, which is likely a typo."""
    named = _named(labelled)
    asked = {f"class {name!r}" for name in classes if name not in named}
    for problem in labelled.problems:
        if problem.kind is ProblemKind.UNKNOWN_CLASS and problem.where in asked:
            raise DataError(str(problem))


def _named(labelled: LabelledSet) -> set[str]:
    """Names of the classes that an object has; a map may name others for them that no set has."""
    labels = {label for annotation in labelled.annotations for label in annotation.labels.tolist()}
    return {labelled.classes[label] for label in labels}


def _paths(sources: Sequence[str]) -> list[Path]:
    return [Path(source) for source in sources]


def _checked(
    labelled: LabelledSet,
    strict: bool,
    warn: Callable[[str], object],
    on_image: Callable[[int], object],
    chosen: bool,
) -> LabelledSet:
    """The set without invalid records and images, which are reported; classes left out are not if `chosen` is set."""
    broken = image_problems(labelled, progress=on_image)
    problems = (*labelled.problems, *broken)
    if strict:
        refuse([problem for problem in problems if problem.kind not in REMARKS])
    told = [p for p in problems if not (chosen and p.kind is ProblemKind.CLASS_LEFT_OUT)]
    _report(sorted(told, key=lambda problem: problem.kind in REMARKS), warn)  # faults first: only some are shown
    return without_images(labelled, broken)


def _report(problems: Sequence[Problem], warn: Callable[[str], object]) -> None:
    """Reports the first few problems of a set, and how many more there are."""
    for problem in problems[:PROBLEMS_SHOWN]:
        warn(str(problem))
    if len(problems) > PROBLEMS_SHOWN:
        warn(f"{len(problems) - PROBLEMS_SHOWN} more problems with the data; 'lcageo data check' lists them all")


class _Counter:
    def __init__(self, total: int, on_image: Callable[[int, int], object]) -> None:
        self._done, self._total, self._on_image = 0, total, on_image

    def __call__(self, count: int) -> None:
        self._done += count
        self._on_image(self._done, self._total)
