import pytest
import torch

from lcageo.config import BACKBONES, Norm
from lcageo.detector.backbone import ResNet, StrideIn
from lcageo.detector.layers import FrozenBatchNorm2d


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("height, width", [(64, 64), (65, 97), (33, 1)])
def test_every_halving_rounds_sizes_up(name, height, width):
    with torch.device("meta"):
        maps = ResNet(name, width=8)(torch.zeros(2, 3, height, width))
    expansion = 4 if name in ("resnet50", "resnet101") else 1
    for level, c in enumerate(maps):
        stride = 8 * 2**level
        assert c.shape == (2, 16 * 2**level * expansion, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("norm", Norm)
def test_each_norm_runs_and_takes_gradients(norm):
    backbone = ResNet("resnet18", width=8, norm=norm)
    backbone(torch.randn(2, 3, 64, 64))[2].sum().backward()
    assert backbone.conv1.weight.grad is not None


@pytest.mark.parametrize("stride_in, first, middle", [(StrideIn.FIRST_1X1, 2, 1), (StrideIn.MIDDLE_3X3, 1, 2)])
def test_the_stride_of_a_bottleneck_stands_where_it_is_asked_for(stride_in, first, middle):
    block = ResNet("resnet50", width=8, stride_in=stride_in).layer2[0]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == (first, middle)


def test_residual_branches_start_at_zero_unless_the_norm_is_frozen():
    assert ResNet("resnet50", width=8).layer1[1].bn3.weight.eq(0).all()
    assert ResNet("resnet50", width=8, norm=Norm.GN).layer1[1].bn3.weight.eq(0).all()
    assert ResNet("resnet50", width=8, norm=Norm.FROZEN_BN).layer1[1].bn3.weight.eq(1).all()


def test_frozen_stages_keep_weights_and_statistics_while_training():
    backbone = ResNet("resnet18", width=8)
    backbone.freeze(1)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(torch.randn(2, 3, 64, 64))[2].sum().backward()
    changed = {
        name.split(".")[0] for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])
    }
    trained = {name.split(".")[0] for name, value in backbone.named_parameters() if value.grad is not None}
    assert changed == trained == {"layer2", "layer3", "layer4"}


def test_frozen_norm_equals_batch_norm_in_evaluation_mode_and_shares_its_state():
    plain, frozen = torch.nn.BatchNorm2d(4), FrozenBatchNorm2d(4)
    for tensor in (plain.weight, plain.bias, plain.running_mean, plain.running_var):
        torch.nn.init.uniform_(tensor, 0.5, 2)
    frozen.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(frozen.train()(x), plain.eval()(x))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
