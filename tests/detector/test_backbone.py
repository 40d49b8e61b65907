"""The contract of `Backbone`, for every registered family and for one that only this test registers."""

import pytest
import torch
from support import tiny_backbone
from torch import nn

from lcageo.detector.backbone import Backbone, StrideIn, build_backbone
from lcageo.detector.criterion import compute_losses
from lcageo.detector.layers import fold_batch_norm
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.errors import ConfigError, ModelError
from lcageo.network_config import BACKBONES, DEFAULT_WIDTH, NetworkConfig, Norm, Preset

NAMES = [*BACKBONES, "tiny"]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(BACKBONES, "tiny", tiny_backbone.FAMILY)


def narrow(name: str, norm: Norm = Norm.BN, stride_in: StrideIn = StrideIn.MIDDLE_3X3) -> Backbone:
    """The narrowest backbone of this name."""
    widths = BACKBONES[name].widths
    return build_backbone(name, DEFAULT_WIDTH if widths is None else widths.start, norm, stride_in)


def names_of(backbone: Backbone, modules: list[nn.Module]) -> set[str]:
    """Names of all parameters and buffers of some of the backbone's modules."""
    own = {id(tensor) for module in modules for tensor in (*module.parameters(), *module.buffers())}
    return {name for name, tensor in backbone.state_dict(keep_vars=True).items() if id(tensor) in own}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("height, width", [(64, 64), (65, 97), (33, 1)])
def test_maps_have_the_documented_channels_and_sizes_rounded_up(name, height, width):
    with torch.device("meta"):
        backbone = narrow(name)
        maps = backbone(torch.zeros(2, 3, height, width))
    for c, channels, stride in zip(maps, backbone.out_channels, (8, 16, 32), strict=True):
        assert c.shape == (2, channels, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("name", NAMES)
def test_each_norm_of_a_family_runs_and_takes_gradients(name):
    assert {Norm.BN, Norm.FROZEN_BN} <= set(BACKBONES[name].norms)  # presets use them
    for norm in BACKBONES[name].norms:
        backbone = narrow(name, norm)
        sum(c.sum() for c in backbone(torch.randn(2, 3, 64, 64))).backward()
        assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)
        assert backbone.needs_checkpoint == (norm is Norm.FROZEN_BN)


@pytest.mark.parametrize("name", NAMES)
def test_both_positions_of_the_stride_are_accepted(name):
    with torch.device("meta"):
        backbones = [narrow(name, stride_in=position) for position in StrideIn]
        shapes = [[c.shape for c in backbone(torch.zeros(1, 3, 65, 64))] for backbone in backbones]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_are_the_stem_and_the_registered_stages_and_contain_all_parameters(name):
    backbone, family = narrow(name), BACKBONES[name]
    assert 0 <= family.stages_frozen <= family.stages == len(backbone.parts) - 1
    modules = [[*part] for part in backbone.parts]
    assert set.union(*(names_of(backbone, part) for part in modules)) == backbone.state_dict().keys()
    for stages in (-1, family.stages + 1):
        with pytest.raises(ConfigError, match=rf"freeze = {stages} must be 0 to {family.stages}"):
            backbone.freeze(stages)
    backbone.freeze(family.stages)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stages", [0, 1])
def test_frozen_parts_keep_weights_and_statistics_while_training(name, stages):
    backbone = narrow(name)
    backbone.freeze(stages)
    frozen = names_of(backbone, [module for part in backbone.parts[: stages + 1] for module in part])
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.train()(torch.randn(2, 3, 64, 64))[2].sum().backward()
    after = backbone.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in frozen)
    statistics = {key for key in after if "running" in key} - frozen
    assert statistics and not any(torch.equal(after[key], before[key]) for key in statistics)
    assert {key for key, value in backbone.named_parameters() if value.grad is None} == {
        key for key, _ in backbone.named_parameters() if key in frozen
    }


@pytest.mark.parametrize("name", NAMES)
def test_fixed_statistics_stay_while_weights_learn(name):
    backbone = narrow(name)
    backbone.fix_statistics()
    before = {key: value.clone() for key, value in backbone.named_buffers()}
    backbone.train()(torch.randn(2, 3, 64, 64))[2].sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in backbone.named_buffers())
    assert backbone.training and all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_another_familys_checkpoint_is_refused_by_name_and_changes_nothing(name):
    backbone = narrow(name)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(ModelError, match=r"missing .* and \d+ more; unexpected stranger\.weight; choose a checkpoint"):
        backbone.load({"stranger.weight": torch.zeros(1)})
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    backbone.train()(torch.randn(2, 3, 64, 64))
    assert not any(torch.equal(value, before[key]) for key, value in backbone.named_buffers()), "statistics still learn"


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_every_batch_norm_can_be_folded(name):
    backbone, images = narrow(name).eval(), torch.randn(1, 3, 64, 96)
    before = backbone(images)
    fold_batch_norm(backbone)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    for folded, plain in zip(backbone(images), before, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", Preset)
def test_a_network_with_a_newly_registered_family_takes_gradients(preset):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(preset, 2, "tiny", channels=16, head_convs=1, norm=Norm.BN))
    assert isinstance(network.backbone, tiny_backbone.Tiny)
    assert network.backbone.stage1[1].eps == tiny_backbone.EPS
    truth = Truth(torch.tensor([[8.0, 8, 40, 48]]), torch.tensor([1]), torch.ones(2, dtype=torch.bool))
    outputs = network(torch.randn(2, 3, 64, 64))
    compute_losses(preset, outputs, network.decode(outputs), [truth, truth]).total.backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
