"""The annotated objects of an image, as the losses take them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Truth:
    """The annotation of one image, which may be without objects (M = 0)."""

    boxes_xyxy: Tensor
    """(M, 4) float32 image pixels, x1 < x2 and y1 < y2."""
    labels: Tensor
    """(M,) int64, 0 to K - 1."""
    labelled: Tensor
    """(K,) bool, True for the classes that the image is annotated for; it may show objects of the others unmarked."""
    ignored_xyxy: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    """(D, 4), boxes of difficult objects of any class; places inside them are ignored unless they are given to an
    object. If there are none (D = 0), the device does not matter."""

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
        if self.ignored_xyxy.dim() != 2 or self.ignored_xyxy.shape[1] != 4:
            raise ValueError(f"ignored boxes are {tuple(self.ignored_xyxy.shape)}; expected (D, 4)")
        for boxes in (self.boxes_xyxy, self.ignored_xyxy):
            if not boxes.is_floating_point():
                raise ValueError(f"boxes must be floating point, not {boxes.dtype}")

    def to(self, device: torch.device) -> Truth:
        """The same truth on another device."""
        return Truth(
            self.boxes_xyxy.to(device),
            self.labels.to(device),
            self.labelled.to(device),
            self.ignored_xyxy.to(device),
        )

    def of_labelled_classes(self) -> Truth:
        """Without objects of classes that the image is not annotated for: such marks are incomplete."""
        kept = self.labelled[self.labels]
        return Truth(self.boxes_xyxy[kept], self.labels[kept], self.labelled, self.ignored_xyxy)
