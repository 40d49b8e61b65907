"""Do the highest-scoring boxes fit best? Measures and draws what the LCA-Det paper claims of S*.

    python examples/table1/alignment.py runs/table1/{lca-baseline,lca}-s0/last \
        --val VHR10/val.json --out build/alignment

For each model:
- the correlation of score and IoU of the boxes that suppression keeps, for all boxes and for those on an object;
- the distance between the point with the best score for an object and the one whose box fits best, in object sizes;
- among the boxes with an IoU of 0.5 or more with an object, of which suppression keeps the highest-scoring one: the
  rank correlation of score and IoU, and the IoU of the highest-scoring box, by S (the class branch's score) and by the
  final score, with the 95 % interval of the difference;
- the number of locations that its assignment gives to objects, by their size in the tile.

Writes alignment.json, alignment.md, alignment.png (score against IoU, and both points on images with few objects, taken
evenly from the set) and maps.png (score and IoU over the largest object of some classes).

Source:
    The LCA-Det paper's Fig. 1, which shows the two points; its S* = sqrt(S x P) is meant to follow localisation, which
    S does not. Feng et al., "TOOD", section 4, which correlates ranks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from agreement import Agreement, measure_agreement
from agreement_text import markdown
from dense import Dense, DenseModel
from maps_picture import draw_maps
from peaks import Peaks
from peaks_picture import Column, Shown, draw

from lcageo.config import BENCHMARK, Backend, Precision
from lcageo.data.annotations import Annotation, LabelledSet, SplitName
from lcageo.data.sets import read_sets
from lcageo.errors import LcageoError, UsageError
from lcageo.evaluation.images import find_objects, kept_of_tiles
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor

MOST_OBJECTS, LEAST_SIDE_PX = 6, 24
"""Maximum number and minimum size of objects in the images shown, so that points do not hide each other."""
GREY = 72
"""Grey level of hidden pixels: both marks and the white frames are visible on it."""


def models_of(options: argparse.Namespace) -> Iterator[tuple[ModelCard, LabelledSet]]:
    """Yields each model with the images, read with its classes, and prints when it is done.

    Raises:
        UsageError: if two models have the same name.
    """
    seen = set[str]()
    for name in options.models:
        card = find_card(name)
        if card.name in seen:
            raise UsageError(
                f"'{name}' is the second model called {card.name}; choose another one or rename it in its card"
            )
        seen.add(card.name)
        yield card, read_sets(options.val, options.split, card.classes)
        print(f"{card.name}: measured", flush=True)


def scale_in_tile(card: ModelCard, one: Annotation) -> float:
    """Tile pixels per pixel of an image that the model sees as a whole."""
    scale = card.tile_size / max(one.width, one.height)
    return scale if card.enlarges else min(scale, 1.0)


def images_to_show(labelled: LabelledSet, count: int, card: ModelCard) -> list[int]:
    """Indices of images taken evenly from those with few and large objects."""
    fitting = []
    for index, one in enumerate(labelled.annotations):
        sides = (one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2]) * scale_in_tile(card, one)
        if 1 <= len(one) <= MOST_OBJECTS and sides.min() >= LEAST_SIDE_PX:
            fitting.append(index)
    return [fitting[position] for position in _evenly(len(fitting), count)]


def objects_to_show(labelled: LabelledSet, count: int) -> list[tuple[int, int]]:
    """Image and index (among those not difficult) of the largest object of some classes, taken evenly from all."""
    largest: dict[int, tuple[float, int, int]] = {}
    for index, one in enumerate(labelled.annotations):
        boxes, labels = one.boxes_xyxy[~one.difficult], one.labels[~one.difficult]
        shares = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (one.width * one.height)
        for number, (label, share) in enumerate(zip(labels.tolist(), shares.tolist(), strict=True)):
            if label not in largest or share > largest[label][0]:
                largest[label] = share, index, number
    found = [largest[label][1:] for label in sorted(largest)]
    return [found[position] for position in _evenly(len(found), count)]


def _evenly(things: int, count: int) -> list[int]:
    positions: list[int] = np.linspace(0, things - 1, min(count, things)).round().astype(int).tolist()
    return positions


class Exhibit:
    """Collects what is drawn of a model while it runs over the images."""

    def __init__(self, labelled: LabelledSet, count: int, card: ModelCard, hides_pixels: bool) -> None:
        self._labelled, self._card, self._hides_pixels = labelled, card, hides_pixels
        self._images = images_to_show(labelled, count, card)
        self._objects = objects_to_show(labelled, count)
        self._dense: dict[int, Dense] = {}
        self._shown: list[Shown] = []

    def look(self, dense: Dense, peaks: Peaks) -> None:
        """Keeps an image if it is to be shown."""
        if self._hides_pixels:
            dense = replace(dense, pixels=np.full_like(dense.pixels, GREY))
        if dense.index in {index for index, _ in self._objects}:
            self._dense[dense.index] = dense
        if dense.index in self._images:
            one = self._labelled.annotations[dense.index]
            scale = scale_in_tile(self._card, one)
            pixels = dense.pixels[: round(one.height * scale), : round(one.width * scale)]
            self._shown.append(Shown(f"{one.image.name}, {peaks.distance.mean():.2f}", pixels, peaks))

    def column(self, name: str, agreement: Agreement) -> Column:
        """The model's column of alignment.png."""
        rank = agreement.figures["kept_boxes"]["spearman"]
        title = f"{name}\nSpearman {'-' if rank is None else format(rank, '.3f')}"
        return Column(title, agreement.scores, agreement.ious, tuple(self._shown))

    def maps(self) -> list[tuple[Dense, int]]:
        """The model's images and objects for maps.png."""
        return [(self._dense[index], number) for index, number in self._objects]


def alignment(options: argparse.Namespace) -> None:
    """Measures each model and writes the four files."""
    figures, columns, maps = {}, [], []
    for card, labelled in models_of(options):
        exhibit = Exhibit(labelled, options.pictures, card, options.hide_pixels)
        predictor = load_predictor(card, kept_of_tiles(BENCHMARK), options.device, Backend.TORCH, Precision.FP32)
        found = find_objects(predictor, labelled)
        agreement = measure_agreement(DenseModel(card, options.device), labelled, found, exhibit.look)
        figures[card.name] = agreement.figures
        columns.append(exhibit.column(card.name, agreement))
        maps.append(exhibit.maps())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "alignment.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (options.out / "alignment.md").write_text(
        markdown({name: [one] for name, one in figures.items()}), encoding="utf-8"
    )
    draw(columns, options.out / "alignment.png")
    if maps[0]:
        draw_maps(list(figures), maps, options.out / "maps.png")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model folders")
    parser.add_argument("--val", type=Path, action="append", required=True, help="COCO file or DIOR folder")
    splits = list(SplitName)
    parser.add_argument("--split", type=SplitName, choices=splits, default=SplitName.VAL, help="split of DIOR folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the four files")
    parser.add_argument(
        "--pictures", type=int, default=3, help="number of images and of objects to show (default: %(default)s)"
    )
    parser.add_argument(
        "--hide-pixels", action="store_true", help="draw on grey, for images that may not be redistributed"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        alignment(options)
    except LcageoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
