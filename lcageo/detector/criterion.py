"""Losses from a network's outputs and the truth: what each preset assigns, compares and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from lcageo.detector.assign import BACKGROUND, IGNORED, Assignment, Places, anchor_places, lies_inside, point_places
from lcageo.detector.assign_aligned import assign_aligned
from lcageo.detector.assign_geometric import assign_anchors, assign_atss, assign_fcos, encode_deltas
from lcageo.detector.boxes import flatten_map
from lcageo.detector.losses import (
    LogScores,
    aligned_scores,
    centerness_loss,
    delta_loss,
    focal_loss,
    giou_loss,
    plain_scores,
    quality_focal_loss,
)
from lcageo.detector.outputs import LevelOutput, Predictions
from lcageo.detector.truth import Truth
from lcageo.network_config import Preset


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of a batch, weighted and divided by their normalisers; all () tensors, at least float32."""

    class_loss: Tensor
    box_loss: Tensor
    centerness_loss: Tensor | None
    """FCOS only."""
    class_normaliser: Tensor
    """Divisor of the class and centerness losses: sum of t (LCA-SA) or number of places with an object, at least 1;
    summed over all devices and divided by their number."""
    box_normaliser: Tensor
    """The same for the box loss: the sum of its weights, the qualities."""

    @property
    def total(self) -> Tensor:
        """The loss that training minimises."""
        total = self.class_loss + self.box_loss
        return total if self.centerness_loss is None else total + self.centerness_loss

    @classmethod
    def mean(cls, parts: Sequence[Losses]) -> Losses:
        """The means over a batch's parts, field by field, detached."""

        def mean_of(tensors: Sequence[Tensor]) -> Tensor:
            return torch.stack([tensor.detach() for tensor in tensors]).mean()

        centerness = [part.centerness_loss for part in parts if part.centerness_loss is not None]
        return cls(
            mean_of([part.class_loss for part in parts]),
            mean_of([part.box_loss for part in parts]),
            mean_of(centerness) if centerness else None,
            mean_of([part.class_normaliser for part in parts]),
            mean_of([part.box_normaliser for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Objective:
    """The training objective of one preset."""

    assign: Callable[[Places, Truth], Assignment] | None
    """Assignment by geometry, with hard class targets and focal loss. None: LCA-SA, with targets t and quality loss."""
    aligned: bool = False
    """Whether the class loss is computed on S* instead of sigmoid(class logit)."""
    deltas: bool = False
    """Whether places are anchors and the box loss is smooth L1 on their deltas, instead of GIoU on decoded boxes."""
    centerness: bool = False
    """Whether the gate learns the quality with its own loss."""
    box_weight: float = 2.0


# LCA-DET.md, section 3. Box weights: the papers of RetinaNet and FCOS add their losses unweighted.
OBJECTIVES: dict[Preset, Objective] = {
    Preset.RETINANET: Objective(assign_anchors, deltas=True, box_weight=1.0),
    Preset.FCOS: Objective(assign_fcos, centerness=True, box_weight=1.0),
    Preset.LCA_BASELINE: Objective(assign_atss),
    Preset.LCA_BASELINE_4X4: Objective(assign_atss),
    Preset.LCA_H: Objective(assign_atss, aligned=True),
    Preset.LCA_SA: Objective(None),
    Preset.LCA: Objective(None, aligned=True),
}

_GEOMETRIC = {Preset.LCA_SA: Preset.LCA_BASELINE, Preset.LCA: Preset.LCA_H}
"""The preset with the same head whose assignment is geometric."""


def compute_losses(
    preset: Preset,
    outputs: Sequence[LevelOutput],
    predictions: Predictions,
    truths: Sequence[Truth],
    *,
    geometric: bool = False,
    iou_power: float | None = None,
) -> Losses:
    """The losses of a batch.

    With torch.distributed, every process must call this once for each of its batches, including those without
    objects: the normalisers are summed over all processes.

    Args:
        preset: the one that the network was built for.
        outputs: of `Network.forward`, B images.
        predictions: of `Network.decode` on these outputs, with gradient.
        truths: one per image, on the device of the outputs. Objects of classes that an image is not annotated for
            are left out, and so are the scores of these classes and places without an object inside ignored boxes.
        geometric: for a warm-up, assign `lca-sa` and `lca` like `lca-baseline` and `lca-h`; nothing else changes.
        iou_power: beta of the assignment of `lca-sa` and `lca`; None: the usual one.
    """
    objective = OBJECTIVES[_GEOMETRIC.get(preset, preset) if geometric else preset]
    truths = [truth.of_labelled_classes() for truth in truths]
    places = (anchor_places if objective.deltas else point_places)([output.regression.detach() for output in outputs])
    assignments = _assigned(objective, places, predictions, truths, iou_power)
    matched = _matched(outputs, predictions, places, truths, assignments)

    soft = objective.assign is None
    amounts = torch.stack((_total_quality(assignments) if soft else _count(assignments), _total_quality(assignments)))
    class_normaliser, box_normaliser = _shared(amounts).unbind()

    box_losses = _delta_losses(matched) if objective.deltas else giou_loss(matched.boxes_xyxy, matched.truth_xyxy)
    centerness = _centerness_sum(matched) / class_normaliser if objective.centerness else None
    return Losses(
        _class_sum(objective, outputs, predictions.scores.shape[-1], truths, assignments) / class_normaliser,
        objective.box_weight * (box_losses * matched.quality).sum() / box_normaliser,
        centerness,
        class_normaliser,
        box_normaliser,
    )


@dataclass(frozen=True, slots=True)
class _Matched:
    """The P places with an object, of all images together; P = 0 keeps the losses in the graph."""

    boxes_xyxy: Tensor
    """(P, 4) decoded."""
    regression: Tensor
    """(P, 4) raw."""
    gate_logits: Tensor | None
    """(P,), where the head has them."""
    anchors_xyxy: Tensor
    """(P, 4)."""
    truth_xyxy: Tensor
    """(P, 4)."""
    quality: Tensor
    """(P,)."""


def _assigned(
    objective: Objective,
    places: Places,
    predictions: Predictions,
    truths: Sequence[Truth],
    iou_power: float | None,
) -> list[Assignment]:
    """The assignment of each image."""
    if objective.assign is not None:
        assignments = [objective.assign(places, truth) for truth in truths]
    else:
        scores, boxes = predictions.scores.detach(), predictions.boxes_xyxy.detach()
        each = zip(scores, boxes, truths, strict=True)
        assignments = [assign_aligned(places, s, b, truth, iou_power) for s, b, truth in each]
    return [_without_difficult(places, truth, given) for truth, given in zip(truths, assignments, strict=True)]


def _without_difficult(places: Places, truth: Truth, assignment: Assignment) -> Assignment:
    """Ignores the background inside difficult objects, where detections count as neither right nor wrong."""
    if len(truth.ignored_xyxy) == 0:
        return assignment
    inside = lies_inside(places.points_xy, truth.ignored_xyxy).any(dim=0)
    objects = assignment.objects
    return replace(assignment, objects=torch.where((objects == BACKGROUND) & inside, IGNORED, objects))


def _matched(
    outputs: Sequence[LevelOutput],
    predictions: Predictions,
    places: Places,
    truths: Sequence[Truth],
    assignments: Sequence[Assignment],
) -> _Matched:
    """Places with an object, gathered from all images."""
    objects = torch.stack([assignment.objects for assignment in assignments])  # (B, N)
    image, place = (objects >= 0).nonzero(as_tuple=True)  # (P,), image by image
    truth_xyxy = [
        truth.boxes_xyxy[assignment.objects[assignment.objects >= 0]]
        for truth, assignment in zip(truths, assignments, strict=True)
    ]
    quality = torch.stack([assignment.quality for assignment in assignments])
    gates = [flatten_map(output.gate_logits, 1) for output in outputs if output.gate_logits is not None]
    return _Matched(
        boxes_xyxy=predictions.boxes_xyxy[image, place],
        regression=torch.cat([flatten_map(output.regression, 4) for output in outputs], dim=1)[image, place],
        gate_logits=torch.cat(gates, dim=1)[image, place, 0] if gates else None,
        anchors_xyxy=places.anchors_xyxy[place],
        truth_xyxy=torch.cat(truth_xyxy),
        quality=quality[image, place],
    )


def _class_sum(
    objective: Objective,
    outputs: Sequence[LevelOutput],
    num_classes: int,
    truths: Sequence[Truth],
    assignments: Sequence[Assignment],
) -> Tensor:
    """Class loss, summed over all places and labelled classes."""
    soft = objective.assign is None
    scores = _log_scores(objective, outputs, num_classes)  # (B, N, K)
    targets, weights = scores.log_score.new_zeros(scores.log_score.shape), []
    for i, (truth, assignment) in enumerate(zip(truths, assignments, strict=True)):
        found = (assignment.objects >= 0).nonzero()[:, 0]
        values = assignment.quality[found] if soft else torch.ones_like(assignment.quality[found])
        targets[i, found, truth.labels[assignment.objects[found]]] = values.to(targets.dtype)
        weights.append((assignment.objects != IGNORED)[:, None] & truth.labelled)  # (N, K)
    losses = quality_focal_loss(scores, targets) if soft else focal_loss(scores, targets)
    return (losses * torch.stack(weights)).sum()


def _log_scores(objective: Objective, outputs: Sequence[LevelOutput], num_classes: int) -> LogScores:
    """All levels' scores (B, N, K) as logarithms."""
    logits = torch.cat([flatten_map(output.class_logits, num_classes) for output in outputs], dim=1)
    if not objective.aligned:
        return plain_scores(logits)
    gates = [flatten_map(output.gate_logits, 1) for output in outputs if output.gate_logits is not None]
    return aligned_scores(logits, torch.cat(gates, dim=1))


def _delta_losses(matched: _Matched) -> Tensor:
    """(P,), RetinaNet's box loss."""
    return delta_loss(matched.regression, encode_deltas(matched.anchors_xyxy, matched.truth_xyxy))


def _centerness_sum(matched: _Matched) -> Tensor:
    """FCOS's centerness loss, summed."""
    assert matched.gate_logits is not None, "FCOS outputs hold centerness"
    return centerness_loss(matched.gate_logits, matched.quality).sum()


def _total_quality(assignments: Sequence[Assignment]) -> Tensor:
    return torch.stack([assignment.quality.sum() for assignment in assignments]).sum()


def _count(assignments: Sequence[Assignment]) -> Tensor:
    """Number of places with an object, as a floating tensor."""
    total = torch.stack([(assignment.objects >= 0).sum() for assignment in assignments]).sum()
    return total.to(assignments[0].quality.dtype)


def _shared(amounts: Tensor) -> Tensor:
    """Amounts summed over all processes, at least 1, divided by the number of processes.

    Gradients are averaged over processes (DistributedDataParallel), so that dividing by this share gives what one
    process would give for all images. The minimum of 1 applies to the sum: applied by each process, it would count
    several times.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return amounts.clamp(min=1)
    amounts = amounts.clone()
    dist.all_reduce(amounts)
    return amounts.clamp(min=1) / dist.get_world_size()
