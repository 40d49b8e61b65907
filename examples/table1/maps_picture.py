"""Draws maps.png: maps of a model's score over an object, and of the IoU of its boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from dense import Dense
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from peaks_picture import LOCATED, SCORED

from lcageo.metrics.truth import Floats
from lcageo.network_config import STRIDES

CELL_INCHES = 2.4
MARGIN = 0.5
"""Margin around an object, as a share of its longer side."""


def draw_maps(models: Sequence[str], shown: Sequence[Sequence[tuple[Dense, int]]], picture: Path) -> None:
    """Draws two columns per model, score and IoU, on the level of its best box, and a row per object.

    Args:
        models: names of the models.
        shown: for each model, the same objects: an image, and the object's index in it.
        picture: the PNG to write.
    """
    rows = len(shown[0])
    figure = Figure(figsize=(2 * CELL_INCHES * len(models), 0.6 + CELL_INCHES * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, 2 * len(models), squeeze=False)
    for number, (model, objects) in enumerate(zip(models, shown, strict=True)):
        for row, (dense, place) in enumerate(objects):
            level = level_of(dense, int(dense.iou[place].argmax()))
            for axes, values in zip(
                cells[row, 2 * number : 2 * number + 2], (dense.scores[place], dense.iou[place]), strict=True
            ):
                _draw(axes, dense, place, map_of(dense, values, level))
        cells[0, 2 * number].set_title(f"{model}\nscore", fontsize="small")
        cells[0, 2 * number + 1].set_title("IoU", fontsize="small")
    figure.savefig(picture, format="png")


def level_of(dense: Dense, location: int) -> int:
    """The level of a location."""
    return int(np.searchsorted(np.cumsum(dense.level_sizes), location, side="right"))


def map_of(dense: Dense, values: Floats, level: int) -> Floats:
    """(H, W) one level's values by cell; the maximum where a cell has several locations.

    Args:
        dense: the image.
        values: (N,) values of all locations.
        level: 0 for the finest.
    """
    start = sum(dense.level_sizes[:level])
    cells = -(-len(dense.pixels) // STRIDES[level])
    own = values[start : start + dense.level_sizes[level]]
    highest: Floats = own.reshape(cells, cells, -1).max(axis=2)
    return highest


def _draw(axes: Axes, dense: Dense, place: int, values: Floats) -> None:
    """Draws the map over the image, the object, and the two peaks of all levels inside it."""
    x1, y1, x2, y2 = dense.objects_xyxy[place].tolist()
    side = max(x2 - x1, y2 - y1)
    stride = next(stride for stride in STRIDES if -(-len(dense.pixels) // stride) == len(values))
    reach = len(values) * stride
    axes.imshow(dense.pixels)
    axes.imshow(values, extent=(0, reach, reach, 0), cmap="magma", alpha=0.55, vmin=0, interpolation="nearest")
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="white", linestyle="--", linewidth=0.9))
    (inside,) = np.nonzero(dense.inside[place])
    if len(inside):
        scored, located = (inside[one[place, inside].argmax()] for one in (dense.scores, dense.iou))
        axes.plot(*dense.points_xy[scored], "o", color=SCORED, markersize=5)
        axes.plot(*dense.points_xy[located], "x", color=LOCATED, markersize=6, markeredgewidth=1.8)
    axes.set(xlim=(x1 - MARGIN * side, x2 + MARGIN * side), ylim=(y2 + MARGIN * side, y1 - MARGIN * side))
    axes.set_axis_off()
