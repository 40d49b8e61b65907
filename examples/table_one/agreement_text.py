"""The figures of agreement as Markdown, a row per model or, over several seeds, per system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lcageo.metrics.coco import SIZES

POINTS = {
    "Pearson, all kept boxes": ("kept_boxes", "pearson"),
    "Spearman": ("kept_boxes", "spearman"),
    "Pearson, those on an object": ("kept_boxes_on_objects", "pearson"),
    "Spearman, those": ("kept_boxes_on_objects", "spearman"),
    "distance, mean": ("distance_mean",),
    "median": ("distance_median",),
    "same place": ("same_place_share",),
    "IoU of the best-scored": ("best_scored_iou",),
    "of the best-located": ("best_located_iou",),
}
"""Columns, and where their figures stand."""
RANKS = {
    "objects": ("objects_ranked",),
    "rank of S": ("rank_of_S",),
    "of S*": ("rank_of_S*",),
    "S* - S": ("rank_gain",),
    "IoU chosen by S": ("iou_chosen_by_S",),
    "by S*": ("iou_chosen_by_S*",),
    "S* - S, IoU": ("iou_gain",),
    "the best": ("iou_best",),
}
PLACES = {f"places an object, {size}": ("positives", size) for size in SIZES}


def markdown(figures: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Three tables.

    Args:
        figures: of each row, one for each seed; means over these are given, ± their standard deviation.
    """
    return "\n".join([*_table(figures, POINTS), "", *_table(figures, RANKS), "", *_table(figures, PLACES), ""])


def _table(figures: Mapping[str, Sequence[dict[str, Any]]], columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    rows = [f"| model | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name, seeds in figures.items():
        cells = [_cell([_entry(one, path) for one in seeds]) for path in columns.values()]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return rows


def _entry(one: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        one = one[name]
    return one


def _cell(seeds: list[Any]) -> str:
    """A mean with its spread, or what one seed says: its interval, or on how many objects it rests."""
    values = [one["mean"] if isinstance(one, dict) else one for one in seeds]
    if any(value is None for value in values):
        return "-"
    if len(values) > 1:
        spread = np.std(values, ddof=1)
        return f"{np.mean(values):.0f}" if isinstance(values[0], int) else f"{np.mean(values):.3f} ± {spread:.3f}"
    (value,), (one,) = values, seeds
    if isinstance(one, dict) and one.get("interval"):
        low, high = one["interval"]
        return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    if isinstance(one, dict):
        return f"{value:.1f}, median {one['median']:g} ({one['objects']} objects)"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
