"""What larger tiles cost and find: mAP, seconds a megapixel and peak memory by side of the tiles.

    python tests/benchmarks/tile_sizes.py COCO... [--sides 608 1120 1824] [--model lca-s] [--across 3]

Larger tiles pay in large scenes only, so the images of each COCO file are put together to mosaics, which are cut into
tiles of each side: `lcageo evaluate --as-scene --passes 2`, in a process of its own. The seconds contain its start, and
compare the sides of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image

CLASSES = "labelled_categories"
"""Image entry that says which classes an image is annotated for: a mosaic has images of equal ones."""


def mosaics(source: Path, folder: Path, across: int) -> tuple[Path, float]:
    """Writes the mosaics of a COCO file and their labels; returns these and the megapixels."""
    labels = json.loads(source.read_text())
    boxes, alike = defaultdict(list), defaultdict(list)
    for one in labels["annotations"]:
        boxes[one["image_id"]].append(one)
    for image in labels["images"]:
        alike[json.dumps(image.get(CLASSES))].append(image)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for group in alike.values():
        for start in range(0, len(group), across**2):
            some = group[start : start + across**2]
            width, height = (max(image[side] for image in some) for side in ("width", "height"))
            rows = -(-len(some) // across)
            mosaic = Image.new("RGB", (width * min(across, len(some)), height * rows), (127, 127, 127))
            entry = {key: value for key, value in some[0].items() if key == CLASSES}
            entry |= {"id": len(images) + 1, "width": mosaic.width, "height": mosaic.height}
            for place, image in enumerate(some):
                x, y = place % across * width, place // across * height
                mosaic.paste(Image.open(source.parent / image["file_name"]).convert("RGB"), (x, y))
                for one in boxes[image["id"]]:
                    left, top, *size = one["bbox"]
                    moved = {"id": len(annotations) + 1, "image_id": entry["id"], "bbox": [left + x, top + y, *size]}
                    annotations.append({**one, **moved})
            entry["file_name"] = f"{source.stem}{entry['id']}.png"
            mosaic.save(folder / entry["file_name"], compress_level=1)
            images.append(entry)
    target = folder / f"{source.stem}.json"
    target.write_text(json.dumps({**labels, "images": images, "annotations": annotations}))
    return target, sum(image["width"] * image["height"] for image in images) / 1e6


def evaluated(data: Path, side: int, rest: list[str]) -> tuple[dict[str, Any], float, float]:
    """Figures, seconds and peak megabytes of one evaluation."""
    command = [sys.executable, "-m", "lcageo", "evaluate", "--json", "--as-scene", "--passes", "2"]
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--tile", str(side), "--data", str(data), *rest], stdout=output, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        assert status == 0, f"evaluation of {data} in tiles of {side} failed"
        output.seek(0)
        return json.loads(output.read()), seconds, usage.ru_maxrss / 1000


def main() -> None:
    """Prints a row for each set and side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="COCO files of validation images")
    parser.add_argument("--sides", type=int, nargs="+", default=[608, 864, 1120, 1824])
    parser.add_argument("--across", type=int, default=3, help="images in a row of a mosaic")
    arguments, rest = parser.parse_known_args()
    print(f"{'set':18} {'side':>5} {'mAP50':>7} {'mAP75':>7} {'50:95':>7} {'s/MP':>7} {'peak MB':>8}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for source in arguments.data:
            data, megapixels = mosaics(source, Path(folder), arguments.across)
            for side in arguments.sides:
                found, seconds, peak = evaluated(data, side, rest)
                figures = " ".join(f"{found[name]:7.4f}" for name in ("mAP50", "mAP75", "mAP50_95"))
                print(f"{source.stem:18} {side:5} {figures} {seconds / megapixels:7.3f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
