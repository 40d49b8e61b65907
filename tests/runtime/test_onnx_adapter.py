"""Graphs of other programs run as our own do: every layout gives the boxes that are there, with both backends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from shapely import affinity, box
from support.onnx_detectors import CELL, DEEPNESS, coloured, write_detector

from lcageo.config import Backend, DetectConfig
from lcageo.errors import DeviceError, ModelError
from lcageo.runtime.catalog import find_card
from lcageo.runtime.layouts import Layout
from lcageo.runtime.onnx_adapter import adapted
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor

SQUARES = [(0, 0, 0), (3, 1, 1), (7, 7, 2), (5, 4, 0)]
IMAGE = coloured(64, 64, SQUARES)[None]
BACKENDS = [Backend.OPENVINO, Backend.ONNX]


def found(path: Path, backend: Backend, image: np.ndarray = IMAGE) -> set[tuple[int, ...]]:
    """Column, row, class of the boxes found, all of which must be cells of score 1."""
    (one,) = load_predictor(find_card(str(path)), DetectConfig(), "cpu", backend).predict(image)
    assert one.scores == pytest.approx(np.ones(len(one)), abs=1e-3)
    assert one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2] == pytest.approx(np.full((len(one), 2), CELL), abs=1e-3)
    corners = one.boxes_xyxy[:, :2] / CELL
    assert np.abs(corners - corners.round()).max() < 1e-3
    return {(*corner, label) for corner, label in zip(corners.round().astype(int).tolist(), one.labels, strict=True)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", Layout)
def test_each_layout_gives_what_is_there(tmp_path: Path, layout: Layout, backend: Backend) -> None:
    assert found(write_detector(tmp_path / "a.onnx", layout), backend) == set(SQUARES)


@pytest.mark.parametrize("opset", [11, 12, 13, 18, 21])
@pytest.mark.parametrize("layout", Layout)
def test_graphs_of_old_and_new_opsets_are_run(tmp_path: Path, layout: Layout, opset: int) -> None:
    assert found(write_detector(tmp_path / "a.onnx", layout, opset=opset), Backend.ONNX) == set(SQUARES)


def test_a_graph_of_an_opset_before_that_is_refused(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS, opset=10)
    with pytest.raises(ModelError, match=r"a\.onnx' is of opset 10; export it with opset 11 or later"):
        load_predictor(find_card(str(path)), DetectConfig(), "cpu", Backend.ONNX)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "about",
    [{"kind": TensorProto.FLOAT16}, {"batched": False}, {"dynamic": True}],
    ids=["half precision", "no batch axis", "dynamic"],
)
def test_inputs_of_other_types_and_shapes_are_served(
    tmp_path: Path, about: dict[str, object], backend: Backend
) -> None:
    if "dynamic" in about:
        (tmp_path / "a.toml").write_text("tile_size = 64")
    assert found(write_detector(tmp_path / "a.onnx", Layout.YOLO_V5, **about), backend) == set(SQUARES)  # type: ignore[arg-type]


def test_bytes_go_in_and_boxes_inside_the_tile_come_out(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "a.onnx", Layout.OBB)
    graph = onnx_graph(find_card(str(path)))
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert [(one.name, one.type, one.shape) for one in session.get_inputs()] == [
        ("images", "tensor(uint8)", [1, 3, 64, 64])
    ]
    scores, boxes = session.run(("scores", "boxes"), {"images": IMAGE})
    assert scores.shape == (1, 64, 3) and boxes.shape == (1, 64, 4)
    assert boxes.min() == 0 and boxes.max() == 64
    assert ((scores > 0).sum(axis=-1) == 1).all()  # a box has one class


def test_the_bounds_of_a_turned_box(tmp_path: Path) -> None:
    """Of a box of 20 x 10 pixels by 30 degrees, as shapely turns it."""
    path = write_detector(tmp_path / "a.onnx", Layout.OBB)
    model = onnx.load(path)
    for one in model.graph.initializer:
        values = onnx.numpy_helper.to_array(one).copy()
        if values.shape == (1, 64, 4):
            values[..., 2:], values[..., :2] = (20, 10), (32, 30)
        elif values.shape == (1, 64, 1) and values.max() > 1.5:
            values[:] = np.radians(30)
        one.CopyFrom(onnx.numpy_helper.from_array(values, one.name))
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(onnx_graph(find_card(str(path))), providers=["CPUExecutionProvider"])
    _, boxes = session.run(("scores", "boxes"), {"images": IMAGE})
    expected = affinity.rotate(box(22, 25, 42, 35), 30).bounds
    assert boxes[0, 0] == pytest.approx(expected, abs=1e-3)


def test_the_mean_and_the_deviation_of_the_metadata_are_applied(tmp_path: Path) -> None:
    about = DEEPNESS | {"standardization_mean": [0.5, 0.25, 0.0], "standardization_std": [0.5, 0.75, 2.0]}
    path = write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS, about)
    session = onnxruntime.InferenceSession(onnx_graph(find_card(str(path))), providers=["CPUExecutionProvider"])
    scores, _ = session.run(("scores", "boxes"), {"images": IMAGE})
    assert scores[0, 0].tolist() == pytest.approx([(1 - 0.5) / 0.5, 0, 0])
    assert scores[0, 3 + 8].tolist() == pytest.approx([0, (1 - 0.25) / 0.75, 0])


def test_a_card_without_layout_is_not_adapted(untrained: Path) -> None:
    with pytest.raises(AssertionError, match="only graphs of other programs"):
        adapted(write_detector(untrained / "x.onnx", Layout.OBB).read_bytes(), find_card(str(untrained)))
    (untrained / "x.onnx").unlink()


def test_tiles_of_another_size_are_refused(tmp_path: Path) -> None:
    predictor = load_predictor(
        find_card(str(write_detector(tmp_path / "a.onnx", Layout.OBB))), DetectConfig(), "cpu", Backend.ONNX
    )
    with pytest.raises(DeviceError, match="is an ONNX graph and takes only tiles of 64 pixels"):
        predictor.predict(IMAGE[:, :, :32, :32])


@pytest.mark.parametrize("backend", BACKENDS)
def test_constants_that_only_a_branch_uses_are_found(tmp_path: Path, backend: Backend) -> None:
    """The detector's outputs pass an If, whose branches multiply them by a constant of the graph around."""
    path = write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS)
    model = onnx.load(path)
    graph, helper = model.graph, onnx.helper
    (output,) = graph.output
    inner = f"{output.name}/inner"
    for node in graph.node:
        node.output[:] = [inner if name == output.name else name for name in node.output]
    branches = []
    for name, factor in (("then_branch", "one"), ("else_branch", "none")):
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        product = helper.make_node("Mul", [inner, factor], [name])
        branches.append(helper.make_graph([product], name, [], [result]))
        graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor == "one"), factor))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    then, other = branches
    graph.node.append(helper.make_node("If", ["yes"], [output.name], then_branch=then, else_branch=other))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    assert found(path, backend) == set(SQUARES)
