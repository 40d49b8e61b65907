"""Small labelled sets for the tests: images, VOC XML, COCO JSON, annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.augment import Crop

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE annotation [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>
<annotation><filename>&c;</filename></annotation>"""


def write_image(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> Path:
    """Noise, as PNG or JPEG by the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def annotation(
    image: Path | str = "a.png",
    size: tuple[int, int] = (40, 30),
    boxes: Sequence[Sequence[float]] = (),
    labels: Sequence[int] = (),
    labelled: Sequence[int] = (0,),
    difficult: Sequence[bool] | None = None,
) -> Annotation:
    return Annotation(
        Path(image),
        *size,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        tuple(labelled),
        np.array([False] * len(labels) if difficult is None else difficult, np.bool_),
    )


def labelled_set(*annotations: Annotation, classes: Sequence[str] = ("ship",), name: str = "set") -> LabelledSet:
    return LabelledSet(name, tuple(classes), annotations)


def write_coco(path: Path, **changes: Any) -> Path:
    """A COCO file of two 40 x 30 images and one ship, with some of its three lists changed."""
    content = {
        "categories": [{"id": 1, "name": "ship"}],
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 2, "file_name": "b.png", "width": 40, "height": 30},
        ],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    } | changes
    for seed, name in enumerate(("a.png", "b.png")):
        write_image(path.parent / "images" / name, seed=seed)
    path.write_text(json.dumps(content))
    return path


def voc_xml(*objects: str, width: object = 40, height: object = 30) -> str:
    """A VOC record whose first object starts on line 3."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return "\n".join(("<annotation>", size, *objects, "</annotation>"))


def voc_object(name: str = "ship", box: Sequence[object] = (2, 3, 4, 6), more: str = "") -> str:
    edges = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def write_dior(root: Path, records: dict[str, str], flat: bool = False) -> Path:
    """A DIOR folder whose train list names `records` (stem -> XML); val and test hold one image each."""
    xml_folder = root / "Annotations" if flat else root / "Annotations" / "Horizontal Bounding Boxes"
    xml_folder.mkdir(parents=True)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    splits = {"train": records, "val": {"00101": voc_xml()}, "test": {"00201": voc_xml()}}
    for split, content in splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in content))
        folder = root / ("JPEGImages-test" if split == "test" else "JPEGImages-trainval")
        for seed, (stem, xml) in enumerate(content.items()):
            write_image(folder / f"{stem}.jpg", seed=seed)
            (xml_folder / f"{stem}.xml").write_text(xml)
    return root


def painted(width: int, height: int, boxes: Sequence[Sequence[int]]) -> Crop:
    """A dark crop with one rectangle per box, the i-th with red level 100 + i: so boxes can be read off the pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, 0] = 100 + index
    count = len(boxes)
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Crop(image, corners, np.arange(count, dtype=np.int64), np.zeros(count, np.bool_))


def boxes_in_pixels(image: np.ndarray, count: int) -> dict[int, list[int]]:
    """Label -> box of the visible rectangles that `painted` drew."""
    found = {}
    for index in range(count):
        rows, columns = np.nonzero(image[:, :, 0] == 100 + index)
        if len(rows):
            found[index] = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return found
