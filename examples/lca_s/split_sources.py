"""Splits a COCO file by the source of its images, for `lcageo evaluate` to measure each: aerialmix mixes fourteen sets.

    python examples/lca_s/split_sources.py AERIALMIX/val.json build/val

writes build/val/dior_fewshot.json and so on. An image's source is the start of its name, up to the first hyphen; images
without objects whose names start with "neg_" make one file, negatives.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

NEGATIVES = "neg_"


def source_of(file_name: str) -> str:
    """The name of the part that an image belongs to."""
    name = Path(file_name).name.partition("-")[0]
    return "negatives" if name.startswith(NEGATIVES) else name


def split(content: dict[str, Any], images: Path) -> dict[str, dict[str, Any]]:
    """The contents of a COCO file for each source, with full paths of the images, in folder `images` before."""
    source = {image["id"]: source_of(image["file_name"]) for image in content["images"]}
    parts: dict[str, dict[str, Any]] = {}
    for image in content["images"]:
        part = parts.setdefault(source[image["id"]], {**content, "images": [], "annotations": []})
        part["images"].append({**image, "file_name": str((images / image["file_name"]).absolute())})
    for annotation in content["annotations"]:
        parts[source[annotation["image_id"]]]["annotations"].append(annotation)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="COCO file, with its images in a folder images beside it")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="folder for the files")
    arguments = parser.parse_args()
    content = json.loads(arguments.source.read_text("utf-8"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, part in split(content, arguments.source.parent / "images").items():
        path = arguments.out / f"{name}.json"
        path.write_text(json.dumps(part), encoding="utf-8")
        print(f"{path}: {len(part['images']):,} images, {len(part['annotations']):,} objects")


if __name__ == "__main__":
    main()
