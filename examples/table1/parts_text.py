"""The metrics on parts of the validation set as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parts import LEAST_OBJECTS, NEAR, RESAMPLES

from lcageo.network_config import Preset

SHOWN = [
    (Preset.LCA, Preset.RETINANET),
    (Preset.LCA, Preset.FCOS),
    (Preset.LCA, Preset.LCA_BASELINE),
    (Preset.LCA_H, Preset.LCA_BASELINE),
    (Preset.LCA_SA, Preset.LCA_BASELINE),
]
"""Differences that have a column: first minus second."""


def markdown(found: dict[str, Any], names: Mapping[str, str]) -> str:
    """The systems on each part, then the differences by part and by IoU.

    Args:
        found: the content of table1.json.
        names: the metrics' titles.
    """
    systems, parts = found["systems"], found["parts"]
    lines = [
        "Parts of the set: the image's set, COCO's sizes, the longer side of the box, and the number of neighbours: "
        f"objects of any class whose centre is outside the box, but within {NEAR:g} of its longer sides of its own. A "
        "detection without an object is wrong in the part that an object of its box would belong to. In a part, only "
        f"classes with {LEAST_OBJECTS} objects or more count.",
        "",
    ]
    for metric, title in names.items():
        rows = {part: [_figure(one["parts"][part][metric]) for one in systems.values()] for part in parts}
        lines += [f"{title} of each system, the mean over its seeds:", "", *_table(parts, list(systems), rows), ""]
    shown = [one for one in found["differences"] if (one["first"], one["second"]) in SHOWN]
    if not shown:
        return "\n".join(lines)
    columns = [f"{one['first']}` - `{one['second']}" for one in shown]
    for metric, title in names.items():
        rows = {part: [_difference(one["parts"][part][metric]) for one in shown] for part in parts}
        text = f"Differences in {title}, with 95 % intervals as above ({RESAMPLES} resamples):"
        lines += [text, "", *_table(parts, columns, rows), ""]
    return "\n".join(
        [
            *lines,
            "Differences in mean average precision at each IoU, on all objects:",
            "",
            f"| IoU | {_titles(columns)} |",
            "|---" * (1 + len(columns)) + "|",
            *(f"| {iou} | {' | '.join(_difference(one['ious'][iou]) for one in shown)} |" for iou in shown[0]["ious"]),
            "",
        ]
    )


def _table(parts: Mapping[str, Any], columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"| part | objects | classes | {_titles(columns)} |",
        "|---" * (3 + len(columns)) + "|",
        *(
            f"| {part} | {one['objects']} | {one['classes']} | {' | '.join(rows[part])} |"
            for part, one in parts.items()
            if one["classes"]
        ),
    ]


def _titles(columns: Sequence[str]) -> str:
    return " | ".join(f"`{column}`" for column in columns)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _difference(one: Mapping[str, Any]) -> str:
    if one["mean"] is None or one["interval"] is None:
        return "-"
    low, high = one["interval"]
    return f"{one['mean']:+.3f} ({low:+.3f} to {high:+.3f})"
