"""Which layout the outputs of a graph have. The shapes are those of real exports, at 640 pixels if not said."""

from __future__ import annotations

import pytest

from lcageo.errors import ModelError
from lcageo.runtime.layouts import LAYOUTS, Layout, Shape, class_count, layout_of, parse_layout

V8, V5, V6 = (1, 84, 8400), (1, 25200, 85), (1, 8400, 85)


@pytest.mark.parametrize(
    ("outputs", "classes", "layout"),
    [
        ([V8], 80, Layout.ULTRALYTICS),
        ([V8], None, Layout.ULTRALYTICS),
        ([(None, 5, None)], 1, Layout.ULTRALYTICS),
        ([V5], 80, Layout.YOLO_V5),
        ([V5], None, Layout.YOLO_V5),
        ([(1, 25200, 6)], 1, Layout.YOLO_V5),
        ([V5, (1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)], 80, Layout.YOLO_V5),
        ([V6], 80, Layout.YOLO_V6),
        ([(1, 8400, 6)], 1, Layout.YOLO_V6),
        ([(1, 300, 6)], 80, Layout.END_TO_END),
        ([(1, 300, 6)], 1, Layout.END_TO_END),
        ([(1, 116, 8400), (1, 32, 160, 160)], 80, Layout.SEGMENTATION),
        ([(1, 116, 8400), (1, 32, 160, 160)], None, Layout.SEGMENTATION),
        ([(1, 20, 8400)], 15, Layout.OBB),
        ([(None, 4), (None,), (None,)], 1, Layout.RETINANET),
    ],
)
def test_the_layout_is_told_by_the_shapes(outputs: list[Shape], classes: int | None, layout: Layout) -> None:
    assert layout_of(outputs, classes, 640, None) is layout
    assert layout_of(outputs, classes, 640, layout.upper()) is layout


def test_the_number_of_boxes_of_four_levels_is_known_too() -> None:
    """YOLOv5's P6 models at 1280 pixels: 3 * (160^2 + 80^2 + 40^2 + 20^2) boxes."""
    assert layout_of([(1, 102000, 85)], 80, 1280, None) is Layout.YOLO_V5
    assert layout_of([(1, 34000, 85)], 80, 1280, None) is Layout.YOLO_V6


@pytest.mark.parametrize(
    ("outputs", "classes", "words"),
    [
        ([(1, 84, 8400)], 3, r"\(1, 84, 8400\) are those of no detector that lcageo knows with 3 classes"),
        ([(1, 1000)], None, "no detector that lcageo knows with classes that are not known"),
        ([(1, None, 6)], 1, "YOLO_v5_or_v7_default or YOLO_v6 or YOLO_v10 with 1 class;"),
        ([(1, 255, 80, 80), (1, 255, 40, 40)], 80, "no detector"),
        ([(2, 84, 8400)], 80, "no detector"),
        ([], 80, "no detector"),
    ],
)
def test_other_and_doubtful_outputs_are_refused_with_the_options_that_help(
    outputs: list[Shape], classes: int | None, words: str
) -> None:
    with pytest.raises(ModelError, match=words) as refused:
        layout_of(outputs, classes, 640, None)
    assert "--model-layout" in str(refused.value) and "--model-classes" in str(refused.value)


def test_a_name_decides_where_shapes_do_not() -> None:
    for name in ("YOLO_v5", "yolo_v7", "YOLO_v5_or_v7_default"):
        assert layout_of([(1, None, 6)], 1, 640, name) is Layout.YOLO_V5
    assert layout_of([(1, 1234, 85)], 80, 640, "YOLO_v6") is Layout.YOLO_V6
    assert layout_of([(), (), ()], 2, 640, "retinanet") is Layout.RETINANET
    assert layout_of([(None, None, None)], 80, 640, "YOLO_v9") is Layout.ULTRALYTICS


def test_a_name_that_the_shapes_contradict_is_refused() -> None:
    with pytest.raises(ModelError, match=r"\(1, 84, 8400\) are not of layout YOLO_v5_or_v7_default with 80 classes"):
        layout_of([V8], 80, 640, "YOLO_v5")


def test_names_are_those_of_deepness_and_of_geodeep_s_converter() -> None:
    deepness = ("YOLO_v5_or_v7_default", "YOLO_v6", "YOLO_v9", "YOLO_Ultralytics", "YOLO_Ultralytics_segmentation",
                "YOLO_Ultralytics_obb")  # fmt: skip
    geodeep = ("retinanet", *(f"YOLO_v{version}" for version in range(5, 11)))
    assert {name.lower() for name in (*deepness, *geodeep)} <= set(LAYOUTS)
    with pytest.raises(ModelError, match="layout 'DETR' is not known; lcageo knows YOLO_v5_or_v7_default, YOLO_v6"):
        parse_layout("DETR")


@pytest.mark.parametrize(
    ("layout", "outputs", "count"),
    [
        (Layout.YOLO_V5, [V5], 80),
        (Layout.ULTRALYTICS, [V8], 80),
        (Layout.OBB, [(1, 20, 8400)], 15),
        (Layout.SEGMENTATION, [(1, 116, 8400), (1, 32, 160, 160)], 80),
        (Layout.SEGMENTATION, [(1, 116, 8400), (1, None, 160, 160)], None),
        (Layout.ULTRALYTICS, [(1, None, None)], None),
        (Layout.END_TO_END, [(1, 300, 6)], None),
    ],
)
def test_the_number_of_classes(layout: Layout, outputs: list[Shape], count: int | None) -> None:
    assert class_count(layout, outputs) == count
