"""A quicklook: a picture of a scene with boxes in class colours, names, legend, scale bar and north arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.palette import PANEL, class_colour
from lcageo.paths import is_possible
from lcageo.pictures.label_places import place_labels

LONGEST_SIDE = 2000
"""Pixels of a quicklook's longest side."""
LEGIBLE_SIDE = 1000
"""Small scenes are enlarged up to this side, by an integer factor, which repeats their pixels unchanged."""
SMALLEST_BOX = 5
"""Minimum side of a drawn box, pixels: smaller boxes are enlarged to stay visible."""
MAX_NAMED = 400
"""With more objects than this, no names are drawn."""
CROWD = 2000
"""With more objects than this, outlines are thin."""
INK = (240, 240, 240)
MARGIN = 16
TEXT_SIZE = 18
NAME_SIZE = 13
LINE = int(TEXT_SIZE * 1.6)
"""Pixels from one line of the panel to the next."""
MARKS = 68
"""Height of the panel's last line: north arrow and scale bar."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_quicklook(
    image: NDArray[np.uint8],
    parts: Iterable[Detections],
    counts: Mapping[str, int],
    classes: Sequence[str],
    title: str,
    metres_per_pixel: float | None,
    north: tuple[float, float] | None = None,
) -> Image.Image:
    """Draws a scene with a panel below it that holds title, legend, north arrow and scale bar.

    If there are few objects, their classes and scores are written where they hide nothing.

    Args:
        image: (3, h, w) uint8, the reduced scene; small images are enlarged.
        parts: detections in pixels of `image`, in parts.
        counts: number of detections by class name; classes without an entry have none.
        classes: the model's class names.
        title: the first line of the panel.
        metres_per_pixel: of `image`, along its rows; None draws no scale bar.
        north: unit vector, to the right and downwards; None draws no arrow.
    """
    finer = max(1, LEGIBLE_SIDE // max(image.shape[1:]))
    image = image.repeat(finer, axis=1).repeat(finer, axis=2)
    height, width = image.shape[1:]
    font = ImageFont.load_default(TEXT_SIZE)
    entries = [(label, f"{name} {counts[name]:,}") for label, name in enumerate(classes) if counts.get(name)]
    lines = legend_lines(entries, font, width)
    panel = MARGIN * 2 + LINE * (len(lines) + 1) + MARKS
    picture = Image.new("RGB", (max(width, int(font.getlength(title)) + 2 * MARGIN), height + panel), PANEL)
    picture.paste(_drawn(image, parts, sum(counts.values()), classes, finer), (0, 0))
    pen = ImageDraw.Draw(picture)
    y = height + MARGIN
    pen.text((MARGIN, y), title, INK, font)
    for line in lines:
        y += LINE
        for x, label, text in line:
            pen.rectangle((x, y + 3, x + TEXT_SIZE - 4, y + TEXT_SIZE - 1), fill=class_colour(label))
            pen.text((x + TEXT_SIZE + 2, y), text, INK, font)
    x, y = MARGIN, y + LINE + MARKS // 2
    if north is not None:
        _north_arrow(pen, font, (x + MARKS // 2, y), north)
        x += MARKS + MARGIN
    if metres_per_pixel is not None:
        _scale_bar(pen, font, (x, y), width, metres_per_pixel / finer)
    return picture


def _drawn(
    image: NDArray[np.uint8], parts: Iterable[Detections], count: int, classes: Sequence[str], finer: int
) -> Image.Image:
    """The image with boxes, and with names if there are few; the boxes are multiplied by `finer`."""
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    pen = ImageDraw.Draw(picture)
    named = [Detections.empty()]
    for found in parts:
        boxes = _visible(found.boxes_xyxy.astype(np.float64) * finer).clip(
            0, [picture.width - 1, picture.height - 1] * 2
        )
        for box, label in zip(boxes.tolist(), found.labels.tolist(), strict=True):
            if count <= CROWD:  # a dark border, for bright ground
                pen.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=PANEL)
            pen.rectangle(box, outline=class_colour(label), width=1 if count > CROWD else 2)
        if count <= MAX_NAMED:
            named.append(Detections(boxes, found.scores, found.labels))
    _draw_names(pen, Detections.joined(named), classes, picture.size)
    return picture


def _visible(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) boxes with sides of at least SMALLEST_BOX, around the same centres."""
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = np.maximum(sides, SMALLEST_BOX) / 2
    return np.hstack([centres - half, centres + half])


def _draw_names(pen: ImageDraw.ImageDraw, found: Detections, classes: Sequence[str], frame: tuple[int, int]) -> None:
    """Writes the class and score of each object, the highest scores first, where that hides nothing."""
    font = ImageFont.load_default(NAME_SIZE)
    found = found.selected(np.argsort(-found.scores, kind="stable"))
    labels = found.labels.tolist()
    texts = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, found.scores, strict=True)]
    sizes = np.array([(font.getlength(text) + 9, NAME_SIZE + 5) for text in texts], np.float64).reshape(-1, 2)
    # Clear of the outlines, which are drawn on the boxes' last pixels.
    positions = place_labels(found.boxes_xyxy.astype(np.float64) + np.array([-1.0, -1.0, 2.0, 2.0]), sizes, frame)
    for text, label, size, position in zip(texts, labels, sizes.tolist(), positions, strict=True):
        if position is not None:
            x, y = position
            pen.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=PANEL)
            pen.rectangle((x, y, x + 2, y + size[1] - 1), fill=class_colour(label))
            pen.text((x + 6, y + 1), text, INK, font)


def belonging(path: Path) -> tuple[Path, ...]:
    """Files that GIS programs add to a picture: statistics, overviews, a mask, and where it lies on the map."""
    added = (path.with_name(path.name + suffix) for suffix in (".aux.xml", ".ovr", ".msk"))
    return tuple(filter(is_possible, (*added, path.with_suffix(".pgw"), path.with_suffix(".pngw"))))


def save_quicklook(picture: Image.Image, path: Path) -> None:
    """Writes a PNG.

    Raises:
        OutputError: if it cannot be written.
    """
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise OutputError(
            f"quicklook '{path.name}' cannot be written: {error}; free space or choose another folder"
        ) from error


def legend_lines(entries: Sequence[tuple[int, str]], font: Font, width: int) -> list[list[tuple[int, int, str]]]:
    """Breaks legend entries (label, text) into lines of at most `width` pixels: (x, label, text)."""
    if not entries:
        return []
    lines: list[list[tuple[int, int, str]]] = [[]]
    x = MARGIN
    for label, text in entries:
        needed = TEXT_SIZE + 2 + int(font.getlength(text)) + MARGIN * 2
        if x + needed > width and lines[-1]:
            lines.append([])
            x = MARGIN
        lines[-1].append((x, label, text))
        x += needed
    return lines


def round_length(metres: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `metres`."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9)))


def _scale_bar(pen: ImageDraw.ImageDraw, font: Font, at: tuple[int, int], width: int, metres_per_pixel: float) -> None:
    """Draws a horizontal bar whose left end is `at`, no longer than a quarter of `width`."""
    x, y = at
    length_m = round_length(width / 4 * metres_per_pixel)
    length_px = length_m / metres_per_pixel
    pen.line([(x, y - 8), (x, y), (x + length_px, y), (x + length_px, y - 8)], INK, 2)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    pen.text((x + length_px + 8, y - 16), text, INK, font)


def _north_arrow(pen: ImageDraw.ImageDraw, font: Font, centre: tuple[int, int], north: tuple[float, float]) -> None:
    """Draws an arrowhead that points north, with an N in front of its tip, within MARKS pixels."""
    tip = MARKS / 4

    def at(along: float, across: float) -> tuple[float, float]:
        return (
            centre[0] + north[0] * along - north[1] * across,
            centre[1] + north[1] * along + north[0] * across,
        )

    pen.polygon([at(tip, 0), at(-tip, tip * 0.7), at(-tip * 0.5, 0), at(-tip, -tip * 0.7)], fill=INK)
    pen.text(at(tip + TEXT_SIZE * 0.5, 0), "N", INK, font, anchor="mm")
