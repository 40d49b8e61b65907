"""A labelled set that a tiny network learns in seconds: red ships and blue cars on noise, as COCO JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"ship": (220, 30, 30), "car": (30, 30, 220)}
SIDE = 128


def write_shapes(path: Path, count: int = 8, seed: int = 0) -> Path:
    """`count` images of 128 pixels, with one to three objects each, and the COCO file `path` beside them."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(100, 156, (SIDE, SIDE, 3)).astype(np.uint8)
        for x0 in rng.permutation([4, 46, 88])[: rng.integers(1, 4)].tolist():
            label = int(rng.integers(2))
            width, height = rng.integers(20, 36, 2).tolist()
            y0 = int(rng.integers(4, SIDE - height - 4))
            pixels[y0 : y0 + height, x0 : x0 + width] = list(COLOURS.values())[label]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": label, "bbox": [x0, y0, width, height]}
            )
        name = f"{path.stem}_{number}.png"
        Image.fromarray(pixels).save(path.parent / name)
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
    categories = [{"id": index, "name": name} for index, name in enumerate(COLOURS)]
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
    return path
