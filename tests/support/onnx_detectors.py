"""Small ONNX detectors in the layouts of other programs, which find coloured squares in an image.

The network averages each channel over cells of CELL pixels: the score of class k at a cell is the mean of channel k,
from 0 to 1, and the box is the cell. A cell that is fully red is found as "red" with score 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lcageo.runtime.layouts import Layout

CELL = 8
CLASSES = ("red", "green", "blue")
DEEPNESS = {
    "model_type": "Detector",
    "class_names": {str(number): name for number, name in enumerate(CLASSES)},
    "resolution": 50.0,
    "tiles_overlap": 25.0,
    "det_conf": 0.5,
    "det_iou_thresh": 0.4,
}
"""Metadata as Deepness documents it, but for `det_type`."""
MASKS = 4


def write_detector(
    path: Path,
    layout: Layout,
    metadata: dict[str, Any] | None = None,
    side: int = 64,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    dynamic: bool = False,
    batched: bool = True,
) -> Path:
    """Writes a detector, and returns its path.

    Args:
        path: where to.
        layout: of its outputs.
        metadata: by name, written as JSON; None: DEEPNESS and the layout.
        side: of its tiles, pixels.
        opset: of its operators.
        kind: type of its input and outputs.
        dynamic: whether the shapes of input and outputs are left open.
        batched: whether its input has an axis for the batch.
    """
    cells = (side // CELL) ** 2
    nodes, stored = [], []

    def add(operator: str, *inputs: str | NDArray[Any], output: str | None = None, **about: Any) -> str:
        names = []
        for one in inputs:
            if not isinstance(one, str):
                stored.append(numpy_helper.from_array(one, f"stored{len(stored)}"))
                one = stored[-1].name
            names.append(one)
        nodes.append(helper.make_node(operator, names, [output or f"inner{len(nodes)}"], **about))
        return nodes[-1].output[0]

    image = add("Cast", "images", to=TensorProto.FLOAT)
    if not batched:
        image = add("Reshape", image, np.array([1, 3, side, side]))
    means = add("AveragePool", image, kernel_shape=[CELL, CELL], strides=[CELL, CELL])
    scores = add("Transpose", add("Reshape", means, np.array([1, 3, cells])), perm=[0, 2, 1])  # (1, N, 3)
    at = np.stack(np.meshgrid(np.arange(side // CELL), np.arange(side // CELL), indexing="xy"), -1).reshape(-1, 2)
    centred = np.hstack([(at + 0.5) * CELL, np.full((cells, 2), CELL)]).astype(np.float32)[None]
    corners = np.hstack([at * CELL, (at + 1) * CELL]).astype(np.float32)[None]
    ones = np.ones((1, cells, 1), np.float32)
    best = add("TopK", scores, np.array([1]), axis=2, output="best")
    nodes[-1].output.append("number")
    number = add("Cast", "number", to=TensorProto.FLOAT)

    def rows(*parts: str | NDArray[Any]) -> str:
        return add("Concat", *parts, axis=2)

    turned = {"perm": [0, 2, 1]}
    made: list[tuple[str, Sequence[int]]] = []
    if layout is Layout.YOLO_V5:
        made = [(rows(centred, best, scores), (1, cells, 8))]
    elif layout is Layout.YOLO_V6:
        made = [(rows(centred, ones, scores), (1, cells, 8))]
    elif layout is Layout.ULTRALYTICS:
        made = [(add("Transpose", rows(centred, scores), **turned), (1, 7, cells))]
    elif layout is Layout.SEGMENTATION:
        table = rows(centred, scores, np.full((1, cells, MASKS), 9, np.float32))
        masks = add("Identity", np.zeros((1, MASKS, 16, 16), np.float32))
        made = [(add("Transpose", table, **turned), (1, 7 + MASKS, cells)), (masks, (1, MASKS, 16, 16))]
    elif layout is Layout.OBB:  # by a quarter turn: a square stays what it is
        table = rows(centred, scores, np.full((1, cells, 1), np.pi / 2, np.float32))
        made = [(add("Transpose", table, **turned), (1, 8, cells))]
    elif layout is Layout.END_TO_END:
        made = [(rows(corners, best, number), (1, cells, 6))]
    else:
        made = [
            (add("Reshape", corners, np.array([-1, 4])), (cells, 4)),
            (add("Reshape", best, np.array([-1])), (cells,)),
            (add("Reshape", "number", np.array([-1])), (cells,)),
        ]
    outputs = []
    for place, (name, shape) in enumerate(made):
        own = TensorProto.INT64 if len(made) == 3 and place == 2 else kind
        add("Cast", name, to=own, output=f"output{place}")
        outputs.append(helper.make_tensor_value_info(f"output{place}", own, [None] * len(shape) if dynamic else shape))
    shape = [None, 3, None, None] if dynamic else [1, 3, side, side]
    given = helper.make_tensor_value_info("images", kind, shape if batched else shape[1:])
    graph = helper.make_graph(nodes, "squares", [given], outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    about = {**DEEPNESS, "det_type": str(layout)} if metadata is None else metadata
    helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    onnx.save(model, path)
    return path


def coloured(height: int, width: int, squares: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """(3, height, width) image, dark but for squares of CELL pixels, given as column and row of the cell, class."""
    image = np.full((3, height, width), 20, np.uint8)
    for column, row, label in squares:
        image[label, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 255
    return image
