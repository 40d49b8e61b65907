"""Evaluates a model on labelled images. Only images that are cut into tiles need the packages that read rasters."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lcageo.config import BENCHMARK, DetectConfig
from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.dataset import EvalDataset, EvalSample, to_original
from lcageo.detections import Detections
from lcageo.errors import DataError, DeviceMemoryError, SceneError
from lcageo.metrics.summary import Evaluation, evaluate_detections
from lcageo.metrics.truth import ImageTruth
from lcageo.plural import plural
from lcageo.runtime.predictor import Predictor
from lcageo.runtime.selection import written_scores

if TYPE_CHECKING:
    from lcageo.evaluation.scenes import Tiling

BATCH = 4
"""Images or tiles run at a time, unless the caller knows better."""
MAX_PER_SCENE = 10_000
"""Maximum number of objects of a scene that count: it may hold thousands of cars."""
READ_THREADS = min(8, os.cpu_count() or 1)

OnProgress = Callable[[int], object]
"""Called with the number of images finished since the last call."""
OnUnreadable = Callable[[int, DataError | SceneError], object]
"""Called with the index of an image that cannot be read, and why."""


def kept_of_tiles(config: DetectConfig) -> DetectConfig:
    """For the predictor: keeps as many objects per tile as `detect`, since the limit per image is applied later."""
    return replace(config, max_per_tile=max(config.max_per_tile, DetectConfig().max_per_tile))


def evaluate_set(
    predictor: Predictor,
    labelled: LabelledSet,
    *,
    config: DetectConfig = BENCHMARK,
    batch: int = 4,
    images: EvalDataset | None = None,
    tiling: Tiling | None = None,
    warn: Callable[[str], object] | None = None,
    on_progress: OnProgress = lambda images: None,
) -> Evaluation:
    """Runs a model over labelled images and evaluates its detections.

    Args:
        predictor: the model; its own thresholds apply.
        labelled: the images, read with the model's classes.
        config: see find_objects.
        batch: see find_objects.
        images: see find_objects.
        tiling: see find_objects.
        warn: receives a message about each image that cannot be read and is left out. None: that is an error.
        on_progress: see find_objects.

    Raises:
        DataError: if the set is empty, its classes differ from the model's, or an image cannot be read.
        SceneError: if an image in tiles cannot be read.
        DeviceMemoryError: if the device cannot hold a single image.
    """
    readable, found = find_readable(
        predictor,
        labelled,
        config=config,
        batch=batch,
        images=images,
        tiling=tiling,
        warn=warn,
        on_progress=on_progress,
    )
    return evaluate_found(readable, found, max_per_image=config.max_per_tile)


def find_readable(
    predictor: Predictor,
    labelled: LabelledSet,
    *,
    config: DetectConfig = BENCHMARK,
    batch: int = BATCH,
    images: EvalDataset | None = None,
    tiling: Tiling | None = None,
    warn: Callable[[str], object] | None = None,
    on_progress: OnProgress = lambda images: None,
) -> tuple[LabelledSet, list[Detections]]:
    """Detections as in find_objects, and the set without the images that cannot be read.

    Args and errors: as in evaluate_set.
    """
    left_out: set[int] = set()

    def leave_out(index: int, error: DataError | SceneError) -> None:
        if warn is None:
            raise error
        left_out.add(index)
        warn(f"{error}; image left out")

    found = find_objects(
        predictor,
        labelled,
        config=config,
        batch=batch,
        images=images,
        tiling=tiling,
        on_progress=on_progress,
        on_unreadable=leave_out,
    )
    dense = sum(not one.is_scene and len(one) > config.max_per_tile for one in labelled.annotations)
    if dense and warn is not None:
        what = f"{plural(dense, 'image')} of '{labelled.name}' with more than {config.max_per_tile:,} objects"
        warn(f"{what}, of which no more can be found: give more (--max-per-image)")
    kept = [index for index in range(len(labelled)) if index not in left_out]
    readable = replace(labelled, annotations=tuple(labelled.annotations[index] for index in kept))
    return readable, [found[index] for index in kept]


def evaluate_found(
    labelled: LabelledSet, found: Sequence[Detections], *, max_per_image: int = BENCHMARK.max_per_tile
) -> Evaluation:
    """Evaluates detections in labelled images.

    Args:
        labelled: the images.
        found: detections in each of them, in pixels of the original image.
        max_per_image: maximum number of objects per image and class that count; for scenes MAX_PER_SCENE.
    """
    limit = max([max_per_image, *(MAX_PER_SCENE for annotation in labelled.annotations if annotation.is_scene)])
    return evaluate_detections(labelled.classes, [as_truth(one) for one in labelled.annotations], found, limit)


def find_objects(
    predictor: Predictor,
    labelled: LabelledSet,
    *,
    config: DetectConfig = BENCHMARK,
    batch: int = BATCH,
    images: EvalDataset | None = None,
    tiling: Tiling | None = None,
    on_progress: OnProgress = lambda images: None,
    on_unreadable: OnUnreadable | None = None,
) -> list[Detections]:
    """Detections of a model in each image of a set, in pixels of the original image, best first.

    An image is processed as a whole, its longer side scaled to the model's tile; smaller images are not enlarged if
    the model was trained on images at their own resolution. Scenes are cut into tiles of the model's size at their own
    resolution, as in `detect`. With `tiling`, all images are cut.

    Args:
        predictor: the model; its own thresholds apply.
        labelled: the images, read with the model's classes.
        config: max_per_tile is the number of objects kept per image (per scene: MAX_PER_SCENE); overlap, iou and other
            settings for scenes apply to images in tiles.
        batch: maximum number of images or tiles run at a time.
        images: the set's images fitted into the model's tile, if already loaded.
        tiling: how all images are cut into tiles; None: only scenes are.
        on_progress: called with the number of images finished since the last call.
        on_unreadable: called for images that cannot be read, in which nothing is found. None: that is an error.

    Raises:
        DataError, SceneError, DeviceMemoryError: as in evaluate_set.
        ConfigError: if the overlap is not allowed.
    """
    _check(predictor, labelled)
    annotations, least = labelled.annotations, written_scores(predictor.card, config)
    found = [Detections.empty()] * len(annotations)
    in_tiles = [index for index, one in enumerate(annotations) if tiling is not None or one.is_scene]
    whole = sorted(set(range(len(annotations))) - set(in_tiles))
    if images is None:
        card = predictor.card
        images = EvalDataset(labelled, card.tile_size, enlarge=card.enlarges, fill=card.fill)
    with closing(_read_ahead(images, whole, on_unreadable, on_progress, ahead=2 * batch)) as samples:
        for some in _batches(samples, batch):
            detections = _predict(predictor, np.stack([sample.image.numpy() for sample in some]))
            for sample, one in zip(some, detections, strict=True):
                enough = one.selected(one.scores > least[one.labels])  # others are hints for scenes
                best = enough.selected(slice(config.max_per_tile))  # as if the predictor had kept no more
                found[sample.index] = _in_original(best, sample, annotations[sample.index])
            on_progress(len(some))
    if in_tiles:
        from lcageo.evaluation.scenes import find_in_tiles  # needs rasterio, which a trainer may lack

    for index in in_tiles:
        limit = MAX_PER_SCENE if annotations[index].is_scene else config.max_per_tile
        try:
            found[index] = find_in_tiles(annotations[index], predictor, config, batch, tiling).selected(slice(limit))
        except (DataError, SceneError) as error:
            _handle(on_unreadable, index, error)
        on_progress(1)
    return found


def as_truth(annotation: Annotation) -> ImageTruth:
    """An annotation as ground truth for the metrics."""
    return ImageTruth(
        annotation.width,
        annotation.height,
        annotation.boxes_xyxy,
        annotation.labels,
        annotation.difficult,
        annotation.labelled_classes,
    )


def _check(predictor: Predictor, labelled: LabelledSet) -> None:
    if labelled.classes != predictor.card.classes:
        raise DataError(
            f"'{labelled.name}' was read with the classes {', '.join(labelled.classes)}, but model "
            f"'{predictor.card.name}' has {', '.join(predictor.card.classes)}; read it with the model's classes"
        )
    if not len(labelled):
        raise DataError(f"'{labelled.name}' has no usable image to evaluate; run 'lcageo data check' to see why")


def _read_ahead(
    images: EvalDataset,
    indices: Iterable[int],
    on_unreadable: OnUnreadable | None,
    on_progress: OnProgress,
    ahead: int,
) -> Generator[EvalSample, None, None]:
    """The images at `indices` that can be read, in order, while threads read those that follow."""
    waiting: deque[tuple[int, Future[EvalSample]]] = deque()
    rest = iter(indices)
    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="lcageo-read") as pool:
        try:
            while True:
                while len(waiting) <= max(ahead, READ_THREADS) and (index := next(rest, None)) is not None:
                    waiting.append((index, pool.submit(images.__getitem__, index)))
                if not waiting:
                    return
                index, sample = waiting.popleft()
                try:
                    yield sample.result()
                except DataError as error:
                    _handle(on_unreadable, index, error)
                    on_progress(1)
        finally:
            for _, future in waiting:
                future.cancel()


def _handle(on_unreadable: OnUnreadable | None, index: int, error: DataError | SceneError) -> None:
    if on_unreadable is None:
        raise error
    on_unreadable(index, error)


def _batches(samples: Iterable[EvalSample], size: int) -> Generator[list[EvalSample], None, None]:
    some: list[EvalSample] = []
    for sample in samples:
        some.append(sample)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _predict(predictor: Predictor, images: NDArray[np.uint8]) -> list[Detections]:
    """Detections in each of (B, 3, S, S); the batch is halved while it does not fit the device's memory."""
    try:
        return predictor.predict(images)
    except DeviceMemoryError:
        if len(images) == 1:
            raise
        half = len(images) // 2
        return _predict(predictor, images[:half]) + _predict(predictor, images[half:])


def _in_original(detections: Detections, sample: EvalSample, annotation: Annotation) -> Detections:
    """Detections in the original image's pixels, clipped at its border; those entirely in the padding are dropped."""
    limits = np.array([annotation.width, annotation.height] * 2, np.float64)
    boxes = np.clip(to_original(detections.boxes_xyxy, sample.scale_xy), 0.0, limits)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections(boxes, detections.scores, detections.labels).selected(np.asarray(inside, np.bool_))
