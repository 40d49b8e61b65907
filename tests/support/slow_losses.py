"""The losses of all presets as plain loops, from assignment to sums, a reference for the fast ones."""

import math
from collections.abc import Sequence

import torch
from support.slow_assign import (
    BACKGROUND,
    IGNORED,
    slow_aligned,
    slow_anchors,
    slow_atss,
    slow_fcos,
    slow_inside,
)

from lcageo.detector.assign import Places, anchor_places, point_places
from lcageo.detector.assign_geometric import encode_deltas
from lcageo.detector.boxes import flatten_map
from lcageo.detector.losses import SMOOTH_L1_BETA
from lcageo.detector.outputs import LevelOutput, Predictions
from lcageo.detector.truth import Truth
from lcageo.network_config import Preset

ALIGNED = {Preset.LCA, Preset.LCA_H}
SOFT = {Preset.LCA, Preset.LCA_SA}


def places_of(preset: Preset, outputs: Sequence[LevelOutput]) -> Places:
    maps = [output.regression for output in outputs]
    return anchor_places(maps) if preset is Preset.RETINANET else point_places(maps)


def slow_assigned(
    preset: Preset, places: Places, predictions: Predictions, i: int, truth: Truth
) -> tuple[list[int], list[float]]:
    boxes = truth.boxes_xyxy.tolist()
    if preset in SOFT:
        return slow_aligned(places, predictions.scores[i], predictions.boxes_xyxy[i], truth)
    if preset is Preset.RETINANET:
        objects = slow_anchors(places, boxes)
        return objects, [float(m >= 0) for m in objects]
    return (slow_fcos if preset is Preset.FCOS else slow_atss)(places, boxes)


def slow_losses(
    preset: Preset, outputs: Sequence[LevelOutput], predictions: Predictions, truths: Sequence[Truth]
) -> tuple[float, float, float]:
    """Class, box and centerness loss."""
    places = places_of(preset, outputs)
    number = len(truths[0].labelled)
    logits = torch.cat([flatten_map(output.class_logits, number) for output in outputs], dim=1)
    regression = torch.cat([flatten_map(output.regression, 4) for output in outputs], dim=1)
    gates = [flatten_map(o.gate_logits, 1) for o in outputs if o.gate_logits is not None]
    gate = torch.cat(gates, dim=1)[..., 0] if gates else None
    classes = boxes = centers = count = quality_sum = 0.0
    for i, truth in enumerate(truths):
        given = slow_assigned(preset, places, predictions, i, truth)
        for n, (m, quality) in enumerate(zip(*given, strict=True)):
            point = places.points_xy[n].tolist()
            spared = m == BACKGROUND and any(slow_inside(point, box) for box in truth.ignored_xyxy.tolist())
            for k in range(number):
                if m == IGNORED or spared or not truth.labelled[k]:
                    continue
                s = logits[i, n, k].sigmoid().item()
                if preset in ALIGNED:
                    s = math.sqrt(s * gate[i, n].sigmoid().item())
                hit = m >= 0 and truth.labels[m] == k
                if preset in SOFT:
                    t = quality if hit else 0.0
                    classes += (t - s) ** 2 * -(t * math.log(s) + (1 - t) * math.log(1 - s))
                else:
                    classes += -0.25 * (1 - s) ** 2 * math.log(s) if hit else -0.75 * s**2 * math.log(1 - s)
            if m < 0:
                continue
            count, quality_sum = count + 1, quality_sum + quality
            target = truth.boxes_xyxy[m]
            if preset is Preset.RETINANET:
                deltas = (regression[i, n] - encode_deltas(places.anchors_xyxy[n : n + 1], target[None])[0]).abs()
                for d in deltas.tolist():
                    boxes += d * d / 2 / SMOOTH_L1_BETA if d < SMOOTH_L1_BETA else d - SMOOTH_L1_BETA / 2
            else:
                x1, y1, x2, y2 = predictions.boxes_xyxy[i, n].tolist()
                u1, v1, u2, v2 = target.tolist()
                shared = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
                union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
                hull = (max(x2, u2) - min(x1, u1)) * (max(y2, v2) - min(y1, v1))
                boxes += quality * (1 - shared / union + (hull - union) / hull)
            if preset is Preset.FCOS:
                c = gate[i, n].sigmoid().item()
                centers += -(quality * math.log(c) + (1 - quality) * math.log(1 - c))
    weight = 1 if preset in {Preset.RETINANET, Preset.FCOS} else 2
    class_normaliser = max(quality_sum if preset in SOFT else count, 1)
    return classes / class_normaliser, weight * boxes / max(quality_sum, 1), centers / class_normaliser
