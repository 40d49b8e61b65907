"""Writes table1.json, table1.md and table1.png from the runs that are finished."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import agreement_text
import numpy as np
import parts_text
from figures import PAPER, Row, as_json, rows_of
from runs import CURVE_IMAGES, METRICS, RESAMPLES, Finished
from speed import read_speed
from variants import VARIANTS

from lcageo.data.annotations import LabelledSet
from lcageo.training.config import TrainConfig, recipe_entries
from lcageo.training.curves import curves_available
from lcageo.training.data import TrainingData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"mAP50": "mAP50", "mAP75": "mAP75", "mAP50_95": "mAP50:95"}
COLOURS = ("#56B4E9", "#0072B2", "#404040", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#A08000")
"""Okabe and Ito's colour-blind safe palette without its yellow, for six systems and two variants."""
OF_A_RUN = ("preset", "seed", "geometric_warmup")
"""Settings that differ between the runs."""


def write_report(out: Path, finished: Sequence[Finished], data: TrainingData, config: TrainConfig) -> None:
    """Writes the three files.

    Args:
        out: the folder of the runs.
        finished: at least one run.
        data: training and validation sets.
        config: settings of any of the runs.
    """
    rows = rows_of(finished)
    found = {
        "train": {"images": len(data.train), "objects": _objects(data.train.annotations)},
        "val": {
            "images": len(data.val),
            "objects": _objects(data.val.annotations),
            "images_with": _images_with(data.val),
        },
        "settings": {name: value for name, value in recipe_entries(config).items() if name not in OF_A_RUN},
        "steps": finished[0].facts["steps"],
        "speed": read_speed(out),
        "resamples": RESAMPLES,
        **as_json(rows),
    }
    _replace(out / "table1.json", json.dumps(found, indent=1) + "\n")
    _replace(out / "table1.md", markdown(found))
    if curves_available():  # matplotlib may be missing on a GPU node
        plain = [row for row in rows if row.name.partition("+")[2] not in VARIANTS]  # their colours would run out
        draw(plain, found["differences"], out / "table1.png")


def markdown(found: dict[str, Any]) -> str:
    """The text of table1.md: the table, the differences and their intervals, from the content of table1.json."""
    settings, speed = found["settings"], found["speed"]
    crop = settings.get("crop", settings["imgsz"])
    lines = [
        "# Table I",
        "",
        f"Trained on {found['train']['images']:,} images with {found['train']['objects']:,} objects, evaluated on "
        f"{found['val']['images']:,} with {found['val']['objects']:,}: {found['steps']:,} steps of "
        f"{settings['batch']} crops of {crop} pixels in {settings['precision']}, evaluation at {settings['imgsz']} "
        "pixels with the moving average of the weights at the end. Metrics are means over the seeds, ± their standard "
        "deviation.",
        "",
        "| system | seeds | mAP50 | mAP75 | mAP50:95 | the paper's, on DIOR | Params (M) | FLOPs (G), the paper's rule "
        "| true GMAC | images/s |",
        "|---" * 10 + "|",
        *[_row(name, one, speed["images_per_second"].get(name)) for name, one in found["systems"].items()],
        "",
        *([f"Images per second, network only, on {speed['machine']}.", ""] if speed["machine"] else []),
    ]
    if found["differences"]:
        lines += [
            "Differences over the seeds that all have, with 95 % intervals of a paired bootstrap over images and "
            f"seeds: each of {found['resamples']:,} resamples draws images, the same for all systems and seeds, and "
            "seeds, the same for all systems, and takes the mean difference. With n seeds this underestimates their "
            "part of the variance by (n - 1) / n; with a single one only images vary. In brackets the minimum and "
            "maximum difference of a seed. The intervals are not corrected for multiple comparisons. The row of four "
            "systems is what head and assignment give together beyond the sum of both alone:",
            "",
            "| first minus second | seeds | mAP50 | mAP75 | mAP50:95 |",
            "|---" * 5 + "|",
            *[_difference(one) for one in found["differences"]],
            "",
        ]
    lines += [_flattening(found["systems"], found["steps"], settings["schedule"]), ""]
    agreement = {name: list(one["agreement"].values()) for name, one in found["systems"].items()}
    return "\n".join(
        [
            *lines,
            "![validation over the steps](table1.png)",
            "",
            f"Curves are of {min(CURVE_IMAGES, found['val']['images'])} of the images, evenly taken.",
            "",
            "AP50 / AP75 of each class, with the number of its objects and of the images that contain them:",
            "",
            *_class_table(found["systems"], found["val"]["images_with"]),
            "",
            "## Parts of the set",
            "",
            parts_text.markdown(found, NAMES),
            "## Agreement of scores and localisation",
            "",
            agreement_text.markdown(agreement),
        ]
    )


def _flattening(systems: dict[str, Any], steps: int, schedule: str) -> str:
    """States how much the curves still rise."""
    late = [one["late_rise"] for one in systems.values()]
    changes = []
    for metric, name in NAMES.items():
        rises = [one[metric] for one in late]
        changes.append(f"{name} by {min(rises):+.3f} to {max(rises):+.3f}")
    return (
        f"From step {late[0]['from_step']:,} to {steps:,}, in which the {schedule} schedule lowers the rate, "
        f"{', '.join(changes)}: the minimum and maximum change of a system's mean."
    )


def _class_table(systems: dict[str, Any], images_with: dict[str, int]) -> list[str]:
    """A row per class, a column per system."""
    rows = [
        f"| class | objects | images | {' | '.join(f'`{name}`' for name in systems)} |",
        "|---" * (3 + len(systems)) + "|",
    ]
    for name, first in next(iter(systems.values()))["per_class"].items():
        of_all = [one["per_class"][name] for one in systems.values()]
        cells = [f"{one['AP50']:.3f} / {one['AP75']:.3f}" for one in of_all]
        rows.append(f"| {name} | {first['objects']} | {images_with[name]} | {' | '.join(cells)} |")
    return rows


def _row(name: str, one: dict[str, Any], images_per_second: float | None) -> str:
    paper = PAPER.get(name)
    cells = [
        f"`{name}`",
        ", ".join(map(str, one["seeds"])),
        *[_with_spread(one[metric]) for metric in METRICS],
        " / ".join(f"{value:.1f}" for value in paper) if paper else "-",
        f"{one['params'] / 1e6:.3f}",
        f"{one['paper_flops'] / 1e9:.3f}",
        f"{one['true_macs'] / 1e9:.3f}",
        "-" if images_per_second is None else f"{images_per_second:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _with_spread(figure: dict[str, Any]) -> str:
    return f"{figure['mean']:.3f}" + ("" if figure["spread"] is None else f" ± {figure['spread']:.3f}")


def _difference(one: dict[str, Any]) -> str:
    cells = []
    for metric in METRICS:
        figure = one[metric]
        low, high = figure["interval"]
        seeds = f"{min(figure['by_seed']):+.3f} to {max(figure['by_seed']):+.3f}"
        cells.append(f"{figure['mean']:+.3f} ({low:+.3f} to {high:+.3f}) [{seeds}]")
    return f"| `{one['first']}` - `{one['second']}` | {len(one['seeds'])} | {' | '.join(cells)} |"


def draw(rows: Sequence[Row], differences: Sequence[dict[str, Any]], picture: Path) -> None:
    """Validation over the steps, and below the differences with their intervals; a column per metric.

    Args:
        rows: the systems.
        differences: as in table1.json.
        picture: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.0, 5.5 + 0.4 * len(differences)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, len(METRICS), height_ratios=(5.0, 0.5 + 0.4 * len(differences)))
    for metric, curves, bars in zip(METRICS, upper, lower, strict=True):
        _draw_curves(curves, rows, metric)
        _draw_differences(bars, differences, metric)
        for axes in (curves, bars):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    upper[0].legend(fontsize="small", frameon=False)
    part = _part(picture)
    figure.savefig(part, format="png")
    part.replace(picture)


def _draw_curves(axes: Axes, rows: Sequence[Row], metric: str) -> None:
    """Draws the mean of each system's seeds, and the range between minimum and maximum."""
    for row, colour in zip(rows, cycle(COLOURS), strict=False):
        steps, curves = row.runs[0].steps, row.curve(metric)
        axes.plot(steps, curves.mean(axis=0), color=colour, linewidth=1.8, marker=".", label=row.name)
        axes.fill_between(steps, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set_title(NAMES[metric], loc="left", fontsize="medium")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _draw_differences(axes: Axes, differences: Sequence[dict[str, Any]], metric: str) -> None:
    """Draws the mean and its 95 % interval, and each seed as a small ring."""
    for position, one in enumerate(differences):
        figure = one[metric]
        axes.plot(figure["interval"], [position, position], color="#0072B2", linewidth=2.0)
        axes.plot(figure["mean"], position, "o", color="#0072B2", markersize=6)
        axes.plot(
            figure["by_seed"], [position] * len(figure["by_seed"]), "o", color="#D55E00", markersize=4, fillstyle="none"
        )
    axes.axvline(0.0, color="#404040", linewidth=0.8)
    names = [f"{one['first']} - {one['second']}" for one in differences]
    axes.set_yticks(range(len(differences)), names if metric == next(iter(METRICS)) else [""] * len(names))
    axes.invert_yaxis()
    axes.locator_params(axis="x", nbins=5)  # otherwise the labels of negative numbers overlap
    axes.set_xlabel(f"difference in {NAMES[metric]}")


def _objects(annotations: Sequence[Any]) -> int:
    return sum(len(annotation) for annotation in annotations)


def _images_with(labelled: LabelledSet) -> dict[str, int]:
    """Number of images in which each class has an object that is not difficult."""
    counts = np.zeros(len(labelled.classes), np.int64)
    for one in labelled.annotations:
        counts[np.unique(one.labels[~one.difficult])] += 1
    return dict(zip(labelled.classes, counts.tolist(), strict=True))


def _part(path: Path) -> Path:
    """A temporary path of this process: several processes may write the table in one folder."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def _replace(path: Path, text: str) -> None:
    part = _part(path)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
