"""The feature pyramid: from C3, C4, C5 to P3 to P7, all with the same number of channels."""

from __future__ import annotations

from enum import StrEnum

from torch import Tensor, nn
from torch.nn import functional


class P6From(StrEnum):
    """The map that P6 is computed from."""

    C5 = "c5"
    P5 = "p5"


class FeaturePyramid(nn.Module):
    """Feature pyramid network with two extra coarse levels (strides 8, 16, 32, 64, 128).

    Args:
        in_channels: channels of C3, C4, C5.
        channels: channels of every output level.
        p6_from: C5 in RetinaNet, P5 in FCOS and later systems.

    Source:
        Lin et al., "Feature Pyramid Networks for Object Detection"; P6, P7 and the ReLU between them: Lin et al.,
        "Focal Loss for Dense Object Detection", section 4. P6 from P5: Tian et al., "FCOS".
    """

    def __init__(self, in_channels: tuple[int, int, int], channels: int, p6_from: P6From) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.p6_from = p6_from
        p6_channels = in_channels[2] if p6_from is P6From.C5 else channels
        self.p6 = nn.Conv2d(p6_channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        """C3, C4, C5 to five maps (B, channels, H_l, W_l), finest first."""
        m3, m4, m5 = (lateral(c) for lateral, c in zip(self.lateral, features, strict=True))
        m4 = m4 + _enlarged(m5, m4)
        m3 = m3 + _enlarged(m4, m3)
        p3, p4, p5 = (output(m) for output, m in zip(self.output, (m3, m4, m5), strict=True))
        p6 = self.p6(features[2] if self.p6_from is P6From.C5 else p5)
        p7 = self.p7(functional.relu(p6))
        return p3, p4, p5, p6, p7


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    """`coarse` at the exact size of `fine`: a fixed factor of 2 is off by one where a size is odd."""
    return functional.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
