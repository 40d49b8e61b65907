"""What ONNX files of other programs say of themselves, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from support.onnx_detectors import CLASSES, DEEPNESS, write_detector

from lcageo.errors import DeviceError, ModelError
from lcageo.network_config import OnnxConfig
from lcageo.runtime.catalog import ModelCard, find_card, write_card
from lcageo.runtime.layouts import Layout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cars.onnx"


def card_of(path: Path, metadata: dict[str, Any], layout: Layout = Layout.ULTRALYTICS, **about: Any) -> ModelCard:
    return find_card(str(write_detector(path, layout, metadata, **about)))


def test_the_metadata_of_deepness_and_geodeep(path: Path) -> None:
    card = card_of(path, DEEPNESS | {"det_type": "YOLO_v9", "license": "CC BY 4.0"})
    assert (card.name, card.classes, card.layout, card.network) == ("cars", CLASSES, Layout.ULTRALYTICS, None)
    assert card.gsd_m == (0.5, 0.5) and card.has_gsd and card.gsd_text == "0.5"  # from centimetres
    assert card.thresholds == dict.fromkeys(CLASSES, 0.5) and card.iou == 0.4
    assert card.tile_size == 64 and card.largest_object_px == 16  # a quarter of the tile
    assert (card.mean, card.std, card.fill) == ((0, 0, 0), (255, 255, 255), (0, 0, 0))
    assert card.licence == "CC BY 4.0" and card.is_trained and not card.is_quantised and card.is_graph
    assert len(card.read_weights()) == path.stat().st_size


def test_the_metadata_of_ultralytics(path: Path) -> None:
    """Which writes Python's literals."""
    write_detector(path, Layout.ULTRALYTICS, {}, dynamic=True)
    model = onnx.load(path)
    written = {
        "names": "{0: 'red', 1: 'green', 2: 'blue'}", "imgsz": "[64, 64]", "task": "detect", "stride": "32",
        "end2end": "False", "license": "AGPL-3.0", "description": "Ultralytics YOLO11n model", "args": "{'nms': False}",
    }  # fmt: skip
    onnx.helper.set_model_props(model, written)
    onnx.save(model, path)
    card = find_card(str(path))
    assert card.classes == CLASSES and card.layout is Layout.ULTRALYTICS and card.tile_size == 64
    assert card.trained_on == "Ultralytics YOLO11n model" and not card.has_gsd and card.iou is None
    onnx.helper.set_model_props(model, written | {"args": "{'nms': True}"})
    onnx.save(model, path)
    assert find_card(str(path)).layout is Layout.END_TO_END


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a", "b", "c"], ("a", "b", "c")),
        ({"0": "a", "2": "c", "1": "b"}, ("a", "b", "c")),
        ({"1": "a", "2": "b"}, ("class 0", "a", "b")),  # torchvision counts from 1
    ],
)
def test_names_of_classes_in_all_forms(path: Path, names: Any, classes: tuple[str, ...]) -> None:
    assert card_of(path, {"class_names": names}, Layout.RETINANET).classes == classes


def test_what_the_user_and_a_card_say_replaces_what_the_file_says(path: Path) -> None:
    write_detector(path, Layout.ULTRALYTICS)
    path.with_suffix(".toml").write_text(
        'classes = ["a", "b", "c"]\ngsd_m = [0.1, 0.2]\nlicence = "mine"\n[thresholds]\nb = 0.7\n[size_m]\na = [1, 9]\n'
    )
    card = find_card(str(path))
    assert card.classes == ("a", "b", "c") and card.gsd_m == (0.1, 0.2) and card.licence == "mine"
    assert card.thresholds == {"b": 0.7} and card.size_m == {"a": (1.0, 9.0)} and card.iou == 0.4
    assert find_card(str(path.with_suffix(".toml"))) == card
    about = OnnxConfig(model_classes=("x", "y", "z"), model_gsd=(1.0, 2.0))
    path.with_suffix(".toml").write_text("gsd_m = [0.1, 0.2]")
    assert find_card(str(path), about).classes == ("x", "y", "z") and find_card(str(path), about).gsd_m == (1.0, 2.0)


def test_its_card_reads_back_as_written(path: Path) -> None:
    card = card_of(path, DEEPNESS)
    write_card(card, path.with_suffix(".toml"))
    assert find_card(str(path)) == card


def test_the_card_of_another_model_beside_it_is_not_its_own(path: Path, untrained: Path) -> None:
    path.with_suffix(".toml").write_bytes((untrained / "model.toml").read_bytes())
    assert card_of(path, DEEPNESS).classes == CLASSES


def test_a_card_that_is_not_of_the_file_as_it_is_now_is_refused_when_it_runs(path: Path) -> None:
    path.with_suffix(".toml").write_text(f'sha256 = "{"0" * 64}"')
    with pytest.raises(ModelError, match=r"is not the file that the card of model 'cars' describes"):
        card_of(path, DEEPNESS).read_weights()


@pytest.mark.parametrize(
    ("metadata", "about", "words"),
    [
        ({}, {}, "does not name its 3 classes; name them with --model-classes"),
        ({"class_names": ["a"]}, {}, r"its outputs \(1, 7, 64\) are those of no detector .* with 1 class;"),
        (DEEPNESS | {"model_type": "Segmentor"}, {}, "is a model for 'Segmentor'; lcageo runs detectors"),
        ({"names": ["a"] * 3, "task": "pose"}, {}, "is a model for 'pose'; lcageo runs detectors"),
        (DEEPNESS, {"dynamic": True}, "takes tiles of any size; .* --model-tile 640"),
        (DEEPNESS | {"resolution": "fine"}, {}, "metadata of '.*cars.onnx' cannot be used: could not convert"),
        (DEEPNESS | {"resolution": -3}, {}, "gsd_m"),
        (DEEPNESS | {"det_conf": 40}, {}, "thresholds"),
        (DEEPNESS | {"class_names": {"0": "a", "20000": "b"}}, {}, "classes are numbered from 0 to 20000"),
        (DEEPNESS | {"class_names": ["a", "a", "b"]}, {}, "classes"),
        (DEEPNESS | {"det_type": "DETR"}, {}, "layout 'DETR' is not known"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    path: Path, metadata: dict[str, Any], about: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        card_of(path, metadata, **about)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([1, 4, 64, 64], r"\(1, 4, 64, 64\); lcageo gives red, green and blue"),
        ([8, 3, 64, 64], "takes 8 tiles at a time; export it with a batch of 1"),
        ([1, 3, 64, 96], "tiles of 96 x 64 pixels are not square"),
        ([1, 64, 64, 3], "red, green and blue"),
    ],
)
def test_inputs_that_cannot_be_served_are_refused(path: Path, shape: list[int], words: str) -> None:
    model = onnx.load(write_detector(path, Layout.ULTRALYTICS))
    for axis, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        axis.dim_value = size
    onnx.save(model, path)
    with pytest.raises(ModelError, match=words):
        find_card(str(path))


def test_a_tile_that_the_graph_does_not_take_is_refused(path: Path) -> None:
    write_detector(path, Layout.ULTRALYTICS)
    with pytest.raises(ModelError, match="takes tiles of 64 pixels only, not of 128; leave out --model-tile"):
        find_card(str(path), OnnxConfig(model_tile=128))
    write_detector(path, Layout.ULTRALYTICS, dynamic=True)
    assert find_card(str(path), OnnxConfig(model_tile=128)).tile_size == 128


def test_files_that_are_no_complete_graph_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cars\.onnx' cannot be read: No such file"):
        find_card(str(path))
    path.write_bytes(b"\x08\x08\x12not a graph")
    with pytest.raises(ModelError, match="is not an ONNX file, or is damaged"):
        find_card(str(path))
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="has 0 inputs"):
        find_card(str(path))
    whole = onnx.load(write_detector(tmp_path / "whole.onnx", Layout.ULTRALYTICS))
    onnx.save(whole, path, save_as_external_data=True, location="cars.data", size_threshold=0)
    with pytest.raises(ModelError, match=r"keeps its weights in another file; make one file of both with Python"):
        find_card(str(path))


def test_a_missing_package_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_detector(path, Layout.ULTRALYTICS)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DeviceError, match=r"reading '.*cars.onnx' requires onnx: pip install onnx"):
        find_card(str(path))


def test_metadata_are_json_or_python_or_text(path: Path) -> None:
    model = onnx.load(write_detector(path, Layout.ULTRALYTICS))
    props = {"class_names": json.dumps(list(CLASSES)), "model_type": "Detector", "det_type": "YOLO_v8", "x": "[" * 9000}
    onnx.helper.set_model_props(model, props)
    onnx.save(model, path)
    assert find_card(str(path)).layout is Layout.ULTRALYTICS
