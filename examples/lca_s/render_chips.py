"""Makes labelled training images from rendered scenes: a COCO set of chips at several resolutions.

    python examples/lca_s/render_chips.py build/rendered

They show what the real sets lack: parked cars of nine to twenty pixels, tanks of every size, complete fields and piers,
and woods, farm land and open sea with few objects. Scenes come from make_scene.py with seeds from 1,000 on, never that
of the demo scene, and are rotated by any angle. Where cars are too short to be visible, a chip is not annotated for
vehicles.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demo_scene.canvas import SceneObject
from make_scene import CLASSES, render_scene
from numpy.typing import NDArray
from PIL import Image

CHIP_PX = 512
FIRST_SEED = 1_000
SCENES = ((0.2, 2048), (0.15, 2048), (0.25, 2048), (0.3, 6400), (0.35, 5600), (0.4, 4900), (0.5, 3900), (0.8, 2450))
"""Metres per pixel and side in pixels, in turn: compact scenes, then full plans. Cars are 30 to 6 pixels long."""
LEAST_VEHICLE_PX = 8.0
VEHICLE_M = 4.5
EMPTY_SHARE = 0.15
"""Share of the chips at random positions, with or without objects."""
SHARE = {"vehicle": 3}
"""Weight of a class when chips are placed around objects, 1 for others: car parks have the most to learn from."""
DARKEST = 20
"""Below this, a pixel is in a black corner of a rotated plan: haze makes corners 9 to 14, and water is brighter."""
MOST_BLACK = 0.001
"""Maximum share of a chip that may be black."""
MIN_VISIBLE = 0.4
"""An object of which less than this share is in a chip gets no box."""

Box = tuple[int, int, int, int]


def windows(
    objects: Sequence[SceneObject], pixels: NDArray[np.uint8], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Chooses the upper-left corners of chips: some at random, the others around objects, by class with `SHARE`.

    Args:
        objects: the scene's objects.
        pixels: (3, size, size) the scene; its black corners are avoided.
        count: number of chips.
        rng: random generator.
    """
    corners: list[tuple[int, int]] = []
    size = pixels.shape[1]
    black = np.asarray(pixels.max(axis=0) < DARKEST, np.bool_)
    by_class = [[item for item in objects if item.class_name == name] for name in CLASSES]
    present = [items for items in by_class if items for _ in range(SHARE.get(items[0].class_name, 1))]
    while len(corners) < count:
        if rng.random() < EMPTY_SHARE or not present:
            x, y = rng.integers(0, size - CHIP_PX, 2).tolist()
        else:
            items = present[rng.integers(len(present))]
            x1, y1, x2, y2 = items[rng.integers(len(items))].box_xyxy
            middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + rng.uniform(-0.35, 0.35, 2) * CHIP_PX
            x, y = np.clip(middle - CHIP_PX / 2, 0, size - CHIP_PX).astype(int).tolist()
        if black[y : y + CHIP_PX, x : x + CHIP_PX].mean() <= MOST_BLACK:
            corners.append((x, y))
    return corners


def boxes_in(objects: Sequence[SceneObject], x0: int, y0: int) -> list[tuple[str, Box]]:
    """Class and box, in the chip's pixels and cut at its edge, of each object that is sufficiently visible."""
    found = []
    for item in objects:
        x1, y1, x2, y2 = item.box_xyxy
        left, top = max(x1 - x0, 0), max(y1 - y0, 0)
        right, bottom = min(x2 - x0, CHIP_PX), min(y2 - y0, CHIP_PX)
        inside = max(right - left, 0) * max(bottom - top, 0)
        if inside >= MIN_VISIBLE * (x2 - x1) * (y2 - y1):
            found.append((item.class_name, (left, top, right, bottom)))
    return found


def render_chips(
    scene: tuple[int, float, int], count: int, folder: Path
) -> list[tuple[dict[str, Any], list[tuple[str, Box]]]]:
    """Renders a scene (number, metres per pixel, side) and writes its chips; returns COCO image records and boxes."""
    number, gsd_m, size = scene
    rng = np.random.default_rng(FIRST_SEED + number)
    pixels, objects = render_scene(size, gsd_m, FIRST_SEED + number, turn_deg=float(rng.uniform(0, 90)))
    labelled = [name for name in CLASSES if name != "vehicle" or VEHICLE_M / gsd_m >= LEAST_VEHICLE_PX]
    records = []
    for index, (x0, y0) in enumerate(windows(objects, pixels, count, rng)):
        name = f"rendered_{number:03}_{index:03}.jpg"
        _save(pixels[:, y0 : y0 + CHIP_PX, x0 : x0 + CHIP_PX], folder / name, rng)
        boxes = [(label, box) for label, box in boxes_in(objects, x0, y0) if label in labelled]
        record = {
            "file_name": name, "width": CHIP_PX, "height": CHIP_PX, "source": "rendered", "gsd_m": gsd_m,
            "labelled_categories": labelled,
        }  # fmt: skip
        records.append((record, boxes))
    return records


def _save(pixels: NDArray[np.uint8], path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(path, quality=int(rng.integers(70, 96)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="FOLDER", help="folder for train.json and the images")
    parser.add_argument("--chips", type=int, default=520, help="number of chips (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=16, help="number of scenes (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene (default: %(default)s)")
    options = parser.parse_args(arguments)
    folder = options.out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-options.chips // options.scenes)
    scenes = [
        (number, *SCENES[number % len(SCENES)]) for number in range(options.first, options.first + options.scenes)
    ]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(render_chips, count=each, folder=folder), scenes))
    chips = [chip for scene in found for chip in scene][: options.chips]
    images = [{"id": index, **record} for index, (record, _) in enumerate(chips)]
    boxes = [
        {
            "image_id": index, "category_id": 1 + CLASSES.index(name), "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1), "iscrowd": 0,
        }
        for index, (_, objects) in enumerate(chips)
        for name, (x1, y1, x2, y2) in objects
    ]  # fmt: skip
    content = {
        "images": images,
        "categories": [{"id": 1 + index, "name": name} for index, name in enumerate(CLASSES)],
        "annotations": [{"id": index, **box} for index, box in enumerate(boxes)],
    }
    (options.out / "train.json").write_text(json.dumps(content), encoding="utf-8")
    print(f"{options.out / 'train.json'}: {len(images)} chips, {len(boxes):,} objects")


if __name__ == "__main__":
    main()
