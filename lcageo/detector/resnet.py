"""ResNet backbones whose parameters have torchvision's names, so that its ImageNet checkpoints load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from lcageo.detector.backbone import Backbone, StrideIn
from lcageo.detector.layers import norm_layer
from lcageo.network_config import Norm


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


_VARIANTS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}

_STRIDES_DIFFER = (
    "the backbone halves the resolution in a block's first convolution, torchvision's checkpoint in its second, "
    "so it starts from less than with other presets"
)


class ResNet(Backbone):
    """ResNet without its classifier; four stages can be frozen after the stem.

    Args:
        name: `resnet18`, `resnet34`, `resnet50` or `resnet101`.
        width: channels of stem and first stage; every later stage has twice as many.
        norm: normalisation after every convolution.
        stride_in: where bottlenecks halve the resolution; basic blocks always do in their first convolution.

    Source:
        He et al., "Deep Residual Learning for Image Recognition"; names of the parameters as in torchvision.
    """

    def __init__(
        self, name: str, width: int = 64, norm: Norm = Norm.BN, stride_in: StrideIn = StrideIn.MIDDLE_3X3
    ) -> None:
        super().__init__()
        block, depths = _VARIANTS[name]
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
        self._strides_as_torchvision = block is BasicBlock or stride_in is StrideIn.MIDDLE_3X3
        self._init_from_scratch(norm)

    @property
    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """Stem, then the four stages."""
        return (self.conv1, self.bn1), (self.layer1,), (self.layer2,), (self.layer3,), (self.layer4,)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised images to C3, C4, C5; sizes are rounded up at each stride of 2."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        c3 = self.layer2(self.layer1(x))
        c4 = self.layer3(c3)
        c5 = self.layer4(c4)
        return c3, c4, c5

    def load(self, tensors: Mapping[str, Tensor]) -> Sequence[str]:
        """Takes torchvision's checkpoint of the same ResNet without its classifier (`fc.*`), and fixes its statistics.

        Batches of a detector are small: their statistics would be worse than the checkpoint's.
        """
        self.fill({name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")})
        self.fix_statistics()
        return () if self._strides_as_torchvision else (_STRIDES_DIFFER,)

    def _init_from_scratch(self, norm: Norm) -> None:
        """Kaiming for convolutions; residual branches start at zero, so that the variance does not grow with depth.

        Frozen normalisation keeps its ones: a fixed zero would disable the branch for good.

        Source:
            He et al., "Delving Deep into Rectifiers"; Goyal et al., "Accurate, Large Minibatch SGD", section 5.1.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck) and norm is not Norm.FROZEN_BN:
                nn.init.zeros_(module.last_norm.get_parameter("weight"))


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: Norm) -> nn.Module:
    """A projection where the shape changes, otherwise the identity, which has no parameters and so adds no names."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(conv, norm_layer(norm, out_channels))
