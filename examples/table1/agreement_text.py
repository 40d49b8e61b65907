"""The figures of agreement as Markdown, a row per model or, over several seeds, per system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lcageo.metrics.coco import SIZES

_Columns = Mapping[str, Callable[[dict[str, Any]], Any]]
"""Titles, and how a seed's figures give the cell: a number, None, or figures of a mean."""

POINTS: _Columns = {
    "IoU of the best-scored": lambda one: one["best_scored_iou"],
    "of the best-located": lambda one: one["best_located_iou"],
    "lost": lambda one: _minus(one["best_located_iou"], one["best_scored_iou"]),
    "distance, mean": lambda one: one["distance_mean"],
    "median": lambda one: one["distance_median"],
    "same place": lambda one: one["same_place_share"],
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


def _places(size: str) -> Callable[[dict[str, Any]], Any]:
    return lambda one: one["positives"][size]


PLACES: _Columns = {f"places an object, {size}": _places(size) for size in SIZES}


def markdown(figures: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Three tables, each after what it shows.

    Args:
        figures: of each row, one for each seed; means over these are given, ± their standard deviation.
    """
    return "\n".join(
        [
            "The place that scores best for an object and the one whose box fits it best: the IoU of both boxes and "
            "what is lost between them, and how far apart they lie, in object sizes. Then how the score of the boxes "
            "that suppression leaves goes with their IoU; most of all kept boxes lie on no object, and tell rather how "
            "low these are scored.",
            "",
            *_table(figures, POINTS),
            "",
            "Among the boxes that overlap an object by half or more: how S, the class branch alone, and S*, the final "
            "score, rank them (Spearman, with IoU), and the IoU of the one that each puts first; - where S* is S. A "
            "model ranks its own boxes: rows are not to be compared with each other. In brackets 95 % intervals by "
            "resampled images, over several seeds the ends of all of theirs.",
            "",
            *_table(figures, RANKS),
            "",
            "Places that the assignment in training gives each object of these images, by its size in the tile:",
            "",
            *_table(figures, PLACES),
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
    """A mean with its spread, and what it rests on: its interval, or how many objects."""
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
