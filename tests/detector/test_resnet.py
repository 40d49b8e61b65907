import pytest
import torch

from lcageo.detector.backbone import StrideIn
from lcageo.detector.resnet import ResNet
from lcageo.errors import ModelError
from lcageo.network_config import BACKBONES, Norm

DEPTHS = {
    "resnet18": (2, (2, 2, 2, 2)),
    "resnet34": (2, (3, 4, 6, 3)),
    "resnet50": (3, (3, 4, 6, 3)),
    "resnet101": (3, (3, 4, 23, 3)),
}


def torchvision_names(name: str) -> list[str]:
    """The keys of torchvision's checkpoint, by its naming rule; older files lack num_batches_tracked, as here."""
    convs, depths = DEPTHS[name]

    def norm(prefix: str) -> list[str]:
        return [f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]

    names = ["conv1.weight", *norm("bn1"), "fc.weight", "fc.bias"]
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            for i in range(1, convs + 1):
                names += [f"{prefix}.conv{i}.weight", *norm(f"{prefix}.bn{i}")]
            if block == 0 and (stage > 1 or convs == 3):  # shapes change there
                names += [f"{prefix}.downsample.0.weight", *norm(f"{prefix}.downsample.1")]
    return names


def fake_checkpoint(backbone: ResNet, name: str) -> dict[str, torch.Tensor]:
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    return {key: torch.rand(shapes.get(key, (1000,))) for key in torchvision_names(name)}


def test_the_family_is_registered_with_all_its_depths():
    assert {name for name, family in BACKBONES.items() if family.home.endswith(":ResNet")} == set(DEPTHS)


@pytest.mark.parametrize("name", DEPTHS)
def test_stages_have_twice_the_channels_of_the_one_before(name):
    expansion = 4 if name in ("resnet50", "resnet101") else 1
    assert ResNet(name, width=8).out_channels == (16 * expansion, 32 * expansion, 64 * expansion)


@pytest.mark.parametrize("stride_in, first, middle", [(StrideIn.FIRST_1X1, 2, 1), (StrideIn.MIDDLE_3X3, 1, 2)])
def test_a_bottleneck_halves_the_resolution_where_it_is_asked_to(stride_in, first, middle):
    block = ResNet("resnet50", width=8, stride_in=stride_in).layer2[0]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == (first, middle)


def test_residual_branches_start_at_zero_unless_the_norm_is_frozen():
    assert ResNet("resnet50", width=8).layer1[1].bn3.weight.eq(0).all()
    assert ResNet("resnet50", width=8, norm=Norm.GN).layer1[1].bn3.weight.eq(0).all()
    assert ResNet("resnet50", width=8, norm=Norm.FROZEN_BN).layer1[1].bn3.weight.eq(1).all()


def test_freezing_one_stage_fixes_stem_and_layer1():
    backbone = ResNet("resnet18", width=8)
    backbone.freeze(1)
    trained = {name.split(".")[0] for name, value in backbone.named_parameters() if value.requires_grad}
    assert trained == {"layer2", "layer3", "layer4"}


def test_resnet50_at_full_width_has_the_size_of_torchvisions_without_its_classifier():
    with torch.device("meta"):
        backbone = ResNet("resnet50")
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 25_557_032 - (2048 * 1000 + 1000)


@pytest.mark.parametrize("name", DEPTHS)
def test_torchvision_checkpoints_load_by_name(name):
    backbone = ResNet(name, width=8)
    checkpoint = fake_checkpoint(backbone, name)
    assert backbone.load(checkpoint) == ()
    for key, value in backbone.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, checkpoint[key])
    assert not backbone.train().bn1.training, "the checkpoint's statistics stay"


@pytest.mark.parametrize("norm", [Norm.BN, Norm.FROZEN_BN])
def test_newer_checkpoints_with_counters_load_into_both_batch_norms(norm):
    source, target = ResNet("resnet18", width=8), ResNet("resnet18", width=8, norm=norm)
    target.load(source.state_dict())
    assert torch.equal(target.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


@pytest.mark.parametrize("name, warned", [("resnet50", True), ("resnet18", False)])
def test_a_checkpoint_with_strides_elsewhere_loads_with_a_warning(name, warned):
    warnings = ResNet(name, 8, stride_in=StrideIn.FIRST_1X1).load(ResNet(name, 8).state_dict())
    assert any("halves the resolution in a block's first convolution" in warning for warning in warnings) == warned


def test_missing_and_unexpected_names_are_reported_and_nothing_is_loaded():
    backbone = ResNet("resnet18", width=8)
    checkpoint = fake_checkpoint(backbone, "resnet18")
    checkpoint["layer9.weight"] = checkpoint.pop("layer2.0.conv1.weight")
    before = backbone.conv1.weight.clone()
    with pytest.raises(ModelError, match=r"missing layer2\.0\.conv1\.weight; unexpected layer9\.weight"):
        backbone.load(checkpoint)
    assert torch.equal(backbone.conv1.weight, before)


def test_a_long_list_of_names_is_cut():
    with pytest.raises(ModelError, match=r"missing bn1\.bias, .* and \d+ more; unexpected nothing"):
        ResNet("resnet18", width=8).load({})


def test_another_width_is_reported_with_both_shapes():
    with pytest.raises(ModelError, match=r"is \(16,.* in the file and \(8,.* in the network; choose the backbone"):
        ResNet("resnet18", width=8).load(ResNet("resnet18", width=16).state_dict())
