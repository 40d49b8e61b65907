"""The log of a running training: metrics.csv, and TensorBoard's events beside it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import OutputError
from lcageo.extras import require

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS_FILE = "metrics.csv"
"""File name of the metrics, in a run's folder."""
EVENTS_FOLDER = "tensorboard"
"""TensorBoard's event files, in a run's folder."""

COLUMNS = (
    "step",  # steps done
    "epoch",  # epochs done
    "seconds",  # since the run started, without the pauses between stop and resume
    "learning_rate",  # of the last step
    "loss",  # the sum of the three after it, each a mean since the previous row
    "class_loss",
    "box_loss",
    "centerness_loss",  # FCOS only
    "gradient_norm",  # before clipping
    "images_per_second",
    "data_share",  # of the time, spent waiting for crops, 0 to 1
    "mAP50",  # of the validation images, as are the next two
    "mAP75",
    "mAP50_95",
)
"""Columns of metrics.csv. A row has the figures of training or of a validation; the other cells are empty."""

TAGS = {
    "epoch": "training/epoch",
    "learning_rate": "training/learning rate",
    "loss": "loss/all",
    "class_loss": "loss/class",
    "box_loss": "loss/box",
    "centerness_loss": "loss/centerness",
    "gradient_norm": "training/gradient norm",
    "images_per_second": "speed/images per second",
    "data_share": "speed/share of time waiting for data",
    "mAP50": "validation/mAP50",
    "mAP75": "validation/mAP75",
    "mAP50_95": "validation/mAP50-95",
}
"""Columns that TensorBoard shows (which records step and time itself), and their names there."""


class TrainingLog:
    """Writes a run's figures as they come; every row is in the file when its call returns.

    with TrainingLog(folder, tensorboard=True) as log:
        log.train(10, 0, {"loss": 1.5})
    """

    def __init__(self, folder: Path, tensorboard: bool, step: int = 0) -> None:
        """Opens a new log, or that of a resumed run, without the rows after the step it resumes from.

        Args:
            folder: of the run.
            tensorboard: whether to write events for TensorBoard too.
            step: steps done when the run's state was saved; 0 starts a new log.

        Raises:
            UsageError: if TensorBoard is requested and not installed.
            OutputError: if nothing can be written there.
        """
        self._path = folder / METRICS_FILE
        self._writer = _event_writer(folder / EVENTS_FOLDER, step) if tensorboard else None
        try:
            kept = [row.values() for row in read_metrics(self._path) if 0 < int(row["step"]) <= step]
            written = self._path.with_name(METRICS_FILE + ".part")
            written.write_text("".join(",".join(cells) + "\n" for cells in (COLUMNS, *kept)))
            written.replace(self._path)
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def train(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Figures of the steps since the last call.

        Args:
            step: steps done.
            epoch: epochs done.
            values: by column; NaN leaves the cell empty.

        Raises:
            OutputError: if they cannot be written, as on a full disk.
        """
        self._add(step, {"epoch": epoch, **values})

    def validation(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Figures of a validation; arguments and errors as in `train`."""
        self._add(step, {"epoch": epoch, **values})

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Writes a picture (H, W, 3) uint8 for TensorBoard, if that is in use."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Closes TensorBoard's events; may be called more than once."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, step: int, values: Mapping[str, float]) -> None:
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        line = io.StringIO()
        writer = csv.DictWriter(line, COLUMNS, lineterminator="\n")
        writer.writerow({"step": step, **{name: f"{value:.7g}" for name, value in known.items()}})
        try:
            with self._path.open("a") as file:
                file.write(line.getvalue())
        except OSError as error:
            raise self._failure(error) from error
        if self._writer is not None:
            for name, value in known.items():
                if name in TAGS:
                    self._writer.add_scalar(TAGS[name], value, step)
            self._writer.flush()

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(
            f"log '{self._path}' cannot be written: {error.strerror}; fix that, then use --resume to continue"
        )


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics.csv with all of COLUMNS: an integer as step, the other cells empty or numbers.

    An incomplete last line and damaged lines are left out. Unknown columns, as of another version, are dropped, and
    missing ones are empty. A missing file has no rows.
    """
    text = path.read_text(errors="replace") if path.is_file() else ""
    complete = text[: text.rfind("\n") + 1]  # a process that was killed may have written part of a line
    # Not csv.reader: there, a stray quotation mark swallows all lines that follow, and our cells never have one.
    header, *lines = [line.split(",") for line in complete.split("\n")]
    named = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    rows = [{name: row.get(name, "") for name in COLUMNS} for row in named]
    return [row for row in rows if row["step"].isdecimal() and all(map(_is_number_or_empty, row.values()))]


def _is_number_or_empty(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True


def _event_writer(folder: Path, step: int) -> SummaryWriter:
    """Writer of the events after `step`; TensorBoard hides those that the run had already written after it."""
    require("--tensorboard", "train", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter  # optional, and takes a second to import

    return SummaryWriter(str(folder), purge_step=step + 1)
