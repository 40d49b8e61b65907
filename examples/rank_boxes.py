"""Does S* rank boxes by how well they lie better than S does, and how many places teach each object?

    python examples/rank_boxes.py runs/table1/lca-baseline-s0/last runs/table1/lca-s0/last --val VHR10/val.json
        --out build/rank_boxes

Of each model, over the boxes that overlap an object by half or more, before suppression: the rank correlation of score
and IoU, and the IoU of the box that scores best, once by S (the class branch alone) and once by the final score, with
the 95 % interval of the difference; and the places that its assignment gives to objects by their size in the tile.
Writes rank_boxes.json, rank_boxes.md and rank_boxes.png: both maps over the largest object of some classes, the point
that scores best (circle) and the one whose box lies best (cross).

Source:
    The claim is the LCA-Det paper's: its S* = sqrt(S x P) is to follow localisation, which S does not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from table_one.command import models_of, run
from table_one.dense import Dense, DenseModel
from table_one.maps_picture import draw_maps
from table_one.rivals import rivals_of, summary

from lcageo.data.annotations import LabelledSet
from lcageo.metrics.coco import SIZES


def largest_of_classes(labelled: LabelledSet, count: int) -> list[tuple[int, int]]:
    """Image and place (among those that are not difficult) of the largest object of some classes, evenly over them."""
    largest: dict[int, tuple[float, int, int]] = {}
    for index, one in enumerate(labelled.annotations):
        boxes, labels = one.boxes_xyxy[~one.difficult], one.labels[~one.difficult]
        shares = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (one.width * one.height)
        for place, (label, share) in enumerate(zip(labels.tolist(), shares.tolist(), strict=True)):
            if label not in largest or share > largest[label][0]:
                largest[label] = share, index, place
    found = [largest[label][1:] for label in sorted(largest)]
    chosen = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[place] for place in chosen.tolist()]


def measured(
    model: DenseModel, labelled: LabelledSet, shown: Sequence[tuple[int, int]]
) -> tuple[dict[str, Any], list[tuple[Dense, int]]]:
    """A model's figures, and the images that are drawn of it."""
    wanted = {index for index, _ in shown}
    kept: dict[int, Dense] = {}

    def passing() -> Iterator[Dense]:
        for dense in model.run(labelled):
            if dense.index in wanted:
                kept[dense.index] = dense
            yield dense

    figures = {"preset": str(model.card.network.preset), "images": len(labelled), **summary(rivals_of(passing()))}
    return figures, [(kept[index], place) for index, place in shown]


def markdown(figures: dict[str, dict[str, Any]]) -> str:
    """Ranks and choices, then positives, a row per model."""
    lines = [
        "| model | objects | rank of S | of S* | S* - S (95 %) | IoU chosen by S | by S* | S* - S (95 %) | the best |",
        "|---" * 9 + "|",
    ]
    for name, one in figures.items():
        cells = [
            str(one["objects_ranked"]),
            _number(one["rank_of_S"]),
            _number(one["rank_of_S*"]),
            _gain(one["rank_gain"]),
            _number(one["iou_chosen_by_S"]),
            _number(one["iou_chosen_by_S*"]),
            _gain(one["iou_gain"]),
            _number(one["iou_best"]),
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += ["", f"| places an object: mean, median | {' | '.join(SIZES)} |", "|---" * (1 + len(SIZES)) + "|"]
    for name, one in figures.items():
        cells = [_places(one["positives"][size]) for size in SIZES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _gain(one: dict[str, Any]) -> str:
    if one["interval"] is None:
        return "-"
    low, high = one["interval"]
    return f"{one['mean']:+.3f} ({low:+.3f} to {high:+.3f})"


def _places(one: dict[str, Any]) -> str:
    return f"{one['mean']:.1f}, {one['median']:g} ({one['objects']} objects)" if one["objects"] else "-"


def rank_boxes(options: argparse.Namespace) -> None:
    """Measures each model and writes the three files."""
    figures, pictures = {}, []
    for card, labelled in models_of(options):
        shown = largest_of_classes(labelled, options.pictures)
        figures[card.name], picture = measured(DenseModel(card, options.device), labelled, shown)
        pictures.append(picture)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "rank_boxes.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (options.out / "rank_boxes.md").write_text(markdown(figures), encoding="utf-8")
    if pictures[0]:
        draw_maps(list(figures), pictures, options.out / "rank_boxes.png")


def main(arguments: Sequence[str] | None = None) -> None:
    run(rank_boxes, __doc__, 4, "objects", arguments)


if __name__ == "__main__":
    main()
