"""Writes labelled images as a YOLO set, as Ultralytics lays it out: data.yaml, images/SPLIT/ and labels/SPLIT/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lcageo.data.annotations import Annotation

Named = Sequence[tuple[str, Annotation]]
"""Images with the names that their files have in the new set."""


def write_yolo(folder: Path, splits: Mapping[str, Named], classes: Sequence[str]) -> dict[str, Path]:
    """Writes labels and data.yaml.

    Args:
        folder: of the set, existing.
        splits: the images of each.
        classes: names, in the order of the labels.

    Returns:
        The folder in which each split's images belong.
    """
    for split, images in splits.items():
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        for name, annotation in images:
            (labels / name).with_suffix(".txt").write_text(_lines(annotation), encoding="utf-8")
    # JSON's texts are YAML's, too, with all that has to be escaped.
    head = [f"{split}: images/{split}" for split in splits]
    names = [f"  {label}: {json.dumps(name, ensure_ascii=False)}" for label, name in enumerate(classes)]
    (folder / "data.yaml").write_text("\n".join([*head, "names:", *names, ""]), encoding="utf-8")
    return {split: folder / "images" / split for split in splits}


def _lines(annotation: Annotation) -> str:
    """Class number, centre and size in shares of the image; with digits enough to get the same box back."""
    lines = []
    for label, box in zip(annotation.labels.tolist(), annotation.boxes_xyxy.astype(float).tolist(), strict=True):
        x1, y1, x2, y2 = box
        shares = (
            (x1 + x2) / 2 / annotation.width,
            (y1 + y2) / 2 / annotation.height,
            (x2 - x1) / annotation.width,
            (y2 - y1) / annotation.height,
        )
        lines.append(" ".join([str(label), *(f"{share:.15g}" for share in shares)]) + "\n")
    return "".join(lines)
