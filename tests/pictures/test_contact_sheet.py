from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lcageo.detections import Detections
from lcageo.palette import PANEL, class_colour
from lcageo.pictures.contact_sheet import LINE, TRUTH, SheetImage, draw_sheet
from lcageo.pictures.quicklook import MARGIN

CLASSES = ("a", "b", "c")
CELL = 200
GREY = np.full((100, 50, 3), 90, np.uint8)


def objects(*boxes: tuple[float, float, float, float], label: int = 0) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(count, 0.5, np.float32), np.full(count, label)
    )


def sheet_of(*images: SheetImage, columns: int = 2) -> np.ndarray:
    return np.asarray(draw_sheet(images, CLASSES, columns, CELL))


def test_boxes_are_drawn_where_they_are_at_the_scale_of_the_cell() -> None:
    one = SheetImage(GREY, objects((5, 40, 15, 50)), objects((20, 60, 40, 90), label=1), "t")
    picture = sheet_of(one)[MARGIN:, MARGIN:]  # a pixel of the image is two of the sheet
    assert (picture[124:180, 40] == class_colour(1)).all()
    assert (picture[180, 40:80] == class_colour(1)).all()
    left = (picture[80:100, 10] == TRUTH).all(axis=-1)
    assert 0.4 < left.mean() < 0.7, "truth is dashed"
    assert tuple(picture[90, 20]) == (90, 90, 90)
    assert tuple(picture[90, 110]) == PANEL, "a narrow image leaves its cell empty"


def test_images_stand_in_reading_order() -> None:
    shades = [SheetImage(np.full((10, 10, 3), shade, np.uint8), objects(), objects(), "") for shade in (50, 100, 150)]
    picture = sheet_of(*shades)
    step = MARGIN + CELL
    assert [tuple(picture[y, x]) for y, x in ((90, 90), (90, 90 + step), (90 + step + LINE, 90))] == [
        (50,) * 3,
        (100,) * 3,
        (150,) * 3,
    ]
    assert tuple(picture[90 + step + LINE, 90 + step]) == PANEL


def test_the_legend_names_the_classes_that_occur() -> None:
    drawn = sheet_of(SheetImage(GREY, objects((0, 0, 9, 9), label=2), objects(), "t"))
    legend = drawn[MARGIN + CELL + LINE :].reshape(-1, 3).tolist()
    assert list(class_colour(2)) in legend and list(class_colour(0)) not in legend


def test_names_of_objects_close_together_do_not_cover_one_another() -> None:
    apart = sheet_of(SheetImage(GREY, objects(), objects((0, 20, 9, 30), (0, 80, 9, 90)), "t"))
    close = sheet_of(SheetImage(GREY, objects(), objects((0, 20, 9, 30), (1, 21, 9, 30)), "t"))

    def panels(picture: np.ndarray) -> int:
        return int((picture[MARGIN : MARGIN + CELL, MARGIN : MARGIN + 90] == PANEL).all(axis=-1).sum())

    assert 0 < panels(close) < 0.7 * panels(apart)


@pytest.mark.parametrize("title", ["München 東京.png", "x" * 300, ""])
def test_any_title_will_do(title: str) -> None:
    picture = draw_sheet([SheetImage(GREY, objects(), objects(), title)], CLASSES, cell=CELL)
    assert picture.size[0] == CELL + 2 * MARGIN


def test_a_sheet_without_images_is_a_picture() -> None:
    assert isinstance(draw_sheet([], CLASSES), Image.Image)


def test_boxes_of_no_width_and_beyond_the_image_are_drawn() -> None:
    sheet_of(SheetImage(GREY, objects((10, 10, 10, 10), (-50, -50, 300, 300)), objects((12, 10, 8, 10)), "t"))
