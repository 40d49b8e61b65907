"""Labelled sets for `lcageo data check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.makers import voc_object, voc_xml, write_coco, write_dior, write_image

SHIP = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 4, 9]}


def coco(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A COCO file in a folder of its own whose images no other seed gives."""
    folder.mkdir()
    path = write_coco(folder / f"{folder.name}.json", **changes)
    for index, name in enumerate(("a.png", "b.png")):
        write_image(folder / "images" / name, seed=2 * seed + index)
    return path


def clean_dior(root: Path) -> Path:
    """Two images to train on, one to validate and one to test, all different."""
    write_dior(root, {"00001": voc_xml(voc_object()), "00002": voc_xml(voc_object("dam"))})
    write_image(root / "JPEGImages-trainval" / "00101.jpg", seed=101)
    write_image(root / "JPEGImages-test" / "00201.jpg", seed=201)
    return root
