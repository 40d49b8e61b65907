"""Gives the graph of another program's detector the input and outputs of our own, so that all backends run it alike.

Nodes before it turn bytes into what it takes, nodes behind it turn what it gives into scores and boxes. Only operators
are used that are the same from opset 11 on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import ModelError
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.layouts import Layout

if TYPE_CHECKING:
    import onnx

FIRST_OPSET = 11
PREFIX = "model/"
"""Before all names of the graph, so that none is one of ours."""


def adapted(content: bytes, card: ModelCard) -> bytes:
    """The graph described in `onnx_graph.onnx_graph` for a model of another program.

    Args:
        content: its ONNX file.
        card: its card, with a layout.

    Raises:
        ModelError: if its operators are too old.
    """
    import onnx
    import onnx.compose

    model = onnx.load_from_string(content)
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < FIRST_OPSET:
        raise ModelError(
            f"'{card.weights}' is of opset {opset}; export it with opset {FIRST_OPSET} or later (Ultralytics: opset=17)"
        )
    # Named here, since `add_prefix` forgets those that only the branches of an If or the body of a Loop use.
    names = {one.name: PREFIX + one.name for one in model.graph.initializer}
    onnx.compose.add_prefix_graph(model.graph, PREFIX, inplace=True, name_map=names)
    graph, side = model.graph, card.tile_size
    stored = {one.name for one in graph.initializer}
    (image,) = (one for one in graph.input if one.name not in stored)
    outputs = list(graph.output)
    before, after = _Nodes("before"), _Nodes("after")
    _image(before, image, card)
    scores, boxes = _DECODED[_layout(card)](after, _sorted(outputs), len(card.classes))
    after("Identity", scores, output="scores")
    after("Clip", boxes, np.float32(0), np.float32(side), output="boxes")
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:], graph.output[:]
    graph.input.remove(image)
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])
    floats, helper = onnx.TensorProto.FLOAT, onnx.helper
    graph.input.append(helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, [1, 3, side, side]))
    graph.output.append(helper.make_tensor_value_info("scores", floats, [1, None, len(card.classes)]))
    graph.output.append(helper.make_tensor_value_info("boxes", floats, [1, None, 4]))
    adapted_content: bytes = model.SerializeToString()
    return adapted_content


class _Nodes:
    """Nodes and constants to add to a graph."""

    def __init__(self, name: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._name = name

    def __call__(self, operator: str, *inputs: str | NDArray[Any] | np.generic, output: str = "", **about: Any) -> str:
        """Adds a node and returns the name of its output; arrays become constants."""
        from onnx import helper

        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        output = output or f"{self._name}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **about))
        return output

    def _constant(self, value: NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        name = f"{self._name}/constant {len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def columns(self, rows: str, start: int, end: int) -> str:
        """Columns of (1, N, C) rows."""
        return self("Slice", rows, np.array([start]), np.array([end]), np.array([2]))

    def one_hot(self, numbers: str, count: int) -> str:
        """(1, N) int64 class numbers to (1, N, K) with a one at the class."""
        return self("OneHot", numbers, np.int64(count), np.array([0, 1], np.float32), axis=-1)

    def best(self, scores: str, count: int) -> str:
        """(1, N, K) with a one at the best class of each location."""
        return self.one_hot(self("ArgMax", scores, axis=2, keepdims=0), count)


def _image(nodes: _Nodes, image: onnx.ValueInfoProto, card: ModelCard) -> None:
    """From bytes, (1, 3, S, S) red, green, blue, to the graph's own input."""
    import onnx

    about = image.type.tensor_type
    pixels = "images"
    if about.elem_type != onnx.TensorProto.UINT8:
        mean, std = (np.array(value, np.float32)[None, :, None, None] for value in (card.mean, card.std))
        pixels = nodes("Div", nodes("Sub", nodes("Cast", pixels, to=onnx.TensorProto.FLOAT), mean), std)
        pixels = nodes("Cast", pixels, to=about.elem_type)
    shape = (1, 3, card.tile_size, card.tile_size)[-len(about.shape.dim) :]
    nodes("Reshape", pixels, np.array(shape), output=image.name)


def _sorted(outputs: Sequence[onnx.ValueInfoProto]) -> list[onnx.ValueInfoProto]:
    """Three outputs as boxes, scores, classes, which torchvision's detectors give in various orders; others as given.

    Classes are integers, boxes have two axes. Where that does not tell, the order is GeoDeep's: boxes, scores, classes.
    """
    import onnx

    integers = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)

    def place(output: onnx.ValueInfoProto) -> int:
        about = output.type.tensor_type
        return 0 if len(about.shape.dim) == 2 else 2 if about.elem_type in integers else 1

    return sorted(outputs, key=place) if len(outputs) == 3 else list(outputs)


def _layout(card: ModelCard) -> Layout:
    assert card.layout is not None, "only graphs of other programs are adapted"
    return card.layout


def _floats(nodes: _Nodes, output: onnx.ValueInfoProto) -> str:
    import onnx

    return nodes("Cast", output.name, to=onnx.TensorProto.FLOAT)


def _corners(nodes: _Nodes, centres: str, sides: str) -> str:
    """(1, N, 4) corners of boxes with these centres and sides, each (1, N, 2)."""
    half = nodes("Mul", sides, np.float32(0.5))
    return nodes("Concat", nodes("Sub", centres, half), nodes("Add", centres, half), axis=2)


def _centred(nodes: _Nodes, rows: str) -> str:
    """(1, N, 4) corners of rows that start with centre x, centre y, width, height."""
    return _corners(nodes, nodes.columns(rows, 0, 2), nodes.columns(rows, 2, 4))


Decoded = tuple[str, str]
"""Names of (1, N, K) scores and (1, N, 4) boxes x1, y1, x2, y2, tile pixels."""


def _yolo_v5(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    rows = _floats(nodes, outputs[0])
    best = nodes.best(nodes.columns(rows, 5, 5 + count), count)
    return nodes("Mul", best, nodes.columns(rows, 4, 5)), _centred(nodes, rows)


def _yolo_v6(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    rows = _floats(nodes, outputs[0])
    return _best_only(nodes, nodes.columns(rows, 5, 5 + count), count), _centred(nodes, rows)


def _ultralytics(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    rows = nodes("Transpose", _floats(nodes, outputs[0]), perm=[0, 2, 1])
    return _best_only(nodes, nodes.columns(rows, 4, 4 + count), count), _centred(nodes, rows)


def _rotated(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    """A box of sides w, h turned by a has bounds of |w cos a| + |h sin a| by |w sin a| + |h cos a|."""
    rows = nodes("Transpose", _floats(nodes, outputs[0]), perm=[0, 2, 1])
    angle = nodes.columns(rows, 4 + count, 5 + count)
    along, across = (nodes("Abs", nodes(function, angle)) for function in ("Cos", "Sin"))
    width, height = nodes.columns(rows, 2, 3), nodes.columns(rows, 3, 4)
    bounds = [
        nodes("Add", nodes("Mul", width, one), nodes("Mul", height, other))
        for one, other in ((along, across), (across, along))
    ]
    sides = nodes("Concat", *bounds, axis=2)
    boxes = _corners(nodes, nodes.columns(rows, 0, 2), sides)
    return _best_only(nodes, nodes.columns(rows, 4, 4 + count), count), boxes


def _end_to_end(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    import onnx

    rows = _floats(nodes, outputs[0])
    numbers = nodes("Cast", nodes.columns(rows, 5, 6), to=onnx.TensorProto.INT64)
    best = nodes.one_hot(nodes("Reshape", numbers, np.array([1, -1])), count)
    return nodes("Mul", best, nodes.columns(rows, 4, 5)), nodes.columns(rows, 0, 4)


def _retinanet(nodes: _Nodes, outputs: Sequence[onnx.ValueInfoProto], count: int) -> Decoded:
    import onnx

    boxes, scores, numbers = outputs
    labels = nodes("Reshape", nodes("Cast", numbers.name, to=onnx.TensorProto.INT64), np.array([1, -1]))
    values = nodes("Reshape", _floats(nodes, scores), np.array([1, -1, 1]))
    return (
        nodes("Mul", nodes.one_hot(labels, count), values),
        nodes("Reshape", _floats(nodes, boxes), np.array([1, -1, 4])),
    )


def _best_only(nodes: _Nodes, scores: str, count: int) -> str:
    """(1, N, K) scores, zero but for the best class of each location."""
    return nodes("Mul", scores, nodes.best(scores, count))


_DECODED: dict[Layout, Callable[..., Decoded]] = {
    Layout.YOLO_V5: _yolo_v5,
    Layout.YOLO_V6: _yolo_v6,
    Layout.ULTRALYTICS: _ultralytics,
    Layout.SEGMENTATION: _ultralytics,
    Layout.OBB: _rotated,
    Layout.END_TO_END: _end_to_end,
    Layout.RETINANET: _retinanet,
}
