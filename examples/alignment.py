"""Do the surest boxes of a detector lie best? Score against IoU, and the distance between each object's best points.

    python examples/alignment.py runs/table1/lca-baseline-s0/last runs/table1/lca-s0/last --val VHR10/val.json
        --out build/alignment

Of each model: the correlation between score and IoU of the boxes that are kept after suppression (of all, and of those
on an object), and, before suppression, how far the point that scores best for an object lies from the one whose box
fits it best, in object sizes. Writes alignment.json, alignment.md and alignment.png, which shows both points on images
with few objects, evenly over the set.

Source:
    The LCA-Det paper's Fig. 1, which draws the two points; Feng et al., "TOOD", section 4, which correlates ranks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from table_one.command import models_of, run
from table_one.peaks import Peaks, find_peaks, score_and_iou, summary
from table_one.peaks_picture import Column, Shown, draw

from lcageo.config import STRIDES, Backend
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset, EvalSample
from lcageo.detector.boxes import cell_centres
from lcageo.detector.network import Network
from lcageo.metrics.truth import Floats, counted
from lcageo.pipeline.evaluate import BENCHMARK, as_truth, find_objects, kept_of_tiles
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.torch_backend import torch_device
from lcageo.runtime.weights import load_network

MOST_OBJECTS, LEAST_SIDE_PX = 6, 24
"""Of images that are shown: more objects, or smaller ones in a tile, would hide each other's points."""


def points_of(side: int, places: int) -> Floats:
    """(places, 2) the points that a network's places in a square image stand for, levels one after the other.

    Args:
        side: of the image, pixels.
        places: of all levels; each cell has as many.
    """
    maps = [torch.zeros(-(-side // stride), -(-side // stride), dtype=torch.float64) for stride in STRIDES]
    centres = [cell_centres(one, stride).flatten(1).T.numpy() for one, stride in zip(maps, STRIDES, strict=True)]
    cells = np.concatenate(centres)
    return np.repeat(cells, places // len(cells), axis=0)


def peaks_in(network: Network, card: ModelCard, labelled: LabelledSet, sample: EvalSample) -> Peaks:
    """The peaks of an image's objects; difficult ones do not count."""
    device = next(network.parameters()).device
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (card.mean, card.std))
    with torch.inference_mode():
        predictions = network.predict((sample.image.to(device).float()[None] - mean) / std)
    scores, boxes = (part[0].cpu().numpy().astype(np.float64) for part in predictions[:2])
    annotation = labelled.annotations[sample.index]
    wide, high = annotation.width / sample.scale_xy[0], annotation.height / sample.scale_xy[1]
    boxes = np.clip(boxes, 0.0, [wide, high, wide, high])
    objects = (annotation.boxes_xyxy / np.tile(sample.scale_xy, 2))[~annotation.difficult]
    points = points_of(card.tile_size, len(scores))
    return find_peaks(scores, boxes, points, objects, annotation.labels[~annotation.difficult])


def chosen(labelled: LabelledSet, count: int, tile: int) -> list[int]:
    """Images to show, evenly over those with few and large objects."""
    fitting = []
    for index, one in enumerate(labelled.annotations):
        sides = (one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2]) * tile / max(one.width, one.height)
        if 1 <= len(one) <= MOST_OBJECTS and sides.min() >= LEAST_SIDE_PX:
            fitting.append(index)
    places = np.linspace(0, len(fitting) - 1, min(count, len(fitting))).round().astype(int)
    return [fitting[place] for place in places.tolist()]


def measured(card: ModelCard, labelled: LabelledSet, pictures: int, device: str) -> tuple[dict[str, Any], Column]:
    """A model's figures, and what is drawn of it."""
    images = EvalDataset(labelled, card.tile_size, fill=card.fill)
    predictor = load_predictor(card, kept_of_tiles(BENCHMARK), device, Backend.TORCH)
    found = find_objects(predictor, labelled, images=images)
    truths = [as_truth(annotation) for annotation in labelled.annotations]
    scores, ious = score_and_iou(counted(len(card.classes), truths, found, BENCHMARK.max_per_tile))
    network = load_network(card).to(torch_device(device))
    peaks, shown = [], []
    to_show = chosen(labelled, pictures, card.tile_size)
    for index, annotation in enumerate(labelled.annotations):
        sample = images[index]
        peaks.append(peaks_in(network, card, labelled, sample))
        if index in to_show:
            wide, high = round(annotation.width / sample.scale_xy[0]), round(annotation.height / sample.scale_xy[1])
            pixels = sample.image.numpy().transpose(1, 2, 0)[:high, :wide]
            shown.append(Shown(f"{annotation.image.name}, {peaks[-1].distance.mean():.2f}", pixels, peaks[-1]))
    figures = summary(scores, ious, joined(peaks))
    title = f"{card.name}\nSpearman {_number(figures['kept_boxes']['spearman'])}"
    return figures, Column(title, scores, ious, tuple(shown))


def joined(parts: Sequence[Peaks]) -> Peaks:
    """The peaks of several images together."""
    names = [entry.name for entry in fields(Peaks)]
    return Peaks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def markdown(figures: dict[str, dict[str, Any]]) -> str:
    """A row per model."""
    lines = [
        "| model | Pearson, all kept boxes | Spearman | Pearson, those on an object | Spearman | distance, mean "
        "| median | same place | IoU of the best-scored | of the best-located |",
        "|---" * 10 + "|",
    ]
    for name, one in figures.items():
        correlations = [one[which][kind] for which in _KEPT for kind in ("pearson", "spearman")]
        cells = [*correlations, *[one[entry] for entry in _OF_PEAKS]]
        lines.append(f"| `{name}` | {' | '.join(map(_number, cells))} |")
    return "\n".join([*lines, ""])


_KEPT = ("kept_boxes", "kept_boxes_on_objects")
_OF_PEAKS = ("distance_mean", "distance_median", "same_place_share", "best_scored_iou", "best_located_iou")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def alignment(options: argparse.Namespace) -> None:
    """Measures each model and writes the three files."""
    figures, columns = {}, []
    for card, labelled in models_of(options):
        figures[card.name], column = measured(card, labelled, options.pictures, options.device)
        columns.append(column)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "alignment.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (options.out / "alignment.md").write_text(markdown(figures), encoding="utf-8")
    draw(columns, options.out / "alignment.png")


def main(arguments: Sequence[str] | None = None) -> None:
    run(alignment, __doc__, 3, "images", arguments)


if __name__ == "__main__":
    main()
