"""The pictures of an evaluation, written together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcageo.metrics.summary import Evaluation

PICTURES = ("curves.png", "confusion.png")


def prepare_plots(folder: Path, overwrite: bool) -> None:
    """Fails if the pictures could not be written, before a long evaluation.

    Raises:
        UsageError: if the package that draws them is not installed.
        OutputError: if one exists, or the folder cannot be created.
    """
    from lcageo.metrics.plots import require_plots
    from lcageo.vector.publish import check_output, make_folder

    require_plots()
    for name in PICTURES:
        check_output(folder / name, [folder / name], overwrite, folder_is_made=True)
    make_folder(folder)


def draw_plots(evaluation: Evaluation, folder: Path) -> None:
    """Writes precision-recall curves and the confusion of classes.

    Raises:
        OutputError: if one cannot be written; then none is.
    """
    from lcageo.metrics.plots import draw_confusion, draw_curves
    from lcageo.vector.publish import Publication

    with Publication() as publication:
        curves, confusion = (publication.draft(folder / name) for name in PICTURES)
        draw_curves(evaluation, curves)
        draw_confusion(evaluation.confusion, confusion)
        publication.publish()
