"""Draws alignment.png: score against IoU, and each object's two best points on images, with a column per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from peaks import Peaks

from lcageo.metrics.truth import Floats

SCORED, LOCATED = "#D55E00", "#56B4E9"
CELL_INCHES = 2.6


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An image as the model's input, with its peaks."""

    title: str
    image: NDArray[np.uint8]
    """(H, W, 3), tile pixels."""
    peaks: Peaks


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Content of one model's column."""

    title: str
    scores: Floats
    """(D,) scores of the kept boxes."""
    ious: Floats
    """(D,) their IoUs."""
    shown: tuple[Shown, ...]


def draw(columns: Sequence[Column], picture: Path) -> None:
    """Writes the picture as a PNG: scatter plots in the first row, images in the others."""
    rows = 1 + max(len(column.shown) for column in columns)
    size = (1.0 + CELL_INCHES * len(columns), 0.8 + CELL_INCHES * rows)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, len(columns), squeeze=False)
    for column, (upper, *below) in zip(columns, cells.T, strict=True):
        _draw_points(upper, column)
        for axes in below:
            axes.set_axis_off()
        for axes, one in zip(below, column.shown, strict=False):
            _draw_image(axes, one)
    cells[0, 0].set_ylabel("IoU of a kept box")
    marks = [
        cells[-1, 0].plot([], [], marker, color=colour, markersize=5, label=label)[0]
        for marker, colour, label in (
            ("o", SCORED, "best score, and its box"),
            ("x", LOCATED, "best IoU, and its box"),
        )
    ]
    if rows > 1:
        figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    figure.savefig(picture, format="png")


def _draw_points(axes: Axes, column: Column) -> None:
    axes.plot(column.scores, column.ious, ".", color="#404040", markersize=2, alpha=0.3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score")
    axes.set_title(column.title, fontsize="small")
    axes.grid(alpha=0.25)


def _draw_image(axes: Axes, one: Shown) -> None:
    axes.imshow(one.image)
    axes.set_title(one.title, fontsize="x-small")
    peaks = one.peaks
    for boxes, colour, dashes in (
        (peaks.objects_xyxy, "white", "--"),
        (peaks.scored_xyxy, SCORED, "-"),
        (peaks.located_xyxy, LOCATED, "-"),
    ):
        for x1, y1, x2, y2 in boxes.tolist():
            frame = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=colour, linestyle=dashes, linewidth=0.9)
            axes.add_patch(frame)
    for start, end in zip(peaks.scored_xy, peaks.located_xy, strict=True):
        axes.plot(*np.stack((start, end)).T, color="white", linewidth=1.0)
    axes.plot(*peaks.scored_xy.T, "o", color=SCORED, markersize=4)
    axes.plot(*peaks.located_xy.T, "x", color=LOCATED, markersize=5, markeredgewidth=1.5)
