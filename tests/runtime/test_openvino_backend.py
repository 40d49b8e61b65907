"""OpenVINO on a CPU."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.errors import DeviceError
from lcageo.runtime import openvino_backend
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor

LOOSE = DetectConfig(score=0.02)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def test_a_missing_package_names_the_extra(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError, match="requires openvino: pip install openvino"):
        load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)


def test_ctrl_c_is_survived_after_two_predictors(card: ModelCard, untrained: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)  # the graph is exported once
    program = (
        "import faulthandler, gc, os, signal, numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        "def load():\n"
        f"    return load_predictor(find_card({str(untrained)!r}), DetectConfig(), 'cpu', 'openvino')\n"
        "faulthandler.enable()  # Python's handlers run on the current signal stack\n"
        "first = load()\n"
        "second = load()\n"
        "del first; gc.collect()\n"
        "del second; gc.collect()\n"
        "received = []\n"
        "signal.signal(signal.SIGINT, lambda *_: received.append(1))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert received == [1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("asked", "agrees", "has_bf16", "chosen"),
    [
        (Precision.AUTO, True, True, Precision.BF16),
        (Precision.AUTO, True, False, Precision.FP32),
        (Precision.AUTO, False, True, Precision.FP32),
        (Precision.BF16, False, True, Precision.BF16),
        (Precision.FP32, True, True, Precision.FP32),
        (Precision.BF16, True, False, None),
        (Precision.FP16, True, True, None),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_and_the_model_allow_it(
    card: ModelCard, asked: Precision, agrees: bool, has_bf16: bool, chosen: Precision | None
) -> None:
    card = replace(card, precisions=(Precision.BF16,) if agrees else ())
    if chosen is None:
        with pytest.raises(DeviceError, match=f"this processor has no fast {asked}; use --precision fp32"):
            openvino_backend._chosen(asked, card, has_bf16)
    else:
        assert openvino_backend._chosen(asked, card, has_bf16) is chosen


def test_a_file_that_is_no_graph_is_refused_with_a_remedy(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    broken = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(DeviceError, match="OpenVINO cannot run model 'untrained'"):
        load_predictor(broken, LOOSE, "cpu", Backend.OPENVINO)


def test_threads_are_not_pinned_so_that_processes_use_different_cores(card: ModelCard) -> None:
    predictor = load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
    (run,) = predictor._runs.values()  # type: ignore[attr-defined]
    assert run._compiled.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize(
    ("precision", "has_bf16", "numbers"),
    [
        (Precision.FP32, True, "f32"),
        (Precision.BF16, True, "bf16"),
        (Precision.INT8, True, "bf16"),
        (Precision.INT8, False, "f32"),
    ],
)
def test_layers_that_are_not_quantised_run_in_bfloat16_where_the_processor_has_it(
    precision: Precision, has_bf16: bool, numbers: str
) -> None:
    settings = openvino_backend._settings(precision, has_bf16, 1, 1)
    compiled = openvino_backend._core().compile_model(_sum_of_two(), "CPU", settings)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == numbers


def _sum_of_two() -> openvino.Model:
    from openvino import opset13

    values = opset13.parameter([2], np.float32)
    return openvino.Model([opset13.add(values, values)], [values])
