"""Our network for the peers, in their environment, and as the torchvision detector that DeepForest and geoai expect."""

from __future__ import annotations

import numpy as np
import powerboxes
import torch
from torch import Tensor

from lcageo.config import Backend, DetectConfig, Passes, Precision
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import Predictor, load_predictor

IOU = DetectConfig.DEFAULT_IOU
"""Overlap above which all contestants merge boxes of neighbouring tiles."""


def load(model: str, score: float, precision: str) -> Predictor:
    """Our network in PyTorch; one pass, since for more it would also return boxes below the score."""
    config = DetectConfig(score=score, passes=Passes.ONE)
    return load_predictor(find_card(model), config, "cpu", Backend.TORCH, Precision(precision))


def prepare_torchvision() -> None:
    """Makes torchvision importable beside a torch without CUDA; to be called before it is imported.

    The only builds for Linux that PyPI has look for CUDA's libraries, and without them torchvision has no operators.
    Of these the peers call only the NMS of boxes; here powerboxes does it, which keeps the same boxes.
    """
    if torch.version.cuda is not None:
        return
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.impl("nms", _nms, "CPU")
    import torchvision

    torchvision.extension._has_ops = lambda: True
    torchvision.operators = operators  # they are withdrawn with the object


def _nms(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """(K,) int64 indices of the boxes that are kept, best score first."""
    corners = np.ascontiguousarray(boxes.double().numpy())
    kept = powerboxes.nms(corners, scores.double().numpy(), iou, float("-inf"))
    return torch.from_numpy(kept.astype(np.int64))


class Detector(torch.nn.Module):
    """Takes a list of (3, h, w) images from 0 to 1, no larger than a tile; returns their boxes, labels and scores."""

    def __init__(self, model: str, score: float, precision: str, first_label: int) -> None:
        super().__init__()
        self.predictor = load(model, score, precision)
        self.classes, self.tile_size = list(self.predictor.card.classes), self.predictor.card.tile_size
        self.first_label = first_label

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """The objects of each image, in its pixels."""
        tiles = np.zeros((len(images), 3, self.tile_size, self.tile_size), np.uint8)
        for tile, image in zip(tiles, images, strict=True):
            tile[:, : image.shape[1], : image.shape[2]] = (image * 255).round().numpy()
        return [
            {
                "boxes": torch.from_numpy(found.boxes_xyxy),
                "labels": torch.from_numpy(found.labels + self.first_label),
                "scores": torch.from_numpy(found.scores),
            }
            for found in self.predictor.predict(tiles)
        ]
