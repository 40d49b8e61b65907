"""A network's dense outputs for an image, before suppression, compared with the image's objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.dataset import EvalDataset, EvalSample
from lcageo.detector.assign import anchor_places, lies_inside, point_places
from lcageo.detector.assign_aligned import assign_aligned
from lcageo.detector.boxes import clip_boxes, flatten_map, pairwise_iou
from lcageo.detector.criterion import OBJECTIVES
from lcageo.detector.network import Network
from lcageo.detector.truth import Truth
from lcageo.metrics.truth import Floats, Index
from lcageo.network_config import Preset
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.torch_backend import torch_device
from lcageo.runtime.weights import load_network


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """One image's N locations against its M objects (annotated, not difficult); coordinates are tile pixels."""

    index: int
    """Index of the image in its set."""
    pixels: NDArray[np.uint8]
    """(S, S, 3), the network's input."""
    objects_xyxy: Floats
    """(M, 4)."""
    labels: Index
    """(M,)."""
    boxes_xyxy: Floats
    """(N, 4) final boxes, B* where the head aligns them, clipped to the tile."""
    points_xy: Floats
    """(N, 2) centres of the locations' cells."""
    level_sizes: tuple[int, ...]
    """Number of locations of each level, finest first; they add up to N."""
    class_scores: Floats
    """(M, N) S: the class branch's score for each object's class."""
    scores: Floats
    """(M, N) the score that ranks detections: S*, or S in presets without S*."""
    iou: Floats
    """(M, N) IoU of the final boxes with the objects."""
    inside: NDArray[np.bool_]
    """(M, N) whether the point is inside the object."""
    positives: Index
    """(M,) number of locations that the preset's assignment gives each object."""


class DenseModel:
    """A trained model that returns its dense outputs."""

    def __init__(self, card: ModelCard, device: str = "auto") -> None:
        self.card = card
        self._device = torch_device(device)
        self._network = load_network(card).to(self._device)

    def run(self, labelled: LabelledSet) -> Iterator[Dense]:
        """Yields the images of a set in order, one at a time, so that any set fits into memory."""
        images = EvalDataset(labelled, self.card.tile_size, enlarge=self.card.enlarges, fill=self.card.fill)
        for index, annotation in enumerate(labelled.annotations):
            yield self._of_image(images[index], annotation)

    def _of_image(self, sample: EvalSample, annotation: Annotation) -> Dense:
        mean, std = (torch.tensor(v, device=self._device)[:, None, None] for v in (self.card.mean, self.card.std))
        truth = _truth(annotation, sample.scale_xy, len(self.card.classes)).to(self._device)
        with torch.inference_mode():
            images = (sample.image.to(self._device).float() - mean) / std
            return _dense(self._network, self.card.own_network.preset, images, truth, sample)


def _truth(annotation: Annotation, scale_xy: tuple[float, float], classes: int) -> Truth:
    """The objects of an image in tile pixels; difficult ones are ignored."""
    boxes = torch.from_numpy(annotation.boxes_xyxy / np.array([*scale_xy, *scale_xy], np.float32))
    difficult, labels = torch.from_numpy(annotation.difficult), torch.from_numpy(annotation.labels)
    labelled = torch.zeros(classes, dtype=torch.bool)
    labelled[list(annotation.labelled_classes)] = True
    return Truth(boxes[~difficult], labels[~difficult], labelled, boxes[difficult])


def _dense(network: Network, preset: Preset, image: torch.Tensor, truth: Truth, sample: EvalSample) -> Dense:
    """Runs and decodes the network, assigns as in training, and compares the outputs with the objects."""
    outputs = network(image[None])
    predictions = network.decode(outputs)
    objective = OBJECTIVES[preset]
    places = (anchor_places if objective.deltas else point_places)([output.regression for output in outputs])
    scores, raw_boxes = predictions.scores[0], predictions.boxes_xyxy[0]
    if objective.assign is None:
        assignment = assign_aligned(places, scores, raw_boxes, truth)
    else:
        assignment = objective.assign(places, truth)
    boxes = clip_boxes(raw_boxes, *image.shape[-2:])
    logits = torch.cat([flatten_map(output.class_logits, scores.shape[-1]) for output in outputs], dim=1)[0]
    count = len(truth.labels)
    return Dense(
        index=sample.index,
        pixels=sample.image.numpy().transpose(1, 2, 0),
        objects_xyxy=_array(truth.boxes_xyxy),
        labels=truth.labels.cpu().numpy(),
        boxes_xyxy=_array(boxes),
        points_xy=_array(places.points_xy),
        level_sizes=places.level_sizes,
        class_scores=_array(logits.sigmoid()[:, truth.labels].T),
        scores=_array(scores[:, truth.labels].T),
        iou=_array(pairwise_iou(truth.boxes_xyxy, boxes)),
        inside=lies_inside(places.points_xy, truth.boxes_xyxy).cpu().numpy(),
        positives=np.bincount(assignment.objects[assignment.objects >= 0].cpu().numpy(), minlength=count),
    )


def _array(values: torch.Tensor) -> Floats:
    return values.double().cpu().numpy()
