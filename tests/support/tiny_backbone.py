"""A backbone family of four blocks, unlike ResNets in all that a family may choose: see `lcageo.detector.backbone`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from lcageo.detector.backbone import Backbone, StrideIn
from lcageo.detector.layers import norm_layer
from lcageo.network_config import BackboneFamily, Norm

FAMILY = BackboneFamily(
    home="support.tiny_backbone:Tiny",
    stages=4,
    stages_frozen=2,
    widths=None,
    norms=(Norm.BN, Norm.FROZEN_BN),
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)
PREFIX = "features."
"""Of names in its checkpoints."""
EPS = 1e-3


class Tiny(Backbone):
    """A stem and four stages, each a block that halves the resolution; no width, strides or group normalisation."""

    def __init__(self, name: str, width: int, norm: Norm, stride_in: StrideIn) -> None:
        super().__init__()
        channels = (3, 8, 8, 8, 16, 24)
        blocks = [_block(*pair, norm) for pair in pairwise(channels)]
        self.stem, self.stage1, self.stage2, self.stage3, self.stage4 = blocks
        self.out_channels = (8, 16, 24)

    @property
    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        return (self.stem,), (self.stage1,), (self.stage2,), (self.stage3,), (self.stage4,)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c3 = self.stage2(self.stage1(self.stem(images)))
        c4 = self.stage3(c3)
        return c3, c4, self.stage4(c4)

    def load(self, tensors: Mapping[str, Tensor]) -> Sequence[str]:
        self.fill({name.removeprefix(PREFIX): value for name, value in tensors.items() if name != "classifier.weight"})
        self.fix_statistics()
        return ("tiny backbones know little",)


def _block(in_channels: int, out_channels: int, norm: Norm) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, norm_layer(norm, out_channels, EPS), nn.ReLU6(inplace=True))
