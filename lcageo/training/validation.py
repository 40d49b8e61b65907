"""Validates and publishes the newest and the best model of a run, as `detect` will run them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lcageo.config import BENCHMARK, Backend, DetectConfig, Precision
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset
from lcageo.data.images import read_annotated
from lcageo.detections import Detections
from lcageo.evaluation.calibrate import calibrations
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.metrics.summary import Evaluation
from lcageo.pictures.contact_sheet import SheetImage, draw_sheet
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import Predictor, load_predictor
from lcageo.training.curves import curves_available, draw_curves
from lcageo.training.log import METRICS_FILE, TrainingLog
from lcageo.training.model_folder import CURVES_FILE, LAST, SHEET_FILE, publish, update_card

if TYPE_CHECKING:
    from torch import Tensor

SHEET_IMAGES = 16
LOGGED_IMAGES = 8
"""Number of images on the picture for TensorBoard."""
AGREEMENT = 0.002
"""Maximum difference in mAP50 at which `ModelCard.precisions` lists a precision."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Result of one validation of the averaged weights."""

    step: int
    epoch: int
    evaluation: Evaluation
    is_best: bool


class Validator:
    """Publishes and validates the model of a run."""

    def __init__(self, card: ModelCard, val: LabelledSet, out: Path, device: str, batch: int, cache: bool) -> None:
        """Prepares the images; nothing is run yet.

        Args:
            card: card of the model in training, without weights and metrics.
            val: what to validate on.
            out: the run's folder.
            device: where to run.
            batch: images at a time.
            cache: whether to keep the decoded images in memory.
        """
        self._card = card
        self._val = val
        self._out = out
        self._device = device
        self._batch = batch
        densest = max((len(annotation) for annotation in val.annotations), default=0)
        # COCO keeps 100 boxes of an image; of a chip full of cars, that would hide most, and thresholds would be wrong.
        more = DetectConfig().max_per_tile if densest > BENCHMARK.max_per_tile else BENCHMARK.max_per_tile
        self._config = replace(BENCHMARK, max_per_tile=more)
        self._images = EvalDataset(val, card.tile_size, enlarge=card.enlarges, fill=card.fill)
        if cache:
            self._images.store.fill()

    def validate(
        self, weights: Mapping[str, Tensor], step: int, epoch: int, best: float, log: TrainingLog | None
    ) -> Validation:
        """Publishes `weights` as the newest model, evaluates it, and publishes it as the best if it is.

        Args:
            weights: the network's.
            step: steps done; epoch likewise.
            best: best mAP50:95 before; below 0 if there was none.
            log: the run's log, which gets figures and a picture.
        """
        card = publish(self._card, weights, self._out / LAST)
        found = self._find(self._predictor(card))
        evaluation = self._evaluated(found)
        metrics = {"data": self._val.name, "images": len(self._val), "step": step, **_plain(evaluation)}
        card = replace(
            card,
            metrics=metrics,
            thresholds=evaluation.thresholds(DetectConfig.DEFAULT_SCORE),
            calibration=calibrations([evaluation]),
        )
        update_card(card, self._out / LAST)
        is_best = best < 0 or evaluation.map50_95 > best
        if is_best:
            publish(card, weights, self._out)
        if log is not None:
            figures = {"mAP50": evaluation.map50, "mAP75": evaluation.map75, "mAP50_95": evaluation.map50_95}
            log.validation(step, epoch, figures)
            log.picture(step, "validation", np.asarray(self._sheet(card, self._chosen(LOGGED_IMAGES), found)))
        return Validation(step, epoch, evaluation, is_best)

    def finish(self) -> ModelCard:
        """Draws curves, and a picture of what the best model finds; returns its card.

        On a device that is fast in bfloat16, the model is run in it, and its card says whether the results agree.
        """
        card = replace(find_card(str(self._out)), precisions=(Precision.BF16,))
        predictor = self._predictor(card)
        found = self._find(predictor)
        if predictor.engine.precision is not Precision.BF16 or not self._agrees(found, card):
            card = replace(card, precisions=())
        update_card(card, self._out)
        self._sheet(card, self._chosen(SHEET_IMAGES), found).save(self._out / SHEET_FILE)
        if curves_available():
            draw_curves(self._out / METRICS_FILE, self._out / CURVES_FILE)
        return card

    def _agrees(self, found: list[Detections], card: ModelCard) -> bool:
        """Whether the mAP50 of these detections is that of the card; False where there are no objects to tell by."""
        difference = self._evaluated(found).map50 - card.metrics.get("mAP50", math.nan)
        return bool(abs(difference) <= AGREEMENT)

    def _predictor(self, card: ModelCard) -> Predictor:
        return load_predictor(card, kept_of_tiles(self._config), self._device, Backend.TORCH)  # a graph takes too long

    def _find(self, predictor: Predictor) -> list[Detections]:
        return find_objects(predictor, self._val, config=self._config, batch=self._batch, images=self._images)

    def _evaluated(self, found: list[Detections]) -> Evaluation:
        return evaluate_found(self._val, found, max_per_image=self._config.max_per_tile)

    def _chosen(self, count: int) -> list[int]:
        """Indices of images for a picture, evenly over the set."""
        return sorted({round(place) for place in np.linspace(0, len(self._val) - 1, count).tolist()})

    def _sheet(self, card: ModelCard, chosen: list[int], found: list[Detections]) -> Image.Image:
        """Some validation images with their truth and what was found above the card's thresholds."""
        minimum = np.array([card.threshold(name) for name in card.classes])
        images = []
        for index in chosen:
            annotation, objects = self._val.annotations[index], found[index]
            truth = Detections(annotation.boxes_xyxy, np.ones(len(annotation), np.float32), annotation.labels)
            kept = objects.selected(objects.scores > minimum[objects.labels])
            images.append(SheetImage(read_annotated(annotation), truth, kept, annotation.image.name))
        return draw_sheet(images, card.classes)


def _plain(evaluation: Evaluation) -> dict[str, Any]:
    """Figures for a card, without those that were not measured: TOML has no null."""
    figures = {"mAP50": evaluation.map50, "mAP75": evaluation.map75, "mAP50_95": evaluation.map50_95}
    return {name: round(value, 4) for name, value in figures.items() if not math.isnan(value)}
