"""Labelled sets in the layouts of other tools, all of the same two images and three boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from support.makers import write_image

from lcageo.data.annotations import LabelledSet

WIDTH, HEIGHT = 40, 30
BOXES: Mapping[str, Sequence[tuple[str, tuple[float, float, float, float]]]] = {
    "a": [("ship", (2.0, 3.0, 12.0, 9.0)), ("car", (20.0, 15.0, 40.0, 30.0))],
    "b": [("ship", (5.0, 6.0, 15.0, 16.0))],
}
"""Class and box (x1, y1, x2, y2) of the objects of each image; image c has none."""


def images(folder: Path, names: Sequence[str] = ("a", "b"), suffix: str = ".png") -> list[Path]:
    """Writes the images, each with pixels of its own."""
    return [write_image(folder / f"{name}{suffix}", WIDTH, HEIGHT, seed=ord(name[-1])) for name in names]


def yolo_line(number: int, box: Sequence[float]) -> str:
    """A box as YOLO has it: centre and size, in shares of the image."""
    x1, y1, x2, y2 = box
    shares = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT
    return " ".join([str(number), *(f"{share:.10f}" for share in shares)])


def yolo_labels(folder: Path, names: Sequence[str] = ("a", "b"), classes: Sequence[str] = ("car", "ship")) -> None:
    """Writes the files of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        lines = [yolo_line(classes.index(label), box) for label, box in BOXES[name]]
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def seen(labelled: LabelledSet) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """The boxes of a set by the stem of their image, as in BOXES, to four decimals."""
    return {
        one.image.stem: [
            (labelled.classes[label], tuple(round(edge, 4) for edge in box))
            for label, box in zip(one.labels.tolist(), one.boxes_xyxy.tolist(), strict=True)
        ]
        for one in labelled.annotations
    }
