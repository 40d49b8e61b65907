"""The metrics of agreement as Markdown, with a row per model or, over several seeds, per system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lcageo.metrics.coco import SIZES

_Columns = Mapping[str, Callable[[dict[str, Any]], Any]]
"""Column titles, and how to get the cell from a seed's metrics: a number, None, or a mean with its interval."""

POINTS: _Columns = {
    "IoU of the best-scored": lambda one: one["best_scored_iou"],
    "of the best-located": lambda one: one["best_located_iou"],
    "lost": lambda one: _minus(one["best_located_iou"], one["best_scored_iou"]),
    "distance, mean": lambda one: one["distance_mean"],
    "median": lambda one: one["distance_median"],
    "same location": lambda one: one["same_place_share"],
    "Pearson, boxes on an object": lambda one: one["kept_boxes_on_objects"]["pearson"],
    "Spearman": lambda one: one["kept_boxes_on_objects"]["spearman"],
    "Pearson, all kept boxes": lambda one: one["kept_boxes"]["pearson"],
    "Spearman, those": lambda one: one["kept_boxes"]["spearman"],
}
RANKS: _Columns = {
    "objects": lambda one: one["objects_ranked"],
    "rank of S": lambda one: one["rank_of_S"],
    "of S*": lambda one: one["rank_of_S*"],
    "S* - S": lambda one: one["rank_gain"],
    "IoU chosen by S": lambda one: one["iou_chosen_by_S"],
    "by S*": lambda one: one["iou_chosen_by_S*"],
    "S* - S, IoU": lambda one: one["iou_gain"],
    "the best": lambda one: one["iou_best"],
}


def _locations(size: str) -> Callable[[dict[str, Any]], Any]:
    return lambda one: one["positives"][size]


LOCATIONS: _Columns = {f"locations per object, {size}": _locations(size) for size in SIZES}


def markdown(figures: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Three tables, each with an explanation above it.

    Args:
        figures: metrics of each row by seed; the tables show their means, ± their standard deviation.
    """
    return "\n".join(
        [
            "The location with the best score for an object and the one whose box fits it best: the IoU of both boxes, "
            "the difference, and their distance in object sizes. Then the correlation of score and IoU of the boxes "
            "that suppression keeps; most of all kept boxes are not on an object, so that the correlation over all of "
            "them mainly shows how low those are scored.",
            "",
            *_table(figures, POINTS),
            "",
            "Boxes with an IoU of 0.5 or more with an object: how well S, the class branch's score, and S*, the final "
            "score, rank them (Spearman correlation with IoU), and the IoU of the one that each ranks first; - where "
            "S* is S. Rows are not comparable, since each model ranks its own boxes. In brackets 95 % intervals from "
            "resampled images; over several seeds, the extremes of all their intervals.",
            "",
            *_table(figures, RANKS),
            "",
            "Locations that the training assignment gives each object of these images, by its size in the tile:",
            "",
            *_table(figures, LOCATIONS),
            "",
        ]
    )


def _table(figures: Mapping[str, Sequence[dict[str, Any]]], columns: _Columns) -> list[str]:
    rows = [f"| model | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name, seeds in figures.items():
        cells = [_cell([of_seed(one) for one in seeds]) for of_seed in columns.values()]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return rows


def _cell(seeds: list[Any]) -> str:
    """A mean with its spread, and its interval or number of objects."""
    values = [one["mean"] if isinstance(one, dict) else one for one in seeds]
    if any(value is None for value in values):
        return "-"
    if isinstance(values[0], int):
        return f"{np.mean(values):.0f}"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    if isinstance(seeds[0], dict) and "interval" in seeds[0]:
        ends = [one["interval"] for one in seeds]
        if not np.any(ends):
            return "-"
        return f"{np.mean(values):+.3f}{spread} ({np.min(ends):+.3f} to {np.max(ends):+.3f})"
    if isinstance(seeds[0], dict):
        return f"{np.mean(values):.1f}{spread and f' ± {np.std(values, ddof=1):.1f}'} ({seeds[0]['objects']} objects)"
    return f"{np.mean(values):.3f}{spread}"


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
