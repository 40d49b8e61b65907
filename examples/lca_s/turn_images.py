"""Rotates images by any angle where their boxes can follow, and combines nine in one chip: cars as they are parked.

    python examples/lca_s/turn_images.py build/curated/openmix.json build/turned \
        --source "KIT AIS via jekhor" --classes car

The box around a rotated box is larger than the object in it. The new box is known only if the object fills its box, as
a car on a road parallel to the image's edge does: w' = w |cos| + h |sin|, h' = w |sin| + h |cos|. Boxes at least 1.7
times as long as wide are assumed to be filled; all others are marked as crowds, which are ignored, in the loss and in
evaluation. The largest upright square without empty corners is kept of a rotated image; nine of them make a chip, in
which objects become smaller when it is scaled to the size of the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FILLED = 1.7
"""Minimum ratio of a box's sides for its object to fill it."""
MIN_VISIBLE = 0.5
"""An object of which less than this share is in the square is marked as a crowd."""
ACROSS = 3
"""Number of squares along a chip's side."""

Record = dict[str, Any]


def turned(image: Image.Image, boxes: list[Record], angle: float) -> tuple[Image.Image, list[Record]]:
    """The largest upright square of a rotated image, and its boxes (COCO records without ids).

    Args:
        image: the image; its shorter side decides the size of the square.
        boxes: COCO annotations, pixels.
        angle: degrees, counter-clockwise.
    """
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    side = int(min(image.size) / (abs(cos) + abs(sin)))
    middle = np.array(image.size) / 2
    left, top = (int(one) for one in middle - side / 2)
    picture = image.rotate(angle, Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    found = []
    for box in boxes:
        x, y, width, height = box["bbox"]
        away = np.array([x + width / 2, y + height / 2]) - middle
        # Counter-clockwise as seen on the screen, where y points down.
        centre = np.array([cos * away[0] + sin * away[1], cos * away[1] - sin * away[0]]) + middle - (left, top)
        size = np.array([width * abs(cos) + height * abs(sin), width * abs(sin) + height * abs(cos)])
        low, high = np.maximum(centre - size / 2, 0), np.minimum(centre + size / 2, side)
        if (high <= low).any():
            continue
        seen = (high - low).prod() / size.prod()
        filled = max(width, height) >= FILLED * min(width, height)
        found.append(
            {
                "category_id": box["category_id"],
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "area": float((high - low).prod()),
                "iscrowd": int(not filled or seen < MIN_VISIBLE or box["iscrowd"] == 1),
            }
        )
    return picture, found


def quilt(pieces: Sequence[tuple[Image.Image, list[Record]]]) -> tuple[Image.Image, list[Record]]:
    """Combines squares row by row, each cropped to the size of the smallest."""
    side = min(picture.size[0] for picture, _ in pieces)
    whole, boxes = Image.new("RGB", (ACROSS * side, ACROSS * side)), list[Record]()
    for index, (picture, some) in enumerate(pieces):
        shift = np.array([index % ACROSS, index // ACROSS]) * side
        whole.paste(picture.crop((0, 0, side, side)), tuple(shift.tolist()))
        for box in some:
            low, size = np.array(box["bbox"][:2]), np.array(box["bbox"][2:])
            high = np.minimum(low + size, side)
            if (high <= low).any():
                continue
            seen = (high - low).prod() / size.prod()
            bbox = [*(low + shift).tolist(), *(high - low).tolist()]
            crowd = int(box["iscrowd"] or seen < MIN_VISIBLE)
            boxes.append({**box, "bbox": bbox, "area": float((high - low).prod()), "iscrowd": crowd})
    return whole, boxes


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path, help="COCO file whose images have a source")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="folder for train.json and the images")
    parser.add_argument("--source", required=True, help="source of the images to rotate")
    parser.add_argument("--classes", required=True, nargs="+", help="classes of which an image must show at least one")
    parser.add_argument("--times", type=int, default=9, help="rotations per image (default: %(default)s)")
    options = parser.parse_args(given)
    content, rng = json.loads(options.labels.read_text("utf-8")), np.random.default_rng(0)
    wanted = {one["id"] for one in content["categories"] if one["name"] in options.classes}
    boxes: dict[int, list[Record]] = {}
    for box in content["annotations"]:
        boxes.setdefault(box["image_id"], []).append(box)
    images = [
        one
        for one in content["images"]
        if one["source"] == options.source and any(box["category_id"] in wanted for box in boxes.get(one["id"], []))
    ]
    folder = options.out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = rng.permuted(np.tile(np.arange(len(images)), (options.times, 1)), axis=1).ravel()
    records, annotations = list[Record](), list[Record]()
    for number, some in enumerate(drawn[: len(drawn) // ACROSS**2 * ACROSS**2].reshape(-1, ACROSS**2)):
        parts, pieces = [images[index] for index in some], []
        for one in parts:
            with Image.open(options.labels.parent / "images" / one["file_name"]) as image:
                pieces.append(turned(image.convert("RGB"), boxes[one["id"]], float(rng.uniform(0, 360))))
        chip, found = quilt(pieces)
        name = f"turned_{number:03}.jpg"
        chip.save(folder / name, quality=92)
        labelled = sorted(set.intersection(*(set(one["labelled_categories"]) for one in parts)))
        record = {"id": number, "file_name": name, "width": chip.size[0], "height": chip.size[1]}
        records.append({**record, "source": f"{options.source}, turned", "labelled_categories": labelled})
        annotations += [{"id": len(annotations) + n, "image_id": number, **box} for n, box in enumerate(found)]
    result = {"images": records, "categories": content["categories"], "annotations": annotations}
    (options.out / "train.json").write_text(json.dumps(result), encoding="utf-8")
    exact = sum(not box["iscrowd"] for box in annotations)
    crowds = len(annotations) - exact
    print(f"{options.out / 'train.json'}: {len(records)} chips, {exact:,} objects, {crowds:,} crowds")


if __name__ == "__main__":
    main()
