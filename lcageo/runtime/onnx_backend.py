"""Runs a model with ONNX Runtime on a CPU."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Backend, Engine, Precision
from lcageo.errors import DeviceError
from lcageo.extras import require
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.cpu_backend import CpuPredictor, Run, other_backend, side_by_side
from lcageo.runtime.selection import Selection


class OnnxPredictor(CpuPredictor):
    """Predictor that uses ONNX Runtime, in float32, or in int8 for a quantised model."""

    @classmethod
    def load(cls, card: ModelCard, selection: Selection, precision: Precision) -> OnnxPredictor:
        """Opens a session for a model's graph.

        Raises:
            ModelError: if the weights are missing, altered, or do not fit the network.
            DeviceError: if ONNX Runtime is not installed, cannot run the graph, or another precision is requested.
        """
        require("--backend onnx", "onnx", "onnxruntime", error=DeviceError)
        import onnxruntime

        own = Precision.INT8 if card.is_quantised else Precision.FP32
        if precision not in (Precision.AUTO, own):
            raise DeviceError(f"--backend onnx computes in fp32; for {precision} use --backend openvino or torch")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = side_by_side()[1]
        options.log_severity_level = 3  # errors

        def prepare(graph: bytes) -> Run:
            try:
                with _runtime_errors():
                    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            except RuntimeError as error:
                raise DeviceError(
                    f"ONNX Runtime cannot run model '{card.name}': {error}; try --backend {other_backend(card)}"
                ) from error
            return _runs(session)

        return cls(card, Engine(Backend.ONNX, own, "cpu"), selection, prepare)


@contextmanager
def _runtime_errors() -> Generator[None, None, None]:
    """Turns ONNX Runtime's errors, which have no base class but Exception, into RuntimeErrors, like OpenVINO's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    own = tuple(kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Exception))
    try:
        yield
    except own as error:
        raise RuntimeError(str(error)) from error


def _runs(session: Any) -> Run:
    """Runs a graph of `onnx_graph`."""

    def run(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with _runtime_errors():
            scores, boxes = session.run(("scores", "boxes"), {"images": image})
        return scores, boxes

    return run
