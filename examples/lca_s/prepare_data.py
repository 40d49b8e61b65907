"""Makes all data that the recipes in this folder train and validate on, under build/.

    python examples/lca_s/prepare_data.py --vhr10 VHR10 --openmix OPENMIX --aerialmix AERIALMIX

Each of the three folders holds train.json, val.json (COCO) and images/. models/README.md has the trainings that follow;
the first is

    lcageo train --recipe examples/lca_s/lca-s.toml --cache ram --out runs/first

build/curated   the training images, with the classes that they are annotated for
build/open      those of them that have open licences
build/turned    roads with cars, rotated by any angle
build/rendered  chips of rendered scenes, never the demo's
build/small     chips in which vehicles, ships and airplanes are 7 to 20 pixels long
build/small-open  the same, of images with open licences
build/val       the validation images: vhr10, openmix, and aerialmix by source
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import render_chips
import shrink_images
import turn_images
from curate_labels import curated
from split_sources import split

SETS = ("vhr10", "openmix", "aerialmix")
CLASS_MAP = Path(__file__).with_name("lca-s-classes.toml")
OPEN, CLOSED = ("cc0", "cc by", "public domain"), ("by-sa", "-nc", "research", "academic", "no licence")
"""Words of licences that allow any use with attribution, and of those that do not."""


def is_open(image: dict[str, Any]) -> bool:
    """Whether an image's licence allows any use with attribution."""
    licence = str(image.get("licence", "")).lower()
    return any(word in licence for word in OPEN) and not any(word in licence for word in CLOSED)


def only(content: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO file's content with some of its images and their boxes."""
    kept = {image["id"] for image in images}
    return {**content, "images": images, "annotations": [a for a in content["annotations"] if a["image_id"] in kept]}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path("build"), metavar="FOLDER")
    parser.add_argument("--chips", type=int, default=130, help="rendered chips (default: %(default)s)")
    parser.add_argument("--small", type=int, default=60, help="chips of each class that is reduced (%(default)s)")
    options = parser.parse_args(given)
    out: Path = options.out
    for folder in ("curated", "open", "val"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name in SETS:
        source: Path = getattr(options, name)
        content = curated(json.loads((source / "train.json").read_text("utf-8")), source / "images")
        _write(out / "curated" / f"{name}.json", content)
        if images := [image for image in content["images"] if is_open(image)]:
            _write(out / "open" / f"{name}.json", only(content, images))
        val = json.loads((source / "val.json").read_text("utf-8"))
        parts = split(val, source / "images") if name == "aerialmix" else {name: val}
        for part, records in parts.items():
            images = [_absolute(image, source / "images") for image in records["images"]]
            _write(out / "val" / f"{part}.json", {**records, "images": images})
    labels = [str(out / "curated" / f"{name}.json") for name in SETS]
    turned = ["--source", "KIT AIS via jekhor", "--classes", "car", "--times", "4"]
    turn_images.main([labels[SETS.index("openmix")], str(out / "turned"), *turned])
    scenes = min(options.chips, 16)
    render_chips.main([str(out / "rendered"), "--chips", str(options.chips), "--scenes", str(scenes)])
    # Validation chips are of other scenes.
    few = [str(max(options.chips // 4, 1)), "--scenes", str(max(scenes // 2, 1))]
    render_chips.main([str(out / "rendered-val"), "--chips", *few, "--first", "100"])
    reduced = [part for name in ("vehicle", "ship", "airplane") for part in ("--class", name)]
    wanted = ["--class-map", str(CLASS_MAP), *reduced, "--chips", str(options.small)]
    shrink_images.main([*labels, *wanted, "--out", str(out / "small")])
    shrink_images.main([str(out / "open" / "openmix.json"), *wanted, "--out", str(out / "small-open")])


def _absolute(image: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The record with the full path of its image; one that is full already stays."""
    return {**image, "file_name": str((folder / image["file_name"]).absolute())}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
    print(f"{path}: {len(content['images']):,} images, {len(content['annotations']):,} objects")


if __name__ == "__main__":
    main()
