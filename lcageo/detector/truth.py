"""The annotated objects of an image, as training and its losses see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about one image. No objects (M = 0) is normal."""

    boxes_xyxy: Tensor
    """(M, 4) float32 image pixels, x1 < x2 and y1 < y2."""
    labels: Tensor
    """(M,) int64, 0 to K - 1."""
    labelled: Tensor
    """(K,) bool, True for the classes that the image is annotated for; the others may be there unmarked."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes_xyxy.shape != (count, 4) or self.labels.shape != (count,) or self.labelled.dim() != 1:
            raise ValueError(
                f"boxes {tuple(self.boxes_xyxy.shape)}, labels {tuple(self.labels.shape)} and labelled classes "
                f"{tuple(self.labelled.shape)} do not describe one image; expected (M, 4), (M,) and (K,)"
            )
        if self.labels.dtype != torch.int64 or self.labelled.dtype != torch.bool:
            raise ValueError(
                f"labels are {self.labels.dtype} and labelled classes {self.labelled.dtype}; expected int64 and bool"
            )
        if not self.boxes_xyxy.is_floating_point():
            raise ValueError(f"boxes must be floating point, not {self.boxes_xyxy.dtype}")

    def to(self, device: torch.device) -> Truth:
        """The same truth on another device."""
        return Truth(self.boxes_xyxy.to(device), self.labels.to(device), self.labelled.to(device))

    def of_labelled_classes(self) -> Truth:
        """Without the objects of classes that the image is not annotated for: some may be marked, others not."""
        kept = self.labelled[self.labels]
        return Truth(self.boxes_xyxy[kept], self.labels[kept], self.labelled)
