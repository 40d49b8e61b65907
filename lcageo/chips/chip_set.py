"""The chips of one run as they are made: images on disk, records for the COCO files, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lcageo.chips.labels import Labels
from lcageo.chips.scene import Chip, PlacedScene
from lcageo.data.formats.coco_writer import CocoImage, coco_text

SIDES = ("train", "val")
IMAGES, MAPS = "images", "split"
"""Folders of the result, next to its COCO files."""


@dataclass(frozen=True, slots=True, eq=False)
class ChipSet:
    """Chips of both sides, train and val, in a folder."""

    folder: Path
    labels: Labels
    images: Mapping[str, list[CocoImage]] = field(default_factory=lambda: {side: [] for side in SIDES})
    shown: Mapping[str, set[int]] = field(default_factory=lambda: {side: set() for side in SIDES})
    """Indices of the labels that a side shows well enough to learn from."""

    def add(self, name: str, scene: PlacedScene, chip: Chip, png: bytes) -> None:
        """Writes a chip of a scene whose files are called `name`; raises OSError if that fails."""
        side = SIDES[chip.validates]
        file = f"{name}_{chip.tile.row_off}_{chip.tile.col_off}_{side}.png"
        (self.folder / IMAGES / file).write_bytes(png)
        about = {
            "gsd_m": round(scene.chip_gsd_m, 6),
            "scene": scene.info.path,
            "scene_xyxy": [round(edge, 3) for edge in chip.tile.bounds],
        }
        height, width = chip.pixels.shape[1:]
        classes = self.labels.labels[chip.index]
        self.images[side].append(CocoImage(file, width, height, chip.boxes_xyxy, classes, chip.ignored, about))
        self.shown[side].update(chip.index[~chip.ignored].tolist())

    def write_coco(self, info: Mapping[str, Any]) -> None:
        """Writes the COCO files of the sides that have chips."""
        for side, images in self.images.items():
            if images:
                text = coco_text(images, self.labels.classes, info)
                (self.folder / f"{side}.json").write_text(text, encoding="utf-8")

    def negatives(self, side: str) -> int:
        """Number of a side's chips without any object."""
        return sum(len(image.labels) == 0 for image in self.images[side])

    def per_class(self, side: str) -> dict[str, int]:
        """Number of labels of each class that a side shows."""
        own = self.labels.labels[sorted(self.shown[side])]
        counts = np.bincount(own, minlength=len(self.labels.classes)).tolist()
        return dict(zip(self.labels.classes, counts, strict=True))
