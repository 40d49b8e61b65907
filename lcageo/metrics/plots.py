"""Plots of an evaluation: precision against recall, and the confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lcageo.extras import require
from lcageo.metrics.confusion import BACKGROUND, Confusion
from lcageo.metrics.curves import COCO_RECALLS
from lcageo.metrics.summary import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = ("-", "--", ":")
_PALETTE = 10
"""Number of colours in matplotlib's tab10; further classes get other dashes."""
_DARK = 0.5
"""Share of a row above which a cell is so dark that its number is drawn in white."""


def require_plots() -> None:
    """Checks that matplotlib is installed, before the work whose figures it would draw.

    Raises:
        UsageError: if it is not.
    """
    require("drawing plots", "train", "matplotlib")


def draw_curves(evaluation: Evaluation, path: Path) -> None:
    """Plots precision against recall at IoU 0.5 as a PNG, one line per class with objects, its best F1 marked."""
    figure, axes = _figure(9.0, 6.0)
    shown = [one for one in evaluation.per_class if one.objects]
    for index, one in enumerate(shown):
        style = f"C{index % _PALETTE}", _DASHES[index // _PALETTE % len(_DASHES)]
        line = one.curve.precision_at(COCO_RECALLS)
        axes.plot(COCO_RECALLS, line, color=style[0], linestyle=style[1], label=f"{one.name}  {one.ap50:.3f}")
        axes.plot(one.best.recall, one.best.precision, "o", color=style[0], markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title("Precision and recall at IoU 0.5; points: best F1")
    axes.grid(alpha=0.3)
    if shown:
        axes.legend(title="AP50", fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    _save(figure, path)


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Draws the confusion matrix as a PNG: counts, shaded by their share of the row."""
    counts = confusion.counts
    names = [*confusion.classes, BACKGROUND]
    side = 2.5 + 0.42 * len(names)
    figure, axes = _figure(side + 0.8, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(xlabel="found as", ylabel="is")
    axes.set_title("IoU 0.5, each class at its best F1", fontsize="medium")
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of a size in inches, without pyplot, which keeps figures until they are closed and needs a display."""
    require_plots()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # it takes a second, and few evaluations draw
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG, with all text as it is: a class may have a dollar in its name."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    figure.savefig(path)
