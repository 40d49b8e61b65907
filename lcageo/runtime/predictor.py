"""Predictor: runs a model on a batch of tiles, with any backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.detections import Detections
from lcageo.errors import DeviceError, UsageError
from lcageo.extras import require
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_graph import must_export
from lcageo.runtime.selection import Selection


class Predictor(Protocol):
    """Runs one model on one device."""

    @property
    def card(self) -> ModelCard:
        """The model."""

    @property
    def engine(self) -> Engine:
        """What runs it."""

    @property
    def batch(self) -> int:
        """Number of tiles that it prefers per batch."""

    @property
    def tile_by_tile(self) -> bool:
        """Whether it runs each tile on its own: then the result of a tile does not depend on the batch's shape."""

    def prepare(self, side: int) -> None:
        """Makes it ready for its first tiles, of this side, now or in the background; later calls do nothing."""

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Objects in each tile of a batch. May be called from several threads.

        Args:
            images: (B, 3, tile_size, tile_size) uint8 RGB.

        Returns:
            B Detections in tile pixels, float32, each already free of duplicates, best first.

        Raises:
            DeviceMemoryError: if the device cannot hold the batch.
        """

    def forward(self, images: NDArray[np.uint8]) -> None:
        """Runs only the network, for comparison; arguments and errors as in `predict`."""


def load_predictor(
    card: ModelCard,
    config: DetectConfig,
    device: str = "auto",
    backend: Backend = Backend.AUTO,
    precision: Precision = Precision.AUTO,
) -> Predictor:
    """A predictor for a model.

    Args:
        card: the model.
        config: which boxes to return; its score, classes, iou and max_per_tile are used.
        device: 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'.
        backend: what runs it; AUTO: torch on a GPU; on a CPU the first of OpenVINO, ONNX Runtime and torch that is
            installed and can run it.
        precision: precision to compute in; AUTO: bfloat16 if the device is fast in it and the card says that the
            model's results agree, else float32.

    Raises:
        UsageError: if the config names a class that the model does not have, or backend, precision and device cannot
            be combined.
        ModelError: if the weights are missing, altered, or do not fit the network.
        DeviceError: if the device, or the backend's package, is not available, or this process was forked from one
            that has run a model.
    """
    return load_engine(card, config, Engine(backend, precision, device))


def load_engine(card: ModelCard, config: DetectConfig, asked: Engine, side: int | None = None) -> Predictor:
    """The same as `load_predictor`, with device, backend and precision as one Engine.

    Args:
        card: the model.
        config: which boxes to return.
        asked: what runs it.
        side: of the first tiles; None: the card's.
    """
    machine.refuse_fork()
    selection = check_asked(card, config, asked)
    side = card.tile_size if side is None else side
    if asked.backend is Backend.AUTO:
        on_gpu = not machine.stays_on_cpu(asked.device) and not card.is_graph and _gpu_named(asked.device)
        if not on_gpu:
            return _fastest_on_cpu(card, selection, asked.precision, side)
    backend = Backend.TORCH if asked.backend is Backend.AUTO else asked.backend
    predictor = _LOADERS[backend](card, selection, "cpu" if backend in CPU_ONLY else asked.device, asked.precision)
    predictor.prepare(side)
    return predictor


def check_asked(card: ModelCard, config: DetectConfig, asked: Engine) -> Selection:
    """Which boxes a predictor returns; checks what can be checked before it is loaded.

    Raises:
        UsageError: see `load_predictor`.
    """
    selection = Selection.of(card, config)
    if not card.has_numbers(asked.precision):
        kind = "is int8" if card.is_quantised else "is not quantised"
        raise UsageError(
            f"model '{card.name}' {kind}; leave out --precision {asked.precision}, or choose another model"
        )
    if asked.backend in CPU_ONLY and asked.device not in ("auto", "cpu"):
        raise UsageError(
            f"--backend {asked.backend} runs on a CPU, not on '{asked.device}'; leave out --backend or --device"
        )
    if card.is_graph and asked.backend is Backend.AUTO and asked.device not in ("auto", "cpu"):
        raise UsageError(
            f"model '{card.name}' is a graph, which runs on a CPU, not on '{asked.device}'; leave out --device"
        )
    return selection


def is_for_cpu(asked: Engine) -> bool:
    """Whether a backend that only runs on CPUs will be used, or torch in its place where none is installed."""
    return asked.backend in CPU_ONLY or (asked.backend is Backend.AUTO and machine.stays_on_cpu(asked.device))


def must_prepare(card: ModelCard, asked: Engine) -> bool:
    """Whether loading this will first export the model's graph, once, which is worth a message."""
    on_cpu = machine.stays_on_cpu(asked.device)
    wanted = [asked.backend] if asked.backend is not Backend.AUTO else (CPU_ONLY if on_cpu else [])
    return any(one in CPU_ONLY and machine.has_package(one) for one in wanted) and must_export(card)


CPU_ONLY = (Backend.OPENVINO, Backend.ONNX)
"""Fastest first, as measured by `lcageo bench` on the machines that examples/speed.md names."""


def _fastest_on_cpu(card: ModelCard, selection: Selection, precision: Precision, side: int) -> Predictor:
    failure: DeviceError | None = None
    for backend in CPU_ONLY:
        if machine.has_package(backend):
            try:
                predictor = _LOADERS[backend](card, selection, "cpu", precision)
                predictor.prepare(side)
                return predictor
            except DeviceError as error:  # installed, but not for this processor, network or precision
                failure = failure or error
    if machine.has_package(Backend.TORCH) and not card.is_graph:
        return _LOADERS[Backend.TORCH](card, selection, "cpu", precision)
    raise failure or DeviceError(
        f"nothing that runs model '{card.name}' on a CPU is installed: pip install \"lcageo[onnx]\""
    )


def _gpu_named(device: str) -> bool:
    """Whether a device name given by the user means a GPU; for 'auto' only torch knows, which takes seconds to import.

    Raises:
        UsageError, DeviceError: if the name is unknown, or the device is not available.
    """
    if device == "auto" and not machine.has_package(Backend.TORCH):
        return False
    try:
        require(f"--device {device}", "torch", "torch", error=DeviceError)
    except DeviceError as error:
        if device != "auto":
            raise
        raise DeviceError(f"{error}; or run on the CPU (--device cpu)") from error
    from lcageo.runtime.torch_backend import torch_device

    return torch_device(device).type != "cpu"


Loader = Callable[[ModelCard, Selection, str, Precision], Predictor]


def _torch(card: ModelCard, selection: Selection, device: str, precision: Precision) -> Predictor:
    require("PyTorch as the backend", "torch", "torch", error=DeviceError)
    from lcageo.runtime.torch_backend import TorchPredictor

    return TorchPredictor.load(card, selection, device, precision)


def _compiled(card: ModelCard, selection: Selection, device: str, precision: Precision) -> Predictor:
    require("PyTorch as the backend", "torch", "torch", error=DeviceError)
    from lcageo.runtime.torch_backend import TorchPredictor

    return TorchPredictor.load(card, selection, device, precision, compiled=True)


def _openvino(card: ModelCard, selection: Selection, device: str, precision: Precision) -> Predictor:
    from lcageo.runtime.openvino_backend import OpenVinoPredictor

    return OpenVinoPredictor.load(card, selection, precision)


def _onnx(card: ModelCard, selection: Selection, device: str, precision: Precision) -> Predictor:
    from lcageo.runtime.onnx_backend import OnnxPredictor

    return OnnxPredictor.load(card, selection, precision)


_LOADERS: dict[Backend, Loader] = {
    Backend.TORCH: _torch,
    Backend.COMPILED: _compiled,
    Backend.OPENVINO: _openvino,
    Backend.ONNX: _onnx,
}


def gpu_count() -> int:
    """Number of CUDA devices of this machine; none that we could use without torch."""
    if not machine.has_package(Backend.TORCH):
        return 0
    require("counting GPUs", "torch", "torch", error=DeviceError)
    from lcageo.runtime import torch_backend

    return torch_backend.gpu_count()
