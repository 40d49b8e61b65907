"""A picture of a scene with what was found in it: boxes in class colours, a legend, a scale bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lcageo.detections import Detections
from lcageo.errors import OutputError

LONGEST_SIDE = 2000
"""Pixels of a quicklook's longest side."""
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (255, 255, 255),
    (136, 34, 85),
    (170, 170, 170),
    (204, 51, 17),
    (68, 170, 153),
    (17, 119, 51),
    (153, 153, 51),
    (221, 204, 119),
    (204, 102, 119),
    (170, 68, 153),
    (51, 34, 136),
    (187, 204, 238),
    (102, 51, 0),
)
"""Okabe and Ito's colours, which colour-blind readers can tell apart, with white in place of their black; then from
Paul Tol's schemes, which come near to that: as many as DIOR has classes."""
PANEL = (24, 28, 34)
INK = (240, 240, 240)
MARGIN = 16
TEXT_SIZE = 18


def class_colour(label: int) -> tuple[int, int, int]:
    """The colour of class `label`; repeats after twenty classes."""
    return PALETTE[label % len(PALETTE)]


def draw_quicklook(
    image: NDArray[np.uint8],
    parts: Iterable[Detections],
    counts: Mapping[str, int],
    classes: Sequence[str],
    title: str,
    metres_per_pixel: float | None,
) -> Image.Image:
    """A picture with a panel below it that holds title, legend and scale bar.

    Args:
        image: (3, h, w) uint8, the scene reduced.
        parts: what was found, in the pixels of `image`, part by part.
        counts: how much that is of each class, by its name; of classes left out, none.
        classes: the model's class names.
        title: the first line of the panel.
        metres_per_pixel: of `image`; None draws no scale bar.
    """
    height, width = image.shape[1:]
    font = ImageFont.load_default(TEXT_SIZE)
    entries = [(label, f"{name} {counts[name]:,}") for label, name in enumerate(classes) if counts.get(name)]
    lines = legend_lines(entries, font, width)
    panel = MARGIN * 2 + int(TEXT_SIZE * 1.6) * (len(lines) + 2)
    picture = Image.new("RGB", (max(width, int(font.getlength(title)) + 2 * MARGIN), height + panel), PANEL)
    picture.paste(Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))), (0, 0))
    pen = ImageDraw.Draw(picture)
    line_width = 1 if sum(counts.values()) > 2000 else 2
    for found in parts:
        for (x1, y1, x2, y2), label in zip(found.boxes_xyxy.tolist(), found.labels.tolist(), strict=True):
            lower = min(y2, height - 1)
            pen.rectangle((x1, min(y1, lower), x2, lower), outline=class_colour(label), width=line_width)
    y = height + MARGIN
    pen.text((MARGIN, y), title, INK, font)
    for line in lines:
        y += int(TEXT_SIZE * 1.6)
        for x, label, text in line:
            pen.rectangle((x, y + 3, x + TEXT_SIZE - 4, y + TEXT_SIZE - 1), fill=class_colour(label))
            pen.text((x + TEXT_SIZE + 2, y), text, INK, font)
    if metres_per_pixel is not None:
        _scale_bar(pen, font, y + int(TEXT_SIZE * 1.9), width, metres_per_pixel)
    return picture


def save_quicklook(picture: Image.Image, path: Path) -> None:
    """Writes a PNG.

    Raises:
        OutputError: if it cannot be written.
    """
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise OutputError(f"quicklook '{path.name}' cannot be written: {error}") from error


def legend_lines(
    entries: Sequence[tuple[int, str]], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[list[tuple[int, int, str]]]:
    """Legend entries (label, text) broken into lines of at most `width` pixels: (x, label, text)."""
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


def _scale_bar(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    y: int,
    width: int,
    metres_per_pixel: float,
) -> None:
    length_m = round_length(width / 4 * metres_per_pixel)
    length_px = length_m / metres_per_pixel
    pen.line([(MARGIN, y), (MARGIN, y + 8), (MARGIN + length_px, y + 8), (MARGIN + length_px, y)], INK, 2)
    text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    pen.text((MARGIN + length_px + 8, y - 8), text, INK, font)
