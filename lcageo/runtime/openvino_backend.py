"""Runs a model with OpenVINO on a CPU."""

from __future__ import annotations

import functools
import threading
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Backend, Engine, Precision
from lcageo.errors import DeviceError
from lcageo.extras import require
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.compiled_graph import compiled_path, keep_compiled, read_compiled
from lcageo.runtime.cpu_backend import CpuPredictor, other_backend, side_by_side
from lcageo.runtime.selection import Selection


class OpenVinoPredictor(CpuPredictor):
    """Predictor that uses OpenVINO, in float32, or in bfloat16 on processors that support it."""

    @classmethod
    def load(cls, card: ModelCard, selection: Selection, precision: Precision) -> OpenVinoPredictor:
        """Compiles a model's graph for this processor.

        Raises:
            ModelError: if the weights are missing, altered, or do not fit the network.
            DeviceError: if OpenVINO is not installed, cannot run the graph, or the processor lacks the precision.
        """
        require("--backend openvino", None, "openvino", error=DeviceError)
        core = _core()
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        chosen = _chosen(precision, card, has_bf16)
        settings = _settings(chosen, has_bf16, *side_by_side())

        def prepare(graph: bytes) -> _Requests:
            try:
                return _Requests(_compiled(core, card.name, graph, settings))
            except RuntimeError as error:
                raise DeviceError(
                    f"OpenVINO cannot run model '{card.name}': {error}; try --backend {other_backend(card)}"
                ) from error

        return cls(card, Engine(Backend.OPENVINO, chosen, "cpu"), selection, prepare)


@functools.cache
def _core() -> Any:
    """OpenVINO's only Core in this process.

    Never a second: a Core gives its thread its own signal stack and, when destroyed, restores the one that it found
    (SigAltStackSetup in OpenVINO's src/plugins/intel_cpu). Two Cores that are not destroyed in the reverse order of
    creation leave the thread with a signal stack in freed memory, and the next Ctrl-C is a segmentation fault.
    """
    import openvino

    return openvino.Core()


def _settings(precision: Precision, has_bf16: bool, tiles: int, threads: int) -> dict[str, Any]:
    """OpenVINO's settings for running some tiles in parallel, each on some threads."""
    # In a quantised graph, that is for the layers that are not quantised, such as group normalisation.
    in_bf16 = has_bf16 and precision in (Precision.BF16, Precision.INT8)
    return {
        "NUM_STREAMS": tiles,
        "INFERENCE_NUM_THREADS": tiles * threads,
        # By default, every process pins its threads to the first cores: two processes would share one core.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if in_bf16 else "f32",
    }


def _version() -> str:
    import openvino

    return str(openvino.get_version())


def _compiled(core: Any, name: str, graph: bytes, settings: dict[str, Any]) -> Any:
    """The compiled graph, from the cache if this processor and this OpenVINO have compiled it before; same results."""
    processor = core.get_property("CPU", "FULL_DEVICE_NAME"), core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    path = compiled_path(name, graph, (_version(), processor, settings))
    if (cached := read_compiled(path)) is not None:
        with suppress(RuntimeError):  # OpenVINO refuses what another instruction set was compiled for
            return core.import_model(cached, "CPU", settings)
    compiled = core.compile_model(core.read_model(graph, b""), "CPU", settings)
    keep_compiled(lambda: compiled.export_model().getvalue(), path)
    return compiled


class _Requests:
    """Runs a compiled model with one inference request per thread."""

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._own = compiled, threading.local()

    def __call__(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        request.infer([image], share_inputs=True)
        return request.get_output_tensor(0).data, request.get_output_tensor(1).data  # read before the next tile


def _chosen(asked: Precision, card: ModelCard, has_bf16: bool) -> Precision:
    if card.is_quantised:
        return Precision.INT8
    if asked is Precision.AUTO:
        return Precision.BF16 if has_bf16 and card.agrees_in(Precision.BF16) else Precision.FP32
    if asked is Precision.FP16 or (asked is Precision.BF16 and not has_bf16):
        raise DeviceError(f"this processor has no fast {asked}; use --precision fp32, or --backend torch to emulate it")
    return asked
