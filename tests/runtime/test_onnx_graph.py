"""The cached graph of a model: what names it, and when it is exported again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lcageo.config import Backend, DetectConfig
from lcageo.errors import ModelError
from lcageo.runtime import machine, onnx_graph
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 3, 256, 256), dtype=np.uint8)
LOOSE = DetectConfig(score=0.02)


@pytest.fixture(scope="module")
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def test_with_a_cached_graph_torch_is_not_needed(card: ModelCard, untrained: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
    program = (
        "import sys, numpy as np\n"
        "from lcageo.config import DetectConfig\n"
        "from lcageo.runtime.catalog import find_card\n"
        "from lcageo.runtime.predictor import load_predictor\n"
        f"predictor = load_predictor(find_card({str(untrained)!r}), DetectConfig(), 'auto')\n"
        "predictor.predict(np.zeros((1, 3, 256, 256), np.uint8))\n"
        "assert predictor.engine.backend == 'openvino' and 'torch' not in sys.modules\n"
    )
    if machine.may_have_gpu():
        pytest.skip("torch is asked whether the GPU can be used")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_altered_weights_are_refused_though_their_graph_is_cached(card: ModelCard, tmp_path: Path) -> None:
    load_predictor(card, LOOSE, "cpu", Backend.OPENVINO)
    (tmp_path / "model.safetensors").write_bytes(card.read_weights()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        load_predictor(replace(card, weights=tmp_path / "model.safetensors"), LOOSE, "cpu", Backend.OPENVINO)


def test_what_decides_the_graph_decides_its_name(card: ModelCard) -> None:
    others = [
        replace(card, mean=(1.0, 2.0, 3.0)),
        replace(card, tile_size=128),
        replace(card, sha256="0" * 64),
        replace(card, network=replace(card.network, num_classes=3), classes=("a", "b", "c"), thresholds={}),
    ]
    assert len({onnx_graph._key(one) for one in [card, *others]}) == 5
    assert onnx_graph._key(replace(card, name="other", licence="other")) == onnx_graph._key(card)


def test_a_cache_that_cannot_be_written_costs_only_time(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path / "file" / "cache"))
    small = replace(card, tile_size=64)
    assert len(load_predictor(small, LOOSE, "cpu", Backend.ONNX).predict(IMAGES[:1, :, :64, :64])) == 1


def test_parts_of_killed_processes_are_removed_from_the_cache(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path))
    for name, age in (("old.graph.1.part", 2 * onnx_graph.ABANDONED_S), ("new.graph.2.part", 0.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / "own.part").touch()
    onnx_graph.onnx_graph(replace(card, tile_size=64))
    assert {path.name for path in tmp_path.glob("*.part")} == {"new.graph.2.part", "own.part"}


@pytest.mark.parametrize("damage", [b"", b"zeros", b"cut"])
def test_a_damaged_graph_is_made_again(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path))
    small = replace(card, tile_size=64)
    graph = onnx_graph.onnx_graph(small)
    (path,) = tmp_path.glob("*.graph")
    written = path.read_bytes()
    middle = len(written) // 2
    kept = {b"": b"", b"cut": written[:middle], b"zeros": written[:middle] + bytes(999) + written[middle + 999 :]}
    path.write_bytes(kept[damage])
    monkeypatch.setattr(onnx_graph, "filled", lambda *_: graph)  # made again; exporting takes twenty seconds
    monkeypatch.setattr(onnx_graph, "read_structure", lambda card: b"")
    assert onnx_graph.onnx_graph(small) == graph and path.read_bytes() == written
