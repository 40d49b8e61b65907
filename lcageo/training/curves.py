"""A run's learning curves as a picture: losses, learning rate, and what validations found."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import OutputError
from lcageo.training.log import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]

# Okabe and Ito's colours, which colour-blind readers can tell apart; on white their yellow is too pale.
LOSSES = {
    "loss": ("all", "#000000"),
    "class_loss": ("class", "#0072B2"),
    "box_loss": ("box", "#D55E00"),
    "centerness_loss": ("centerness", "#009E73"),
}
SCORES = {
    "mAP50": ("mAP50", "#56B4E9"),
    "mAP75": ("mAP75", "#E69F00"),
    "mAP50_95": ("mAP50:95", "#CC79A7"),
}
"""Label and colour of each column."""
_INK = "#404040"

_WINDOWS = 40
"""Losses are smoothed over this fraction of the run (1/40), on either side."""
_HEADROOM = 1.15
"""Top of the axis relative to the maximum smoothed loss: single raw values would flatten the rest."""


def curves_available() -> bool:
    """Whether matplotlib is installed; training on a bare GPU machine does without it."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_curves(metrics_csv: Path, picture: Path) -> None:
    """Draws losses (raw values pale, running mean strong), learning rate and mAP over the steps, as a PNG.

    Needs matplotlib, see `curves_available`.

    Args:
        metrics_csv: as TrainingLog writes it; may still be written to.
        picture: the file to write.

    Raises:
        OutputError: if it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes a second, and may not be installed
    from matplotlib.figure import Figure

    rows = read_metrics(metrics_csv)
    figure = Figure(figsize=(10.0, 9.0), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    loss, rate, score = figure.subplots(3, 1, sharex=True, height_ratios=(4, 1.5, 4))
    _draw_losses(loss, rows)
    rate.plot(*_column(rows, "learning_rate"), color=_INK, marker=".", markersize=2)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    _draw_scores(score, rows)
    for axes, title in ((loss, "loss"), (rate, "learning rate"), (score, "validation")):
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    score.set_xlabel("step")
    score.xaxis.set_major_formatter("{x:,.0f}")
    _add_epochs(loss, rows)
    try:
        figure.savefig(picture, format="png")
    except OSError as error:
        raise OutputError(f"curves '{picture}' cannot be written: {error.strerror}") from error


def _draw_losses(axes: Axes, rows: list[dict[str, str]]) -> None:
    highest = 0.0
    for name, (label, colour) in LOSSES.items():
        steps, values = _column(rows, name)
        if len(values):
            mean = smoothed(values, len(values) // _WINDOWS)
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(steps, mean, color=colour, linewidth=1.8, marker=".", markersize=2, label=label)
            highest = max(highest, float(mean.max()))
    if highest:
        axes.set_ylim(top=_HEADROOM * highest)
        _add_legend(axes)


def _draw_scores(axes: Axes, rows: list[dict[str, str]]) -> None:
    for name, (label, colour) in SCORES.items():
        steps, values = _column(rows, name)
        if len(values):
            axes.plot(steps, values, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=label)
    axes.set_ylim(top=1)
    steps, values = _column(rows, "mAP50_95")
    if len(values):
        best = int(values.argmax())
        label = f"best {values[best]:.3f}\nat step {steps[best]:,.0f}"
        axes.plot(steps[best], values[best], "o", color=_INK, markersize=9, fillstyle="none", label=label)
        _add_legend(axes)
    else:
        axes.text(0.5, 0.5, "none so far", transform=axes.transAxes, ha="center", va="center", color=_INK)


def _column(rows: list[dict[str, str]], name: str) -> tuple[Values, Values]:
    """Steps (N,) and finite values (N,) of the rows that have one."""
    pairs = np.array([(float(row["step"]), float(row[name])) for row in rows if row[name]]).reshape(-1, 2)
    steps, values = pairs[np.isfinite(pairs[:, 1])].T
    return steps, values


def smoothed(values: Values, reach: int) -> Values:
    """Mean of each value and up to `reach` on either side, as many on both; the ends keep their own value.

    Args:
        values: (N,).
        reach: 0 changes nothing.
    """
    place = np.arange(len(values))
    near = np.minimum(reach, np.minimum(place, place[::-1]))  # (N,)
    total = np.concatenate([[0.0], values.cumsum()])
    mean: Values = (total[place + near + 1] - total[place - near]) / (2 * near + 1)
    return mean


def _add_legend(axes: Axes) -> None:
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)


def _add_epochs(axes: Axes, rows: list[dict[str, str]]) -> None:
    """Adds a second axis at the top: epochs, which are equally long."""
    done = [(int(row["step"]), float(row["epoch"])) for row in rows if row["epoch"] and float(row["epoch"]) > 0]
    if not done:
        return
    # A row's epoch is rounded down: one that has just started shows best how long epochs are.
    length = min(step / epoch for step, epoch in done)
    upper = axes.secondary_xaxis("top", functions=(partial(np.multiply, 1 / length), partial(np.multiply, length)))
    upper.set_xlabel("epoch")
    upper.spines["top"].set_visible(False)
