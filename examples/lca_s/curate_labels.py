"""Adds classes to the images' `labelled_categories`, so that the background of one set is used for other classes.

    python examples/lca_s/curate_labels.py OPENMIX/train.json build/openmix.json
    python examples/lca_s/curate_labels.py VHR10/train.json build/vhr10.json
    python examples/lca_s/curate_labels.py AERIALMIX/train.json build/aerialmix.json

openmix and aerialmix label one or two classes per image and leave the others unknown: nothing says that glittering
water has no airplanes. Classes that hardly occur in the images of a source are therefore declared absent. NWPU VHR-10
leaves out small cars in most images. Only images with a labelled vehicle count as annotated for vehicles, and images of
ports and tank farms, where vehicles are hardly visible: without these, ships and tanks were detected as vehicles.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SPORTS = ("baseball diamond", "tennis court", "basketball court", "ground track field")
ABSENT = {
    "Ships in Google Earth (Roboflow robin-public)": ("airplane", *SPORTS),
    "GDIT Aerial Airport": ("ship", "harbor", *SPORTS),
    "HRPlanesV2": ("ship", "harbor", *SPORTS),
    "KIT AIS via jekhor": ("airplane", "ship", "harbor", "storage tank", "baseball diamond", "ground track field"),
    "rsod-aircraft": ("ship", "harbor", *SPORTS),
    "rsod-oiltank": ("airplane", *SPORTS),
    "rsod-playground": ("airplane", "ship", "harbor", "storage tank"),
    "hrsc2016": ("airplane", "baseball diamond", "ground track field"),
    "harbour_ships": ("airplane", "baseball diamond", "ground track field"),
    "madison_drone_cars": ("airplane", "ship", "harbor", "storage tank", *SPORTS),
    "scrapyard_cars": ("airplane", "ship", "harbor", "storage tank", *SPORTS),
    "tennis_dota": ("airplane", "ship", "harbor"),
    "bridges_hand": ("airplane", *SPORTS),
}
"""Source of an image, or the start of its name -> classes that its images do not show."""
INCOMPLETE = {"NWPU VHR-10": ("vehicle", {"vehicle", "ship", "harbor", "storage tank"})}
"""Source -> the incompletely labelled class, and the classes whose images are complete nevertheless."""


def absent(image: dict[str, Any]) -> tuple[str, ...]:
    """Classes that an image does not show: openmix gives the set as the source, aerialmix at the start of the name."""
    name = Path(image["file_name"]).name
    starts = [classes for start, classes in ABSENT.items() if name.startswith(start)]
    return ABSENT.get(image["source"], starts[0] if starts else ())


def curated(content: dict[str, Any], images: Path) -> dict[str, Any]:
    """A COCO file's content with `labelled_categories` as above, and with the full paths of its images."""
    name = {category["id"]: category["name"] for category in content["categories"]}
    shown: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
    for annotation in content["annotations"]:
        shown[annotation["image_id"]].add(name[annotation["category_id"]])
    records = []
    for image in content["images"]:
        labelled = dict.fromkeys(image.get("labelled_categories", name.values()))
        labelled |= dict.fromkeys(absent(image))
        missed, complete = INCOMPLETE.get(image["source"], ("", set()))
        if not complete & shown[image["id"]]:
            labelled.pop(missed, None)
        path = str((images / image["file_name"]).absolute())
        records.append({**image, "file_name": path, "labelled_categories": list(labelled)})
    added = dict.fromkeys(one for record in records for one in record["labelled_categories"])
    missing = [one for one in added if one not in name.values()]
    first = 1 + max(name)
    categories = [*content["categories"], *({"id": first + n, "name": one} for n, one in enumerate(missing))]
    return {**content, "categories": categories, "images": records}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="COCO file whose images have a source, in a folder images beside it")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    content = curated(json.loads(arguments.source.read_text("utf-8")), arguments.source.parent / "images")
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
