r"""Makes chips of small objects from images in which they are large: cars as they look at 0.3 to 0.6 m per pixel.

    python examples/lca_s/shrink_images.py build/curated/vhr10.json build/curated/openmix.json \
        --class-map examples/lca_s/lca-s-classes.toml --class vehicle --chips 100 --out build/small

Images of one class are reduced until their objects are 7 to 20 pixels long, and packed in rows into square chips. A
chip holds only images that are annotated for the same classes. Half of the chips are blurred a little, as imagery from
space is. Objects that become shorter than 5 pixels are marked as crowds, which are ignored, in the loss and in
evaluation.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lcageo.data.annotations import Annotation, LabelledSet, SplitName
from lcageo.data.classmap import load_class_map
from lcageo.data.images import read_annotated
from lcageo.data.sets import read_sets

CHIP_PX = 640
ROW_PX = 80
"""Height of a row of reduced images, which are cut where they are higher."""
LENGTHS_PX = (7.0, 20.0)
"""Median length of the class's objects in a reduced image, drawn log-uniformly."""
MIN_LENGTH_PX = 24.0
"""Median length from which an image is reduced; others show small objects already."""
CROWD_PX = 5.0
MIN_VISIBLE = 0.5
"""An object of which less than this share is inside its part of the chip is marked as a crowd."""
MAX_BLUR_PX = 0.8
FILL = (127, 127, 127)

Record = dict[str, Any]
Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Source:
    """One image to reduce."""

    annotation: Annotation
    length: float
    """Median length of the chosen class's objects, pixels."""


def sources(labelled: LabelledSet, label: int) -> dict[tuple[int, ...], list[Source]]:
    """Images that show large objects of a class, by the classes they are annotated for."""
    groups: dict[tuple[int, ...], list[Source]] = defaultdict(list)
    for annotation in labelled.annotations:
        boxes = annotation.boxes_xyxy[(annotation.labels == label) & ~annotation.difficult]
        length = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) if len(boxes) else 0.0
        if length >= MIN_LENGTH_PX:
            groups[annotation.labelled_classes].append(Source(annotation, length))
    return groups


def packed(drawn: Sequence[Source], rng: np.random.Generator) -> tuple[Image.Image, list[Record]]:
    """A chip filled row by row with reduced images, and its boxes (COCO records with a class name, without ids)."""
    chip, boxes = Image.new("RGB", (CHIP_PX, CHIP_PX), FILL), list[Record]()
    x = y = 0
    for source in drawn:
        if y >= CHIP_PX:
            break
        factor = float(np.exp(rng.uniform(*np.log(LENGTHS_PX)))) / source.length
        image = read_annotated(source.annotation)
        width, own_height = (max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
        chip.paste(Image.fromarray(image).resize((width, own_height), Image.Resampling.BOX), (x, y))
        edge = np.array([min(x + width, CHIP_PX), min(y + own_height, y + ROW_PX, CHIP_PX)])
        boxes += _moved(source.annotation, np.array([width, own_height]), np.array([x, y]), edge)
        x += width
        if x >= CHIP_PX:
            x, y = 0, y + ROW_PX
    return chip, boxes


def _moved(annotation: Annotation, size: Floats, corner: Floats, edge: Floats) -> list[Record]:
    """The boxes of an image that is reduced to `size`, put at `corner` and cut at `edge`: COCO records without ids."""
    moved = []
    factor = size / (annotation.width, annotation.height)
    columns = annotation.boxes_xyxy, annotation.labels.tolist(), annotation.difficult.tolist()
    for box, label, difficult in zip(*columns, strict=True):
        low, high = box[:2] * factor + corner, box[2:] * factor + corner
        inside = np.minimum(high, edge) - low
        if (inside <= 0).any():
            continue
        seen = inside.prod() / (high - low).prod()
        ignored = difficult or (high - low).max() < CROWD_PX or seen < MIN_VISIBLE
        record = {"category_id": label, "bbox": [*low.tolist(), *inside.tolist()], "area": float(inside.prod())}
        moved.append({**record, "iscrowd": int(ignored)})
    return moved


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, nargs="+", help="COCO files with full paths, from curate_labels.py")
    parser.add_argument("--class-map", type=Path, metavar="TOML", help="class names to merge")
    parser.add_argument("--class", dest="name", action="append", required=True, help="class to reduce; may be repeated")
    parser.add_argument("--chips", type=int, default=100, help="number of chips of each class (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for train.json and images")
    options = parser.parse_args(given)
    class_map = load_class_map(options.class_map) if options.class_map else None
    labelled = read_sets(options.labels, SplitName.TRAIN, None, class_map)
    rng, folder = np.random.default_rng(0), options.out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = list[Record](), list[Record]()
    for wanted in options.name:
        groups = list(sources(labelled, labelled.classes.index(wanted)).items())
        shares = np.array([len(group) for _, group in groups]) ** 0.5  # many images of one kind do not fill all chips
        for group in rng.choice(len(groups), options.chips, p=shares / shares.sum()).tolist():
            classes, known = groups[group]
            chip, boxes = packed([known[i] for i in rng.integers(len(known), size=400)], rng)
            if rng.uniform() < 0.5:
                chip = chip.filter(ImageFilter.GaussianBlur(rng.uniform(0, MAX_BLUR_PX)))
            number = len(images)
            name = f"small_{number:04}.jpg"
            chip.save(folder / name, quality=90)
            record = {"id": number, "file_name": f"images/{name}", "width": CHIP_PX, "height": CHIP_PX}
            names = [labelled.classes[label] for label in classes]
            images.append({**record, "source": f"reduced, {wanted}", "labelled_categories": names})
            annotations += [{"id": len(annotations) + n, "image_id": number, **box} for n, box in enumerate(boxes)]
    categories = [{"id": label, "name": name} for label, name in enumerate(labelled.classes)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (options.out / "train.json").write_text(json.dumps(content), encoding="utf-8")
    print(f"{options.out / 'train.json'}: {len(images):,} chips, {len(annotations):,} objects")


if __name__ == "__main__":
    main()
