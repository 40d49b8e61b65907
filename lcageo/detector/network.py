"""A detector assembled from backbone, neck and head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lcageo.detector.backbone import Backbone
from lcageo.detector.boxes import clip_boxes
from lcageo.detector.heads import Head
from lcageo.detector.neck import FeaturePyramid
from lcageo.detector.outputs import LevelOutput, Predictions
from lcageo.network_config import STRIDES


class Network(nn.Module):
    """A one-stage detector.

    Args:
        backbone: images to C3, C4, C5.
        neck: C3, C4, C5 to five pyramid levels.
        head: levels to raw maps, raw maps to scores and boxes.
    """

    def __init__(self, backbone: Backbone, neck: FeaturePyramid, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, images: Tensor) -> tuple[LevelOutput, ...]:
        """Raw maps, for the losses.

        Args:
            images: (B, 3, H, W) floating, normalised as the weights expect; of any height and width.

        Returns:
            One LevelOutput for each of the five levels, finest first.
        """
        outputs: tuple[LevelOutput, ...] = self.head(self.neck(self.backbone(images)))
        return outputs

    def decode(self, outputs: Sequence[LevelOutput]) -> Predictions:
        """Scores and boxes from raw maps: differentiable and not clipped, as the losses need them."""
        decoded = [self.head.decode(output, stride) for output, stride in zip(outputs, STRIDES, strict=True)]
        scores, boxes = zip(*decoded, strict=True)
        return Predictions(torch.cat(scores, dim=1), torch.cat(boxes, dim=1), tuple(s.shape[1] for s in scores))

    def predict(self, images: Tensor) -> Predictions:
        """Final scores, and boxes clipped to the image; run it in `torch.inference_mode()`.

        Args:
            images: (B, 3, H, W) floating, normalised as the weights expect.
        """
        predictions = self.decode(self(images))
        height, width = images.shape[-2:]
        return predictions._replace(boxes_xyxy=clip_boxes(predictions.boxes_xyxy, height, width))
