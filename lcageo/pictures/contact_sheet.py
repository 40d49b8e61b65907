"""A contact sheet: labelled images side by side, each with ground truth and detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lcageo.detections import Detections
from lcageo.palette import PANEL, class_colour
from lcageo.pictures.quicklook import INK, MARGIN, legend_lines

TEXT_SIZE = 13
LINE = 20
"""Pixels from one line of text to the next."""
TRUTH = (255, 255, 255)
"""Colour of the dashes of ground-truth boxes; the gaps have the colour of the class."""
_DASH = 4

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SheetImage:
    """One image of a sheet, with boxes in its pixels."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8."""
    truth: Detections
    found: Detections
    title: str


def draw_sheet(images: Sequence[SheetImage], classes: Sequence[str], columns: int = 4, cell: int = 400) -> Image.Image:
    """Draws rows of images with ground truth (white dashes) and detections in class colours, and a legend below.

    Args:
        images: in reading order; without any, only the legend is drawn.
        classes: class names, indexed by label.
        columns: maximum number of images in a row.
        cell: longer side of an image on the sheet, pixels.
    """
    font = ImageFont.load_default(TEXT_SIZE)
    columns = max(1, min(columns, len(images)))
    width = columns * (cell + MARGIN) + MARGIN
    cells = [_draw_cell(one, classes, cell, font) for one in images]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    top = MARGIN + sum(max(picture.height for picture in row) + MARGIN for row in rows)
    seen = {label for one in images for part in (one.truth, one.found) for label in part.labels.tolist()}
    legend = legend_lines([(label, classes[label]) for label in sorted(seen)], font, width)
    sheet = Image.new("RGB", (width, top + (len(legend) + 1) * LINE + MARGIN), PANEL)
    y = MARGIN
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * (cell + MARGIN), y))
        y += max(picture.height for picture in row) + MARGIN
    pen = ImageDraw.Draw(sheet)
    _draw_dashed(pen, (MARGIN, top, MARGIN + LINE, top + TEXT_SIZE), PANEL)
    pen.text((MARGIN + LINE + 8, top - 2), "ground truth (dashed); detections (with score):", INK, font)
    for number, line in enumerate(legend, start=1):
        y = top + number * LINE
        for x, label, text in line:
            pen.rectangle((x, y + 1, x + TEXT_SIZE, y + TEXT_SIZE), outline=class_colour(label), width=2)
            pen.text((x + TEXT_SIZE + 6, y - 2), text, INK, font)
    return sheet


def _draw_cell(one: SheetImage, classes: Sequence[str], cell: int, font: Font) -> Image.Image:
    """Draws an image in a picture `cell` pixels wide, with its title below."""
    height, width = one.image.shape[:2]
    scale = cell / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.new("RGB", (cell, size[1] + LINE), PANEL)
    picture.paste(Image.fromarray(one.image).resize(size, Image.Resampling.LANCZOS), (0, 0))
    pen = ImageDraw.Draw(picture)
    found = one.found.selected(np.argsort(one.found.scores, kind="stable"))  # the highest scores on top
    for box, label in zip((found.boxes_xyxy * scale).tolist(), found.labels.tolist(), strict=True):
        pen.rectangle(_ordered(box), outline=class_colour(label), width=2)
    for box, label in zip((one.truth.boxes_xyxy * scale).tolist(), one.truth.labels.tolist(), strict=True):
        _draw_dashed(pen, _ordered(box), class_colour(label))
    _draw_names(pen, found, scale, classes, font, size)
    pen.rectangle((0, size[1], cell, size[1] + LINE), fill=PANEL)
    title = one.title.encode("latin-1", "replace").decode("latin-1")  # Pillow's bitmap font has no other characters
    pen.text((0, size[1] + 2), _shortened(title, font, cell), INK, font)
    return picture


def _draw_names(
    pen: ImageDraw.ImageDraw, found: Detections, scale: float, classes: Sequence[str], font: Font, size: tuple[int, int]
) -> None:
    """Writes class and score above each box, or inside it at the image's edge.

    A small box gets only its score, and none if a higher-scoring object's text is in the way.
    """
    taken: list[Box] = []
    for index in range(len(found) - 1, -1, -1):
        label = int(found.labels[index])
        x1, y1, x2, _ = (found.boxes_xyxy[index] * scale).tolist()
        score = f"{found.scores[index]:.2f}"
        text = f"{classes[label]} {score}"
        if font.getlength(text) > 1.5 * (x2 - x1):
            text = score
        wide, high = font.getlength(text) + 4, TEXT_SIZE + 3
        x = max(0.0, min(x1, size[0] - wide))
        y = y1 - high if y1 >= high else max(0.0, y1)
        place = (x, y, x + wide, y + high)
        if any(place[0] < b[2] and b[0] < place[2] and place[1] < b[3] and b[1] < place[3] for b in taken):
            continue
        taken.append(place)
        pen.rectangle(place, fill=PANEL)
        pen.text((x + 2, y), text, INK, font)


def _draw_dashed(pen: ImageDraw.ImageDraw, box: Box, between: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = box
    pen.rectangle(box, outline=between)
    for start in np.arange(x1, x2, 2 * _DASH).tolist():
        for y in (y1, y2):
            pen.line((start, y, min(start + _DASH - 1, x2), y), TRUTH)
    for start in np.arange(y1, y2, 2 * _DASH).tolist():
        for x in (x1, x2):
            pen.line((x, start, x, min(start + _DASH - 1, y2)), TRUTH)


def _ordered(box: Sequence[float]) -> Box:
    """The box with sorted corners, since Pillow refuses x2 < x1."""
    x1, y1, x2, y2 = box
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _shortened(text: str, font: Font, width: float) -> str:
    """The text, with its middle cut out if it is wider than `width`."""
    keep = len(text)
    while keep > 1 and font.getlength(_cut(text, keep)) > width:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    return text if keep >= len(text) else f"{text[: keep // 2]}...{text[len(text) - keep // 2 :]}"
