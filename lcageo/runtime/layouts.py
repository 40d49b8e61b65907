"""Layouts of the outputs of ONNX detectors of other programs: which there are, and which one a graph has."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from lcageo.errors import ModelError

Shape = tuple[int | None, ...]
"""Sizes of an output's axes; None where the graph leaves one open."""


class Layout(StrEnum):
    """Layouts, by the names that Deepness and GeoDeep give them in `det_type`, as far as they have one.

    Shapes are for K classes and N boxes. Boxes are centre x, centre y, width and height in pixels of the tile, unless
    another form is given. A box has one class, the one that scores best.

    Source: Deepness's `detector.py`, GeoDeep's `detection.py`; the documentation of Ultralytics' export.
    """

    YOLO_V5 = "YOLO_v5_or_v7_default"
    """(1, N, 5 + K): box, objectness, class scores. The score is the objectness, as in Deepness and GeoDeep."""
    YOLO_V6 = "YOLO_v6"
    """(1, N, 5 + K): the same, but the objectness means nothing: the score is that of the class."""
    ULTRALYTICS = "YOLO_Ultralytics"
    """(1, 4 + K, N): box, class scores: YOLOv8, v9, v11, v12."""
    SEGMENTATION = "YOLO_Ultralytics_segmentation"
    """(1, 4 + K + M, N) and (1, M, h, w): the same with M coefficients of masks, which are not used."""
    OBB = "YOLO_Ultralytics_obb"
    """(1, 4 + K + 1, N): box, class scores, rotation in radians; the bounds of the rotated box are used."""
    END_TO_END = "YOLO_v10"
    """(1, N, 6): x1, y1, x2, y2, score, class, duplicates already removed: YOLOv10, v26, exports with `nms=True`."""
    RETINANET = "retinanet"
    """(N, 4) x1, y1, x2, y2; (N,) scores; (N,) classes: RetinaNet and other detectors of torchvision."""


_ALIASES = {
    Layout.YOLO_V5: ("yolo_v5", "yolo_v7"),
    Layout.ULTRALYTICS: ("yolo_v8", "yolo_v9", "yolo_v11", "yolo_v12"),
}
LAYOUTS = {name.lower(): layout for layout in Layout for name in (layout.value, *_ALIASES.get(layout, ()))}
"""Layouts by all names that GeoDeep, Deepness and their converters write, in lower case."""
_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
"""Pixels between neighbouring cells at the levels of YOLO networks: the usual ones, and those of the P6 variants."""
_ANCHORS = 3
"""Boxes per cell of YOLOv5 and v7; v6 has one."""


def parse_layout(name: str) -> Layout:
    """The layout of a name, in upper or lower case.

    Raises:
        ModelError: if there is none; it names all.
    """
    if (layout := LAYOUTS.get(name.lower())) is None:
        raise ModelError(f"its layout '{name}' is not known; lcageo knows {', '.join(Layout)}")
    return layout


def layout_of(outputs: Sequence[Shape], classes: int | None, side: int, named: str | None) -> Layout:
    """The layout of a graph's outputs.

    Args:
        outputs: their shapes.
        classes: number of classes; None if it is not known.
        side: side of the tiles, pixels.
        named: what the metadata or the user calls it; None if they do not say.

    Raises:
        ModelError: if the outputs are not of the named layout, or, without a name, of exactly one.
    """
    if named is not None:
        layout = parse_layout(named)
        if not _fits(layout, outputs, classes):
            raise ModelError(
                f"its outputs {_text(outputs)} are not of layout {layout} with {_counted(classes)}; choose another "
                f"one of {', '.join(Layout)} with --model-layout, or correct its classes with --model-classes"
            )
        return layout
    found = [one for one in Layout if _fits(one, outputs, classes) and _has_number(one, outputs, side)]
    found = [one for one in found if _is_certain(one, outputs, classes)] or found
    if len(found) != 1:
        raise ModelError(
            f"its outputs {_text(outputs)} are those of {' or '.join(found) or 'no detector that lcageo knows'} with "
            f"{_counted(classes)}; name the layout with --model-layout, the classes with --model-classes "
            f"(layouts: {', '.join(Layout)})"
        )
    return found[0]


def class_count(layout: Layout, outputs: Sequence[Shape]) -> int | None:
    """Number of classes of a graph's outputs; None where their shapes do not tell."""
    if layout in (Layout.END_TO_END, Layout.RETINANET):
        return None
    axis, others = (2, 5) if layout in (Layout.YOLO_V5, Layout.YOLO_V6) else (1, 4)
    if layout is Layout.OBB:
        others = 5
    elif layout is Layout.SEGMENTATION:
        masks = outputs[1][1]
        if masks is None:
            return None
        others += masks
    size = outputs[0][axis]
    return None if size is None else size - others


def _fits(layout: Layout, outputs: Sequence[Shape], classes: int | None) -> bool:
    """Whether outputs of these shapes can be of a layout."""
    ranks = [len(shape) for shape in outputs]
    if layout is Layout.RETINANET:
        return len(ranks) == 3 and max(ranks) <= 2
    if not ranks or ranks[0] != 3 or outputs[0][0] not in (1, None):
        return False
    _, first, last = outputs[0]
    if layout is Layout.END_TO_END:
        return last in (6, None) or (len(ranks) == 2 and ranks[1] == 4)  # with coefficients of masks
    if (layout is Layout.SEGMENTATION) != (len(ranks) == 2 and ranks[1] == 4):
        return False
    own = class_count(layout, outputs)
    if classes is not None:
        return own in (classes, None)
    # Fewer numbers per box than boxes: this tells the orientation. Rotation cannot be told from one more class.
    is_first = first is not None and (last is None or first < last)
    return layout is not Layout.OBB and own is not None and own > 0 and is_first == (layout in _CHANNELS_FIRST)


_CHANNELS_FIRST = (Layout.ULTRALYTICS, Layout.SEGMENTATION, Layout.OBB)


def _has_number(layout: Layout, outputs: Sequence[Shape], side: int) -> bool:
    """Whether a layout that shares its shape with another one has its number of boxes."""
    if layout not in (Layout.YOLO_V5, Layout.YOLO_V6, Layout.END_TO_END):
        return True
    boxes = outputs[0][1]
    cells = [sum((side // stride) ** 2 for stride in strides) for strides in _STRIDES]
    if layout is Layout.END_TO_END:
        return len(outputs) == 1 and (boxes is None or boxes not in (*cells, *(cell * _ANCHORS for cell in cells)))
    each = _ANCHORS if layout is Layout.YOLO_V5 else 1
    return boxes is None or boxes in [cell * each for cell in cells]


def _is_certain(layout: Layout, outputs: Sequence[Shape], classes: int | None) -> bool:
    """Whether outputs that can be of a layout have its sizes, not only sizes that are left open."""
    if layout is Layout.END_TO_END:
        return outputs[0][2] is not None
    return layout is Layout.RETINANET or classes is None or class_count(layout, outputs) == classes


def _counted(classes: int | None) -> str:
    return "classes that are not known" if classes is None else f"{classes} class{'es' if classes != 1 else ''}"


def _text(outputs: Sequence[Shape]) -> str:
    shapes = ("(" + ", ".join("?" if size is None else str(size) for size in shape) + ")" for shape in outputs)
    return ", ".join(shapes)
