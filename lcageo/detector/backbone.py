"""ResNet bodies whose parameters bear torchvision's names, so that its ImageNet checkpoints load."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from torch import Tensor, nn

from lcageo.config import Norm
from lcageo.detector.layers import norm_layer


class StrideIn(StrEnum):
    """The convolution of a bottleneck that halves the resolution. Basic blocks always do it in their first."""

    FIRST_1X1 = "first 1x1"
    """As He et al. published it and Caffe's weights expect."""
    MIDDLE_3X3 = "3x3"
    """As torchvision and its weights have it."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, norm: Norm, stride_in: StrideIn) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm_layer(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm_layer(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride, norm)

    @property
    def last_norm(self) -> nn.Module:
        """The normalisation before the shortcut is added."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, width, ceil(H / stride), ceil(W / stride))."""
        shortcut: Tensor = self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        result: Tensor = self.relu(self.bn2(self.conv2(x)) + shortcut)
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (ResNet-50 and 101)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, norm: Norm, stride_in: StrideIn) -> None:
        super().__init__()
        first, middle = (stride, 1) if stride_in is StrideIn.FIRST_1X1 else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=first, bias=False)
        self.bn1 = norm_layer(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=middle, padding=1, bias=False)
        self.bn2 = norm_layer(norm, width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = norm_layer(norm, width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride, norm)

    @property
    def last_norm(self) -> nn.Module:
        """The normalisation before the shortcut is added."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, 4 width, ceil(H / stride), ceil(W / stride))."""
        shortcut: Tensor = self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        result: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return result


_BODIES: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(nn.Module):
    """ResNet without its classifier; gives the maps C3, C4 and C5 at strides 8, 16 and 32.

    Args:
        name: one of `lcageo.config.BACKBONES`.
        width: channels of stem and first stage; later stages double.
        norm: normalisation after every convolution.
        stride_in: where bottlenecks halve the resolution.

    Source:
        He et al., "Deep Residual Learning for Image Recognition"; names of the parameters as in torchvision.
    """

    def __init__(
        self, name: str, width: int = 64, norm: Norm = Norm.BN, stride_in: StrideIn = StrideIn.MIDDLE_3X3
    ) -> None:
        super().__init__()
        block, depths = _BODIES[name]
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = [width] + [width * 2**i * block.expansion for i in range(4)]
        stages = []
        for i, depth in enumerate(depths):
            first = block(channels[i], width * 2**i, 1 if i == 0 else 2, norm, stride_in)
            rest = [block(channels[i + 1], width * 2**i, 1, norm, stride_in) for _ in range(depth - 1)]
            stages.append(nn.Sequential(first, *rest))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.out_channels = (channels[2], channels[3], channels[4])
        self.strides_as_torchvision = block is BasicBlock or stride_in is StrideIn.MIDDLE_3X3
        self._frozen: tuple[nn.Module, ...] = ()
        self._init_from_scratch(norm)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised images to C3, C4, C5; sizes are rounded up at every halving."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        c3 = self.layer2(self.layer1(x))
        c4 = self.layer3(c3)
        c5 = self.layer4(c4)
        return c3, c4, c5

    def freeze(self, stages: int) -> None:
        """Fixes the stem and the first `stages` stages: no gradient, and stored statistics also while training."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        self._frozen = (self.conv1, self.bn1, *layers[:stages])
        for part in self._frozen:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switches all but the frozen parts."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def _init_from_scratch(self, norm: Norm) -> None:
        """Kaiming for convolutions; residual branches start at zero, so that depth does not multiply the variance.

        Frozen normalisation keeps its ones: a fixed zero would cut the branch for good.

        Source:
            He et al., "Delving Deep into Rectifiers"; Goyal et al., "Accurate, Large Minibatch SGD", section 5.1.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck) and norm is not Norm.FROZEN_BN:
                nn.init.zeros_(module.last_norm.get_parameter("weight"))


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: Norm) -> nn.Module:
    """A projection where shape changes, otherwise the identity (without parameters, so that no name is added)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(conv, norm_layer(norm, out_channels))
