"""Graphs without weights: what they depend on, what fills them, and that torch is not needed for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from support.bare import bare_environment
from support.untrained import make_untrained_model

from lcageo.errors import DeviceError, ModelError
from lcageo.runtime.catalog import ModelCard, find_card, shipped_cards
from lcageo.runtime.onnx_export import export_structure
from lcageo.runtime.onnx_graph import EXPORTERS, onnx_graph
from lcageo.runtime.onnx_structure import PREFIX, filled, of_every_size, read_structure, structure_key, structure_path

SHIPPED = [card.name for card in shipped_cards() if not card.is_quantised]
WITHOUT_TORCH = ("torch", "onnxscript")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return find_card(str(make_untrained_model(tmp_path_factory.mktemp("model"), tile_size=64)))


@pytest.fixture(scope="module")
def exported(card: ModelCard) -> bytes:
    """The card's structure, exported once: it takes seconds."""
    return export_structure(card).SerializeToString()


def test_other_weights_of_the_same_network_have_the_same_structure(
    card: ModelCard, exported: bytes, tmp_path: Path
) -> None:
    other = find_card(str(make_untrained_model(tmp_path, tile_size=64, seed=1)))
    assert card.sha256 != other.sha256 and structure_key(card) == structure_key(other)
    assert exported == export_structure(other).SerializeToString()


def test_it_holds_no_weights_and_is_filled_with_all_that_it_names(card: ModelCard, exported: bytes) -> None:
    structure, arrays = onnx.ModelProto.FromString(exported), safetensors.numpy.load(card.read_weights())
    named = [one for one in structure.graph.initializer if one.name.startswith(PREFIX)]
    unused = {name for name in arrays if name.endswith("num_batches_tracked")}
    assert {one.name.removeprefix(PREFIX) for one in named} == set(arrays) - unused
    assert not any(one.raw_data for one in named)
    complete = onnx.load_from_string(filled(structure, card, card.read_weights()))
    onnx.checker.check_model(complete)
    for one in complete.graph.initializer:
        if one.name.startswith(PREFIX):
            assert np.array_equal(onnx.numpy_helper.to_array(one), arrays[one.name.removeprefix(PREFIX)])


def test_a_structure_of_another_network_or_a_damaged_one_is_not_used(
    card: ModelCard, exported: bytes, tmp_path: Path
) -> None:
    own = replace(card, weights=tmp_path / "model.safetensors")
    assert read_structure(own) is None
    structure_path(own).write_bytes(exported)
    assert read_structure(own) is not None
    assert read_structure(replace(own, tile_size=96)) is None and read_structure(replace(own, mean=(1, 2, 3))) is None
    structure_path(own).write_bytes(b"\xff" * 40)
    assert read_structure(own) is None


def test_weights_that_do_not_fit_are_refused(card: ModelCard, exported: bytes) -> None:
    arrays = safetensors.numpy.load(card.read_weights())
    name = "head.class_logits.weight"
    for wrong in ({**arrays, name: arrays[name][:1]}, {key: arrays[key] for key in arrays if key != name}):
        with pytest.raises(ModelError, match=rf"does not fit the network of model 'untrained': {name} (has|is)"):
            filled(onnx.ModelProto.FromString(exported), card, safetensors.numpy.save(wrong))
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        filled(onnx.ModelProto.FromString(exported), card, b"something else")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_has_the_structure_of_its_network(name: str) -> None:
    for card in of_every_size(find_card(name)):
        kept = read_structure(card)
        assert kept is not None, f"the network of {name} has changed; make its graph again: lcageo models graph {name}"
        assert kept.SerializeToString() == export_structure(card).SerializeToString()
        assert structure_path(card).stat().st_size < 400_000, "operators alone, whatever the size of the weights"


@pytest.mark.parametrize("backend", ["auto", "onnx"])
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_run_where_torch_is_not_installed(name: str, backend: str, tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from lcageo import Backend, DetectConfig, find_card, load_predictor\n"
        f"card = find_card({name!r})\n"
        f"predictor = load_predictor(card, DetectConfig(), 'auto', Backend({backend!r}))\n"
        "predictor.predict(np.zeros((1, 3, card.tile_size, card.tile_size), np.uint8))\n"
        "assert sys.modules['torch'] is None and predictor.engine.device == 'cpu', predictor.engine\n"
    )
    environment = {**bare_environment(tmp_path, WITHOUT_TORCH), "LCAGEO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_without_a_structure_says_what_makes_it(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path))
    for package in EXPORTERS:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DeviceError, match=r"making the graph of model 'untrained'.* pip install .lcageo\[torch\]"):
        onnx_graph(card)


def test_a_structure_with_zeros_in_it_is_not_used(card: ModelCard, exported: bytes, tmp_path: Path) -> None:
    """It may be a valid graph that gives other boxes: here, of one constant some bytes are lost."""
    own = replace(card, weights=tmp_path / "model.safetensors")
    structure = onnx.ModelProto.FromString(exported)
    constant = next(one for one in structure.graph.initializer if len(one.raw_data) > 4 and any(one.raw_data))
    constant.raw_data = bytes(len(constant.raw_data))
    structure_path(own).write_bytes(structure.SerializeToString())
    assert read_structure(own) is None
