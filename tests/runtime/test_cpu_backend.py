"""What OpenVINO and ONNX Runtime have in common: tiles in parallel, of any size, each on its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.twins import same

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.errors import DeviceError, DeviceMemoryError
from lcageo.runtime import cpu_backend, machine
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.selection import Selection

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 3, 256, 256), dtype=np.uint8)
LOOSE = DetectConfig(score=0.02)
OTHERS = [Backend.OPENVINO, Backend.ONNX]


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


@pytest.mark.parametrize("backend", OTHERS)
def test_a_tile_gives_the_same_bits_alone_and_in_a_batch_and_from_several_threads(
    card: ModelCard, backend: Backend
) -> None:
    predictor = load_predictor(card, LOOSE, "cpu", backend)
    assert predictor.tile_by_tile
    alone = [predictor.predict(image[None])[0] for image in IMAGES]
    with ThreadPoolExecutor(2) as threads:
        for together in threads.map(predictor.predict, [IMAGES] * 4):
            for one, other in zip(alone, together, strict=True):
                assert (one.boxes_xyxy == other.boxes_xyxy).all() and (one.scores == other.scores).all()


@pytest.mark.parametrize("backend", OTHERS)
def test_smaller_tiles_than_the_card_says_are_run_too(card: ModelCard, backend: Backend) -> None:
    part = IMAGES[:1, :, :128, :128]
    expected = load_predictor(card, LOOSE, "cpu", Backend.TORCH).predict(part)
    assert same(expected, load_predictor(card, LOOSE, "cpu", backend).predict(part))


@pytest.mark.parametrize(("cores", "tiles", "threads"), [(1, 1, 1), (2, 2, 1), (8, 8, 1), (15, 8, 1), (64, 8, 8)])
def test_each_tile_has_a_core_until_memory_would_be_short(
    cores: int, tiles: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    assert cpu_backend.side_by_side() == (tiles, threads)


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (RuntimeError("bad_alloc"), DeviceMemoryError, "not enough memory on cpu for a tile of 256 pixels"),
        (MemoryError(), DeviceMemoryError, "not enough memory on cpu"),
        (RuntimeError("unsupported node"), RuntimeError, "unsupported node"),
    ],
)
def test_a_lack_of_memory_is_told_from_other_failures(
    card: ModelCard, failure: Exception, kind: type[Exception], words: str
) -> None:
    def run(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if image.any():  # the run that warms up is black
            raise failure
        return np.zeros((1, 1, 10), np.float32), np.zeros((1, 1, 4), np.float32)

    engine = Engine(Backend.ONNX, Precision.FP32, "cpu")
    predictor = cpu_backend.CpuPredictor(card, engine, Selection.of(card, LOOSE), lambda graph: run)
    assert [len(found) for found in predictor.predict(np.zeros((2, 3, 256, 256), np.uint8))] == [0, 0]
    with pytest.raises(kind, match=words):
        predictor.predict(IMAGES[:1])


def test_a_quantised_graph_takes_only_tiles_of_its_own_size(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_graph(card))
    quantised = replace(card, weights=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    predictor = load_predictor(quantised, LOOSE, "cpu", Backend.ONNX)
    assert len(predictor.predict(IMAGES[:1])[0]) > 0
    with pytest.raises(DeviceError, match="is an ONNX graph and takes only tiles of 256 pixels; choose another model"):
        predictor.predict(IMAGES[:1, :, :128, :128])
