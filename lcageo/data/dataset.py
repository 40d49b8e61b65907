"""Datasets for torch's DataLoader: training crops, the crops of each step, and whole images for evaluation."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lcageo.data.annotations import LabelledSet
from lcageo.data.augment import AugmentConfig, Crop, cropped, resized
from lcageo.data.crops import CropMaker
from lcageo.data.images import ImageStore
from lcageo.data.pixels import Colour, Pixels

Key = tuple[int, int]
"""Epoch, and position within it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainSample:
    """One training crop."""

    image: Tensor
    """(3, S, S) uint8."""
    boxes_xyxy: Tensor
    """(N, 4) float32, pixels of the crop."""
    labels: Tensor
    """(N,) int64."""
    difficult: Tensor
    """(N,) bool: ignored, in the loss and in evaluation."""
    labelled: Tensor
    """(K,) bool: the classes the crop is annotated for. The others must stay out of the loss."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainBatch:
    """B training crops; the lists hold one tensor per crop, as in TrainSample."""

    images: Tensor
    """(B, 3, S, S) uint8."""
    boxes_xyxy: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    difficult: tuple[Tensor, ...]
    labelled: Tensor
    """(B, K) bool."""

    def __len__(self) -> int:
        return len(self.images)

    def part(self, first: int, last: int) -> TrainBatch:
        """Crops `first` to `last` - 1."""
        return TrainBatch(
            self.images[first:last],
            self.boxes_xyxy[first:last],
            self.labels[first:last],
            self.difficult[first:last],
            self.labelled[first:last],
        )

    def to(self, device: torch.device | str) -> TrainBatch:
        """The batch on another device; pinned memory is copied asynchronously."""
        return self._changed(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> TrainBatch:
        """The batch in pinned memory; DataLoader calls this with `pin_memory=True`."""
        return self._changed(lambda part: part.pin_memory())

    def _changed(self, change: Callable[[Tensor], Tensor]) -> TrainBatch:
        return TrainBatch(
            change(self.images),
            tuple(map(change, self.boxes_xyxy)),
            tuple(map(change, self.labels)),
            tuple(map(change, self.difficult)),
            change(self.labelled),
        )


class CropDataset(Dataset[TrainSample]):
    """Training crops by (epoch, position), the keys that CropBatches yields."""

    def __init__(self, labelled: LabelledSet, config: AugmentConfig, crops_per_epoch: int, seed: int) -> None:
        """Reads nothing yet; `store.fill()` keeps the images in memory.

        Raises:
            DataError: if the set has no images.
        """
        self._maker = CropMaker(labelled, config, crops_per_epoch, seed)

    @property
    def store(self) -> ImageStore:
        """The images."""
        return self._maker.store

    def sources(self, key: Key) -> tuple[Path, ...]:
        """The image files that a crop is made from."""
        return self._maker.sources(*key)

    def __len__(self) -> int:
        return self._maker.crops_per_epoch

    def __getitem__(self, key: Key) -> TrainSample:
        crop, labelled = self._maker.make(*key)
        return TrainSample(
            _image_tensor(crop.image),
            torch.from_numpy(crop.boxes_xyxy),
            torch.from_numpy(crop.labels),
            torch.from_numpy(crop.difficult),
            torch.from_numpy(labelled),
        )


def collate_train(samples: Sequence[TrainSample]) -> TrainBatch:
    """Collates crops of one size into a batch."""
    return TrainBatch(
        torch.stack([sample.image for sample in samples]),
        tuple(sample.boxes_xyxy for sample in samples),
        tuple(sample.labels for sample in samples),
        tuple(sample.difficult for sample in samples),
        torch.stack([sample.labelled for sample in samples]),
    )


class CropBatches(Sampler[list[Key]]):
    """The crops of each training step, as a function of the step's number: resuming needs no other state.

    Processes that train together take equal parts of each batch, so that a step sees the same crops whatever their
    number.
    """

    def __init__(self, steps_per_epoch: int, batch: int, rank: int = 0, world: int = 1) -> None:
        """Starts at step 0.

        Args:
            steps_per_epoch: number of steps that show as many crops as there are images.
            batch: crops per step, over all processes; a multiple of `world`.
            rank: index of this process, 0 to world - 1.
            world: number of processes that train together.
        """
        self.start = 0
        self._steps_per_epoch = steps_per_epoch
        self._batch = batch
        self._rank = rank
        self._world = world

    def __iter__(self) -> Iterator[list[Key]]:
        return map(self.keys, itertools.count(self.start))

    def keys(self, step: int) -> list[Key]:
        """This process's crops of a step."""
        epoch, within = divmod(step, self._steps_per_epoch)
        first = within * self._batch + self._rank
        return [(epoch, first + index * self._world) for index in range(self._batch // self._world)]


def train_loader(
    dataset: CropDataset, batches: CropBatches, workers: int, pin_memory: bool = False
) -> DataLoader[TrainSample]:
    """Endless batches of training crops, prepared ahead by worker processes (0 workers: on demand)."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate_train,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals,
        prefetch_factor=4 if workers else None,
        # Forked workers share the images kept in memory; other start methods would copy them to each worker.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        generator=torch.Generator(),  # the loader draws a seed, which must not advance the generator of the training
    )


def _ignore_signals(worker: int) -> None:
    """Makes a worker ignore SIGINT and SIGTERM.

    Ctrl-C reaches every process of a terminal, and the SIGTERM of batch systems and `timeout` every process of a job.
    The trainer alone decides when to stop and ends its workers; they exit on their own if it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@dataclass(frozen=True, slots=True, eq=False)
class EvalSample:
    """One whole image, fitted into a square."""

    image: Tensor
    """(3, S, S) uint8: the image in the upper left corner, filled to the right or below."""
    scale_xy: tuple[float, float]
    """Pixels of the original per pixel of `image`, across and down (they differ only by rounding)."""
    index: int
    """Index of the image in the set."""


@dataclass(frozen=True, slots=True, eq=False)
class EvalBatch:
    """B images, as in EvalSample."""

    images: Tensor
    """(B, 3, S, S) uint8."""
    scales_xy: tuple[tuple[float, float], ...]
    indices: tuple[int, ...]


class EvalDataset(Dataset[EvalSample]):
    """The images of a set, each as a whole, by index."""

    def __init__(self, labelled: LabelledSet, size: int, enlarge: bool = True, fill: Colour | None = None) -> None:
        """Reads nothing yet; `store.fill()` keeps the images in memory.

        Args:
            labelled: the set.
            size: side of the square, pixels; the image's longer side is scaled to it.
            enlarge: whether smaller images are enlarged too.
            fill: colour of the padding; None: as in training.
        """
        self._annotations = labelled.annotations
        self._size = size
        self._enlarge = enlarge
        self._fill = fill or AugmentConfig().fill
        self.store = ImageStore(labelled.annotations, size, fill=self._fill)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> EvalSample:
        image, annotation = self.store.load(index), self._annotations[index]
        crop = Crop(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
        if self._enlarge and max(crop.size) < self._size:
            factor = self._size / max(crop.size)
            crop = resized(crop, *(max(1, round(side * factor)) for side in crop.size))
        width, height = crop.size
        square = cropped(crop, 0, 0, self._size, self._size, 0, self._fill)
        return EvalSample(_image_tensor(square.image), (annotation.width / width, annotation.height / height), index)


def collate_eval(samples: Sequence[EvalSample]) -> EvalBatch:
    """Collates images of one size into a batch."""
    return EvalBatch(
        torch.stack([sample.image for sample in samples]),
        tuple(sample.scale_xy for sample in samples),
        tuple(sample.index for sample in samples),
    )


def to_original(boxes_xyxy: NDArray[np.floating[Any]], scale_xy: tuple[float, float]) -> NDArray[np.float64]:
    """Boxes found in an EvalSample's image, (N, 4), converted to pixels of the original image."""
    original: NDArray[np.float64] = boxes_xyxy.astype(np.float64) * np.array([*scale_xy, *scale_xy])
    return original


def _image_tensor(image: Pixels) -> Tensor:
    """(height, width, 3) as (3, height, width)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
