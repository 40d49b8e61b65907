"""Figures of a running training: losses, speed, and the error if a loss or gradient is not finite."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lcageo.config import Precision
from lcageo.data.dataset import CropBatches, CropDataset
from lcageo.detector.criterion import Losses
from lcageo.errors import TrainingError
from lcageo.training.log import TrainingLog
from lcageo.training.state import TrainState

if TYPE_CHECKING:
    from torch import Tensor


MAX_OVERFLOWS = 30
"""Maximum overflows in a row in float16; its loss scale, 65,536 at first, is then far below 1."""


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Progress of a run, and its latest figures."""

    step: int
    progress: float
    """Share of the run, 0 to 1."""
    loss: float
    learning_rate: float
    images_per_second: float
    data_share: float
    """Share of the time spent waiting for crops."""
    seconds_left: float


class Figures:
    """Collects the figures of steps as tensors, and reads them only now and then, as each read waits for the GPU."""

    def __init__(self, state: TrainState, crops: CropDataset, batches: CropBatches, checkpoint: Path) -> None:
        self._state = state
        self._crops = crops
        self._batches = batches
        self._checkpoint = checkpoint
        self._overflows = 0
        self._pending: list[tuple[int, Losses, Tensor]] = []
        self.restart()

    def restart(self) -> None:
        """Restarts the clock, after something else took time."""
        self._since = time.monotonic()
        self._waited = 0.0
        self._began = self._state.progress(), self._state.elapsed

    def waited(self, seconds: float) -> None:
        """Counts time spent waiting for crops."""
        self._waited += seconds

    def add(self, losses: Losses, norm: Tensor) -> None:
        """Adds the figures of the last step: its losses, and the norm of its gradient before clipping."""
        self._pending.append((self._state.step, losses, norm))

    def look(self, learning_rate: float, progress: float, log: TrainingLog | None) -> TrainProgress:
        """Mean figures since the last call, also written to the log.

        Raises:
            TrainingError: if a loss or gradient is not finite; it names the step and the images.
        """
        losses = [self._checked(step, loss, norm) for step, loss, norm in self._pending]
        mean = [sum(values) / len(values) for values in zip(*losses, strict=True)]
        seconds = max(time.monotonic() - self._since, 1e-9)
        figures = TrainProgress(
            self._state.step,
            progress,
            mean[0],
            learning_rate,
            len(losses) * self._state.config.batch / seconds,
            self._waited / seconds,
            self._seconds_left(progress),
        )
        if log is not None:
            names = ("loss", "class_loss", "box_loss", "centerness_loss", "gradient_norm")
            values = {name: value for name, value in zip(names, mean, strict=True) if not math.isnan(value)}
            values |= {
                "seconds": self._state.elapsed,
                "learning_rate": learning_rate,
                "images_per_second": figures.images_per_second,
                "data_share": figures.data_share,
            }
            log.train(self._state.step, self._state.epoch, values)
        self._pending.clear()
        self._since, self._waited = time.monotonic(), 0.0
        return figures

    def _checked(self, step: int, losses: Losses, norm: Tensor) -> tuple[float, ...]:
        """Total, class, box and centerness loss (nan where a preset has none) and gradient norm, as numbers."""
        total, length = losses.total.item(), norm.item()
        # Scaled float16 losses overflow now and then; the scaler skips such steps and reduces the scale.
        self._overflows = 0 if math.isfinite(length) else self._overflows + 1
        allowed = MAX_OVERFLOWS if self._state.precision is Precision.FP16 else 0
        if not math.isfinite(total) or self._overflows > allowed:
            what = f"the loss is {total}" if not math.isfinite(total) else f"the gradient's norm is {length}"
            keys = self._batches.keys(step - 1)
            files = sorted({str(path) for key in keys for path in self._crops.sources(key)})
            kept = (
                f"the last good state is {self._checkpoint}" if self._checkpoint.exists() else "nothing was saved yet"
            )
            raise TrainingError(
                f"{what} after step {step:,}; try --resume with a lower --lr or --precision fp32; {kept}; "
                f"the step's images: {', '.join(files)}"
            )
        centerness = math.nan if losses.centerness_loss is None else losses.centerness_loss.item()
        return total, losses.class_loss.item(), losses.box_loss.item(), centerness, length

    def _seconds_left(self, progress: float) -> float:
        began, elapsed = self._began
        gained = progress - began
        return (1 - progress) * (self._state.elapsed - elapsed) / gained if gained > 0 else math.inf
