"""Runs a model with PyTorch, on a CPU or a GPU."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcageo.config import Backend, Engine, Precision
from lcageo.detections import Detections
from lcageo.detector.decode import Selected, select
from lcageo.detector.layers import fold_batch_norm
from lcageo.detector.network import Network
from lcageo.detector.outputs import Predictions
from lcageo.errors import DeviceError, DeviceMemoryError, UsageError
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.cuda_graph import Forward, GraphedForward
from lcageo.runtime.selection import Selection
from lcageo.runtime.weights import load_network

_TYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


class TorchPredictor:
    """Predictor on a torch device.

    On a GPU a batch is copied as bytes from pinned memory on its own stream, in parallel with the running batch; a few
    hundred candidates per image come back, at the only point where the host waits.
    """

    tile_by_tile = False

    def __init__(
        self,
        card: ModelCard,
        network: Network,
        selection: Selection,
        device: torch.device,
        precision: Precision = Precision.FP32,
        compiled: bool = False,
    ) -> None:
        self.card = card
        self.engine = Engine(Backend.COMPILED if compiled else Backend.TORCH, precision, str(device))
        self.batch = 2 if device.type == "cpu" else 16  # a CPU gains nothing from more
        self._device, self._selection = device, selection
        network = network.eval()
        fold_batch_norm(network)
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._thresholds = torch.from_numpy(selection.thresholds).to(device)
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (card.mean, card.std))
        # Not a method: a predictor that refers to itself would hold GPU memory until Python collects cycles.
        forward = partial(_forward, network, mean, std, precision)
        self._predict: Forward = torch.compile(forward, dynamic=False) if compiled else forward
        self._enqueueing = threading.Lock()
        # Two threads that use Metal at the same time end the process (pytorch issue 197805).
        self._alone: AbstractContextManager[Any] = threading.RLock() if device.type == "mps" else nullcontext()
        if device.type == "cuda":
            self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._predict = GraphedForward(self._predict, device)

    @classmethod
    def load(
        cls, card: ModelCard, selection: Selection, device: str, precision: Precision, compiled: bool = False
    ) -> TorchPredictor:
        """Builds the network of a card and loads its checked weights.

        Raises:
            ModelError: if the weights are missing, altered, or do not fit the network.
            DeviceError: if the device is not available, or lacks the precision.
        """
        target = torch_device(device)
        if compiled and target.type == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
            raise DeviceError("--backend compiled needs a C++ compiler (g++); install one, or use --backend torch")
        chosen = chosen_precision(precision, card, target)
        if compiled:  # every size of tiles would take minutes
            card = replace(card, larger_tile_size=None)
        network = load_network(card)
        try:
            return cls(card, network, selection, target, chosen, compiled)
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise DeviceMemoryError(
                    f"not enough memory on {target} for model '{card.name}'; use --device cpu"
                ) from error
            raise

    def prepare(self, side: int) -> None:
        """See Predictor.prepare; the network takes tiles of any side."""

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """See Predictor.predict."""
        machine.refuse_fork()
        try:
            with torch.inference_mode(), self._alone:
                return self._on_host(images) if self._device.type == "cpu" else self._on_device(images)
        except (RuntimeError, MemoryError) as error:
            if _is_out_of_memory(error):
                raise DeviceMemoryError(
                    f"not enough memory on {self._device} for a batch of {len(images)} tiles "
                    f"of {images.shape[-1]} pixels"
                ) from error
            raise

    def forward(self, images: NDArray[np.uint8]) -> None:
        """See Predictor.forward."""
        machine.refuse_fork()
        with self._alone:
            self.run(torch.from_numpy(images).to(self._device))

    def run(self, pixels: Tensor) -> None:
        """Runs only the network on (B, 3, S, S) uint8 pixels that are on its device, and waits for it."""
        with torch.inference_mode(), self._alone, self._enqueueing:
            self._predict(pixels)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

    def _on_host(self, images: NDArray[np.uint8]) -> list[Detections]:
        with self._enqueueing:  # two batches would compete for the cores
            predictions = self._predict(torch.from_numpy(images))
        return self._selected_on_host(predictions, images.shape[-1])

    def _selected_on_host(self, predictions: Predictions, side: int) -> list[Detections]:
        return self._selection.detections(predictions.scores.cpu().numpy(), predictions.boxes_xyxy.cpu().numpy(), side)

    def _on_device(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Runs one of several batches that threads may have in flight; each waits only for its own candidates."""
        pixels = self._uploaded(images)
        with self._enqueueing:  # a graph's memory holds one batch's predictions until all that read them are enqueued
            if self._device.type == "cuda":
                torch.cuda.current_stream(self._device).wait_stream(self._copying)
            predictions = self._predict(pixels)
            selected = select(predictions, self._thresholds, self._selection.iou)
            packed = _packed(selected)
            if self._device.type == "cuda":
                pinned = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
                packed = pinned.copy_(packed, non_blocking=True)
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record(torch.cuda.current_stream(self._device))
        if self._device.type == "cuda":
            done.synchronize()
        limit = self._selection.limit(self._selection.max_per_tile, images.shape[-1])
        found = [self._unpacked(image, limit) for image in packed.cpu().numpy()]
        if any(one is None for one in found):  # more candidates than the device compares
            exact = self._again_on_host(images)
            return [exact[place] if one is None else one for place, one in enumerate(found)]
        return [one for one in found if one is not None]

    def _again_on_host(self, images: NDArray[np.uint8]) -> list[Detections]:
        with self._enqueueing:
            return self._selected_on_host(self._predict(torch.from_numpy(images).to(self._device)), images.shape[-1])

    def _uploaded(self, images: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(images)
        if self._device.type != "cuda":
            return pixels.to(self._device)
        with torch.cuda.stream(self._copying):
            copied = pixels.pin_memory().to(self._device, non_blocking=True)
        copied.record_stream(torch.cuda.current_stream(self._device))
        return copied

    def _unpacked(self, image: NDArray[np.float32], limit: int) -> Detections | None:
        """The best objects of one image; None if the device left it to the host."""
        if not image[0, 7]:
            return None
        objects = image[image[:, 6] > 0][:limit]
        return Detections(objects[:, :4], objects[:, 4], objects[:, 5].astype(np.int64))


def _forward(network: Network, mean: Tensor, std: Tensor, precision: Precision, pixels: Tensor) -> Predictions:
    """(B, 3, S, S) uint8 to scores and boxes."""
    kind = _TYPES.get(precision)
    with nullcontext() if kind is None else torch.autocast(pixels.device.type, kind):
        normalised = (pixels.float() - mean) / std
        return network.predict(normalised.contiguous(memory_format=torch.channels_last))


def _packed(selected: Selected) -> Tensor:
    """(B, C, 8) float32: box, score, label, whether kept, whether the image is complete. One array copies faster."""
    boxes, scores, labels, kept, whole = selected
    columns = (scores, labels, kept, whole[:, None].expand_as(scores))
    return torch.cat([boxes.float(), torch.stack([column.float() for column in columns], dim=-1)], dim=-1)


def chosen_precision(asked: Precision, card: ModelCard, device: torch.device) -> Precision:
    """Precision to compute in: AUTO is bfloat16 only on a device made for it, and if the card allows it.

    Raises:
        DeviceError: if the device lacks the precision.
    """
    on_gpu = device.type == "cuda"
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else _cpu_has_bf16(device)
    if asked is Precision.AUTO:
        return Precision.BF16 if has_bf16 and card.agrees_in(Precision.BF16) else Precision.FP32
    if asked is Precision.BF16 and on_gpu and not has_bf16:
        raise DeviceError(f"{device} has no bfloat16; use --precision fp16 or fp32")
    if asked is Precision.FP16 and device.type == "cpu":
        raise DeviceError("a CPU has no fast float16; use --precision fp32 or bf16")
    return asked


def _cpu_has_bf16(device: torch.device) -> bool:
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def torch_device(name: str, index: int = 0) -> torch.device:
    """The torch device for a name given by the user.

    Args:
        name: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
        index: which GPU 'auto' uses, if there is one.

    Raises:
        UsageError: if the name is unknown.
        DeviceError: if the device is not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", index)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}' is not known; use auto, cpu, cuda, cuda:N or mps") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise DeviceError(f"device '{name}' is not available on this machine; use --device cpu or auto")
    return device


def gpu_count() -> int:
    """Number of CUDA devices of this machine."""
    return torch.cuda.device_count()


def gpu_descriptions() -> dict[str, str]:
    """The GPUs of this machine by the names that --device takes, with their model and memory."""
    found = {}
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{about.name}, {about.total_memory / 1e6:,.0f} MB"
    return found | ({"mps": "Apple's GPU"} if torch.backends.mps.is_available() else {})


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU, on MPS, and when CUDA reports late, it is a plain RuntimeError: only the text distinguishes it.
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error) or "out of memory" in str(error)
