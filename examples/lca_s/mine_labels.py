"""Uses a trained model to complete the labels that the next training learns from.

    python examples/lca_s/mine_labels.py runs/first build/curated/aerialmix.json build/mined/aerialmix.json

Two things change. Images without any object in which the model finds some are repeated, so that the next training draws
them more often: such mistakes are what it has to learn. And where labels are known to be incomplete (small boats beside
the ships of HRSC2016 and of the harbours, cars beside the other objects of NWPU VHR-10), no image is repeated, and what
the model finds beside the labels becomes a crowd, which is neither object nor background in the loss.

Source:
    Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lcageo.config import BENCHMARK, RunnerConfig
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.sets import read_sets
from lcageo.detections import Detections
from lcageo.evaluation.images import find_objects, kept_of_tiles
from lcageo.evaluation.scenes import Tiling
from lcageo.inference.factory import open_predictor
from lcageo.metrics.match import overlaps

INCOMPLETE = {"hrsc2016": ("ship",), "harbour_ships": ("ship",), "NWPU VHR-10": ("vehicle", "ship")}
"""Source of an image, or the start of its name -> classes of which some objects are not labelled."""
MISTAKE_SCORE = 0.3
"""Score from which what is found in an image without objects is a mistake to learn from."""
CROWD_SCORE = {"ship": 0.2, "vehicle": 0.5}
"""Score from which what is found beside incomplete labels is an object: with a lower one, mistakes would be kept.
Boats in a marina score low as long as they are punished there, so those of the ship sets are ignored early."""
MAX_REPEATS = 4
FREE = 0.1
"""Largest overlap with a label that a new crowd may have."""


class Silent:
    """Where messages about loading the model go."""

    def note(self, line: str) -> None: ...
    def detail(self, line: str) -> None: ...
    def warn(self, line: str) -> None: ...
    def restriction(self, card: object) -> None: ...


def repeats(found: Detections) -> int:
    """How often an image without objects is used: once more for each mistake."""
    return 1 + min(int((found.scores > MISTAKE_SCORE).sum()), MAX_REPEATS)


def crowds(found: Detections, labelled_xyxy: np.ndarray[Any, Any], wanted: dict[int, float]) -> Detections:
    """What is found of the incomplete classes away from every label."""
    enough = np.zeros(len(found), np.bool_)
    for label, score in wanted.items():
        enough |= (found.labels == label) & (found.scores > score)
    kept = found.selected(enough)
    if not len(labelled_xyxy) or not len(kept):
        return kept
    both = overlaps(_xywh(kept.boxes_xyxy), _xywh(labelled_xyxy), np.zeros(len(labelled_xyxy), np.bool_))
    return kept.selected(np.asarray(both.max(axis=1) < FREE, np.bool_))


def incomplete(image: dict[str, Any]) -> tuple[str, ...]:
    """Classes of which an image may show more objects than its labels say."""
    name = Path(image["file_name"]).name
    return next((c for start, c in INCOMPLETE.items() if name.startswith(start) or image.get("source") == start), ())


def mined(content: dict[str, Any], labelled: LabelledSet, found: list[Detections]) -> dict[str, Any]:
    """A COCO file's content with repeated images and crowds.

    Args:
        content: of the file.
        labelled: the same images under the model's classes.
        found: what the model finds in each of them.
    """
    by_path = {annotation.image: (annotation, one) for annotation, one in zip(labelled.annotations, found, strict=True)}
    categories = {category["name"]: category["id"] for category in content["categories"]}
    images, annotations = list(content["images"]), list(content["annotations"])
    own: defaultdict[int, int] = defaultdict(int)
    for record in annotations:
        own[record["image_id"]] += 1
    next_image, next_box = 1 + max(i["id"] for i in images), 1 + max((a["id"] for a in annotations), default=0)
    for image in content["images"]:
        if Path(image["file_name"]) not in by_path:
            continue
        annotation, one = by_path[Path(image["file_name"])]
        if not own[image["id"]] and not incomplete(image):
            one = one.selected(np.isin(one.labels, annotation.labelled_classes))
            for _ in range(repeats(one) - 1):
                images.append({**image, "id": next_image})
                next_image += 1
            continue
        names = [n for n in incomplete(image) if labelled.classes.index(n) in annotation.labelled_classes]
        wanted = {labelled.classes.index(name): CROWD_SCORE[name] for name in names}
        more = crowds(one, annotation.boxes_xyxy, wanted)
        for box, label in zip(_xywh(more.boxes_xyxy).tolist(), more.labels.tolist(), strict=True):
            category = categories[labelled.classes[label]]
            record = {"id": next_box, "image_id": image["id"], "category_id": category, "bbox": box, "iscrowd": 1}
            annotations.append({**record, "area": box[2] * box[3]})
            next_box += 1
    return {**content, "images": images, "annotations": annotations}


def _xywh(boxes_xyxy: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    boxes = boxes_xyxy.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, card or folder of the trained model")
    parser.add_argument("source", type=Path, help="COCO file with full paths of its images, from curate_labels.py")
    parser.add_argument("target", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    config = replace(kept_of_tiles(BENCHMARK), score=min(MISTAKE_SCORE, *CROWD_SCORE.values()))
    predictor = open_predictor(RunnerConfig(arguments.model, arguments.device), config, Silent())
    labelled = read_sets([arguments.source], SplitName.TRAIN, predictor.card.classes)
    found = find_objects(predictor, labelled, config=config, tiling=Tiling(), batch=predictor.batch)
    content = json.loads(arguments.source.read_text("utf-8"))
    result = mined(content, labelled, found)
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_text(json.dumps(result), encoding="utf-8")
    more_images = len(result["images"]) - len(content["images"])
    more_boxes = len(result["annotations"]) - len(content["annotations"])
    print(f"{arguments.target}: {more_images:,} images repeated, {more_boxes:,} crowds added")


if __name__ == "__main__":
    main()
