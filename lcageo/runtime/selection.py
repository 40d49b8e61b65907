"""Selects on the host which of a network's boxes become detections: for backends that return arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig, Passes
from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.network_config import CANDIDATES_PER_LEVEL, STRIDES
from lcageo.nms import nms
from lcageo.runtime.catalog import ModelCard

REVIEWED_SHARE = 0.5
"""Share of a class's threshold down to which candidates are worth a review."""
HINT_SHARE = 0.5
"""Share of a class's threshold from which a small object is worth a look at twice the resolution."""


def written_scores(card: ModelCard, config: DetectConfig) -> NDArray[np.float32]:
    """(K,) score that written objects must exceed, per class; above 1 for classes that are not wanted.

    Raises:
        UsageError: if the config names a class that the model does not have.
    """
    thresholds, minimum = np.full(len(card.classes), 2.0, np.float32), card.least_scores(config.score)
    wanted = card.class_ids(config.classes)
    if config.keep is not None and config.keep > (lowest := min(minimum[card.classes[index]] for index in wanted)):
        raise UsageError(
            f"--keep {config.keep:g} is above a threshold of '{card.name}' ({lowest:.2f}), but must be below; "
            "lower it, or raise the thresholds with --score"
        )
    for index in wanted:
        score = minimum[card.classes[index]]
        thresholds[index] = score if config.keep is None else min(score, config.keep)
    return thresholds


def hint_scores(card: ModelCard, config: DetectConfig) -> list[float]:
    """Score per class that makes small objects worth a finer look: half of the card's threshold, whatever is written.

    Empty unless the passes depend on what is found (`lcageo.inference.plan`).
    """
    depends = config.passes is Passes.AUTO and card.lengths_px is not None and not config.agnostic
    return [card.threshold(name) * HINT_SHARE for name in card.classes] if depends else []


@dataclass(frozen=True, slots=True)
class Selection:
    """Thresholds and limits, as arrays."""

    thresholds: NDArray[np.float32]
    """(K,) minimum score per class; above 1 for classes that are not wanted."""
    iou: float
    """Overlap above which two boxes of one class in a tile are one object."""
    max_per_tile: int
    tile_size: int
    """Side of the model's own tiles, which the limits are for, pixels."""
    has_levels: bool = True
    """Whether the locations are those of our networks' levels, of which each gives at most CANDIDATES_PER_LEVEL."""

    @classmethod
    def of(cls, card: ModelCard, config: DetectConfig) -> Selection:
        """The selection that a config requests of a model.

        Raises:
            UsageError: if the config names a class that the model does not have.
        """
        thresholds = written_scores(card, config)
        lower = []
        if config.review:
            lower.append(np.array(list(card.least_scores(config.score).values()), np.float32) * REVIEWED_SHARE)
        if hints := hint_scores(card, config):
            lower.append(np.array(hints, np.float32))
        for scores in lower:
            thresholds = np.where(thresholds <= 1, np.minimum(thresholds, scores), thresholds)
        return cls(thresholds, config.merging_iou(card.iou), config.max_per_tile, card.tile_size, card.layout is None)

    def detections(self, scores: NDArray[np.float32], boxes_xyxy: NDArray[np.float32], side: int) -> list[Detections]:
        """Objects of a batch of tiles: the best pairs of location and class of each level, then NMS.

        Args:
            scores: (B, N, K), levels one after the other, finest first, if there are any.
            boxes_xyxy: (B, N, 4) tile pixels, inside the tile.
            side: side of the tiles, pixels.
        """
        starts = level_starts(scores.shape[1], side) if self.has_levels else None
        return [self._of_tile(*tile, side, starts) for tile in zip(scores, boxes_xyxy, strict=True)]

    def limit(self, per_tile: int, side: int) -> int:
        """A limit for tiles of this side, from the one for the model's own: larger tiles hold more objects."""
        return per_tile if side <= self.tile_size else math.ceil(per_tile * (side / self.tile_size) ** 2)

    def _of_tile(
        self, scores: NDArray[np.float32], boxes_xyxy: NDArray[np.float32], side: int, starts: NDArray[np.int64] | None
    ) -> Detections:
        places, labels = np.nonzero(scores > self.thresholds)
        boxes = boxes_xyxy[places]
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(
            axis=1
        )  # boxes without area are of cells beyond the image's border
        places, labels, boxes = places[has_area], labels[has_area], boxes[has_area]
        values = scores[places, labels]
        order = np.argsort(-values, kind="stable")  # equal scores by location, on any machine
        if starts is not None and len(order) > (most := self.limit(CANDIDATES_PER_LEVEL, side)):
            level = np.searchsorted(starts, places[order], side="right")
            order = np.concatenate([order[level == one][:most] for one in np.unique(level)])
        found = Detections(boxes[order], values[order], labels[order].astype(np.int64))
        return found.selected(nms(found, self.iou)[: self.limit(self.max_per_tile, side)])


def level_starts(places: int, side: int) -> NDArray[np.int64]:
    """(5,) where each level starts among all locations of a square image; all cells have equally many.

    Args:
        places: number of locations of all levels.
        side: side of the image, pixels.
    """
    cells = np.array([-((-side // stride) ** 2) for stride in STRIDES], np.int64)
    per_cell = places // int(cells.sum())
    return np.concatenate([[0], np.cumsum(cells * per_cell)[:-1]])


CUT_PX = 1.0
"""A box that ends this close to its tile's edge may continue beyond it."""


def of_possible_size(
    found: Detections, card: ModelCard, pixel_m: tuple[float, float] | None, width: float, height: float
) -> Detections:
    """The objects whose length on the ground is possible for their class: no aircraft is four metres long.

    An object cut by the tile's edge may be longer than it looks, so it is never too short.

    Args:
        found: objects in a tile's pixels.
        card: the model's card, whose size_m is used.
        pixel_m: size of a pixel along rows and columns, metres; None if unknown: then all objects are kept.
        width: width of the tile, pixels.
        height: height of the tile, pixels.
    """
    if pixel_m is None or not card.size_m:
        return found
    limits = np.array([card.size_m.get(name, (0.0, np.inf)) for name in card.classes])  # (K, 2)
    boxes = found.boxes_xyxy
    length_m = ((boxes[:, 2:] - boxes[:, :2]) * np.array(pixel_m)).max(axis=1, initial=0)
    cut = (boxes[:, :2] <= CUT_PX).any(axis=1) | (boxes[:, 2:] >= np.array([width, height]) - CUT_PX).any(axis=1)
    minimum, maximum = limits[found.labels].T
    return found.selected((cut | (length_m >= minimum)) & (length_m <= maximum))
